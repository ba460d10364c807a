import { fsync, write } from 'node:fs';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { QuorateError } from '../errors.ts';
import type { Secret } from '../secret.ts';

/**
 * Writes a secret to a descriptor (standard output), unless that is a terminal: what was on a screen stays in its
 * scroll-back, in recordings and in the eyes of whoever stood by. Written without a stream, which would keep a copy.
 * @throws QuorateError `terminal-refused`; `file-invalid` when whoever reads went away or the disk is full.
 */
export async function writeSecret(secret: Secret, descriptor = 1): Promise<void> {
  if (isatty(descriptor)) {
    throw new QuorateError('terminal-refused', 'a secret is not written to a terminal', {
      hint: 'Send it on with a pipe, or to a file that only you can read.',
    });
  }
  const copy = secret.expose((bytes) => {
    const own = Buffer.allocUnsafeSlow(bytes.length);
    own.set(bytes);
    return own;
  });
  try {
    let offset = 0;
    while (offset < copy.length) {
      const { bytesWritten } = await promisify(write)(descriptor, copy, offset, copy.length - offset, null);
      offset += bytesWritten;
    }
    // A pipe cannot be synced, a file should be.
    await promisify(fsync)(descriptor).catch(() => undefined);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new QuorateError('file-invalid', `standard output could not be written: ${code}`);
  } finally {
    copy.fill(0);
  }
}

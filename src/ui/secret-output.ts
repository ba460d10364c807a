import { fsync, write } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { QuorateError } from '../errors.ts';
import type { Secret } from '../secret.ts';

/** Where a command puts a secret that it was asked for: standard output, but never a terminal. */
export interface SecretOutput {
  /**
   * Refuses early, before anybody is asked for a card: what was on a screen stays in its scroll-back, in recordings
   * and in the eyes of whoever stood by. @throws QuorateError `terminal-refused`.
   */
  refuseTerminal(): void;
  /**
   * Writes it without a stream, which would keep a copy.
   * @throws QuorateError `terminal-refused`; `file-invalid` when whoever reads went away or the disk is full.
   */
  write(secret: Secret): Promise<void>;
}

const BUSY = 10;

/** @param options.terminal whether the person at the terminal has asked to see it. */
export function createSecretOutput(
  descriptor = 1,
  { terminal = false }: { readonly terminal?: boolean } = {},
): SecretOutput {
  const refuseTerminal = (): void => {
    if (terminal || !isatty(descriptor)) return;
    throw new QuorateError('terminal-refused', 'a secret is not written to a terminal', {
      hint: 'Send it on with a pipe, or to a file that only you can read.',
    });
  };
  return {
    refuseTerminal,
    async write(secret) {
      refuseTerminal();
      const copy = secret.expose((bytes) => {
        const own = Buffer.allocUnsafeSlow(bytes.length);
        own.set(bytes);
        return own;
      });
      try {
        await writeAll(descriptor, copy);
      } finally {
        copy.fill(0);
      }
      // A pipe cannot be synced, a file should be.
      await promisify(fsync)(descriptor).catch(() => undefined);
    },
  };
}

async function writeAll(descriptor: number, bytes: Buffer): Promise<void> {
  let offset = 0;
  while (offset < bytes.length) {
    try {
      const { bytesWritten } = await promisify(write)(descriptor, bytes, offset, bytes.length - offset, null);
      offset += bytesWritten;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
      if (code !== 'EAGAIN')
        throw new QuorateError(
          'file-invalid',
          `${descriptor === 1 ? 'standard output' : `descriptor ${descriptor.toString()}`} could not be written: ${code}`,
        );
      await sleep(BUSY);
    }
  }
}

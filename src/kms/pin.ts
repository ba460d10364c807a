import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { dirname } from 'node:path';
import { QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';
import type { PinSource } from './settings.ts';

const LIMIT = 1024;
const OTHERS = 0o077;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The PIN as its source has it now; the caller wipes it. Synchronous, as all that a token's thread does.
 * @throws QuorateError `file-missing`, `file-mode`, `file-invalid`, `pin-unusable`; never with a byte of the PIN.
 */
export function readPin(source: PinSource, env: Environment): Secret {
  const pin = fromSource(source, env);
  if (pin.length === 0) throw new QuorateError('pin-unusable', `${describe(source)} holds no PIN`);
  return pin;
}

function fromSource(source: PinSource, env: Environment): Secret {
  switch (source.kind) {
    case 'stanza':
      return Secret.fromText(source.pin);
    case 'environment':
      return Secret.fromText(env[source.name] ?? '');
    case 'file':
      return readFile(source.path, env);
  }
}

function describe(source: PinSource): string {
  if (source.kind === 'file') return source.path;
  return source.kind === 'environment' ? `the environment variable ${source.name}` : 'pin';
}

function readFile(path: string, env: Environment): Secret {
  const buffer = Buffer.allocUnsafeSlow(LIMIT + 1);
  let file: number | undefined;
  try {
    // A FIFO that nobody writes to must not hang the token.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new QuorateError('file-invalid', `${path}, for the PIN, is not a file`);
    // systemd guards its credentials itself, with an access list that shows as the group's right to read.
    if ((stat.mode & OTHERS) !== 0 && dirname(path) !== env['CREDENTIALS_DIRECTORY']) {
      const mode = (stat.mode & 0o777).toString(8);
      throw new QuorateError('file-mode', `${path}, with the PIN, can be read by others (mode ${mode}): chmod 600 it`);
    }
    const length = readSync(file, buffer, 0, buffer.length, 0);
    if (length > LIMIT) throw new QuorateError('file-invalid', `${path} is too long for a PIN`);
    let end = length;
    while (end > 0 && (buffer[end - 1] === 0x0a || buffer[end - 1] === 0x0d)) end -= 1;
    return new Secret(buffer.subarray(0, end));
  } catch (error) {
    if (error instanceof QuorateError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    if (code === 'ENOENT') throw new QuorateError('file-missing', `${path}, for the PIN, does not exist`);
    throw new QuorateError('file-invalid', `${path}, for the PIN, cannot be read (${code})`);
  } finally {
    buffer.fill(0);
    if (file !== undefined) closeSync(file);
  }
}

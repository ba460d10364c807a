import { closeSync, constants, fstatSync, openSync, promises, readSync, type Stats, statSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { QuorateError } from './errors.ts';
import { Secret } from './secret.ts';

const OWNER_ONLY = 0o600;
const OTHERS = 0o077;
const WORLD = 0o007;

/** Makes a change of a folder's entries durable (a new file survives a power cut only after this). */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await promises.open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Creates `path` for writing, mode 0600, and fails when anything is there, be it a dangling link.
 * The entry is on disk when this returns. The caller closes the handle.
 * @throws QuorateError `file-exists`, `file-missing` (its folder), `file-invalid` (anything else).
 */
export async function createExclusive(path: string): Promise<FileHandle> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const handle = await promises.open(path, flags, OWNER_ONLY).catch((error: unknown) => {
    throw fileError(path, error);
  });
  await syncFolder(dirname(path));
  return handle;
}

/**
 * Creates `path` exclusively, has `fill` write it, and syncs it to disk. When that fails nothing is left under the name, so
 * that it can be tried again.
 * @throws QuorateError as `createExclusive` does, also for a disk that is full; whatever `fill` throws.
 */
export async function fillExclusive<T>(path: string, fill: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await createExclusive(path);
  try {
    const result = await fill(handle);
    await handle.sync();
    return result;
  } catch (error) {
    await promises.unlink(path).catch(() => undefined);
    throw isFileFault(error) ? fileError(path, error) : error;
  } finally {
    await handle.close();
  }
}

/** Creates `path` exclusively with `data`, synced to disk. Throws as `fillExclusive` does. */
export async function writeExclusive(path: string, data: string | Uint8Array): Promise<void> {
  await fillExclusive(path, (handle) => handle.writeFile(data));
}

/**
 * Replaces `path` in one step: readers see the old file or the new one, never half of either.
 * @throws QuorateError as `createExclusive` does.
 */
export async function replaceFile(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = besideName(path);
  await writeExclusive(temporary, data);
  try {
    await promises.rename(temporary, path);
  } catch (error) {
    await promises.unlink(temporary).catch(() => undefined);
    throw fileError(path, error);
  }
  await syncFolder(dirname(path));
}

/**
 * Creates `path` with all of `data` or not at all: what dies half-way leaves nothing under that name.
 * @throws QuorateError as `createExclusive` does.
 */
export async function createWhole(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = besideName(path);
  await writeExclusive(temporary, data);
  try {
    await promises.link(temporary, path); // unlike a rename it replaces nothing
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await promises.unlink(temporary).catch(() => undefined);
  }
  await syncFolder(dirname(path));
}

/** A name that nobody else has, in the same folder, so that it can be linked or renamed from there. */
function besideName(path: string): string {
  const { randomBytes } = process.getBuiltinModule('node:crypto');
  return `${path}.${randomBytes(6).toString('hex')}.new`;
}

/**
 * Reads a whole file of at most `limit` bytes (default 1 MiB).
 * @throws QuorateError `file-missing`, or `file-invalid` (too large, unreadable, a folder).
 */
export async function readBounded(path: string, limit = 1 << 20): Promise<Uint8Array> {
  return readWhole(path, limit, () => undefined);
}

/** `readBounded` as UTF-8 text; `file-invalid` when it is not. */
export async function readText(path: string, limit?: number): Promise<string> {
  const bytes = await readBounded(path, limit);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new QuorateError('file-invalid', `${path} is not UTF-8 text`);
  }
}

/**
 * Reads a secret from a file that only its owner can read, without the newline an editor adds.
 * @throws QuorateError `file-mode` when group or others have any right on it; else as `readBounded`.
 */
export async function readSecretFile(path: string, limit = 64 << 10): Promise<Secret> {
  const bytes = await readWhole(path, limit, ({ mode }) => {
    if ((mode & (isCredential(path) ? WORLD : OTHERS)) === 0) return;
    throw new QuorateError('file-mode', `${path} can be read by others (mode ${(mode & 0o777).toString(8)})`, {
      hint: `chmod 600 ${path}, and consider the secret in it known to whoever could read it.`,
    });
  });
  try {
    return new Secret(withoutNewline(bytes));
  } finally {
    bytes.fill(0);
  }
}

/** A credential of systemd (systemd.exec(5)): the access list for the unit's user shows as rights of the group. */
function isCredential(path: string): boolean {
  const folder = process.env['CREDENTIALS_DIRECTORY'] ?? '';
  return folder !== '' && dirname(path) === folder;
}

/** Reads a secret from an open file descriptor (a pipe, standard input) until its end, without the last newline. */
export async function readSecretDescriptor(descriptor: number, limit = 64 << 10): Promise<Secret> {
  const { createReadStream } = await import('node:fs');
  const chunks: Buffer[] = [];
  try {
    let size = 0;
    for await (const chunk of createReadStream('', { fd: descriptor, autoClose: false })) {
      const bytes = chunk as Buffer;
      chunks.push(bytes);
      size += bytes.length;
      if (size > limit)
        throw new QuorateError(
          'file-invalid',
          `descriptor ${descriptor.toString()} gave more than ${limit.toString()} bytes`,
        );
    }
    const all = new Uint8Array(size);
    let offset = 0;
    for (const chunk of chunks) {
      all.set(chunk, offset);
      offset += chunk.length;
    }
    try {
      return new Secret(withoutNewline(all));
    } finally {
      all.fill(0);
    }
  } catch (error) {
    throw fileError(`descriptor ${descriptor.toString()}`, error);
  } finally {
    for (const chunk of chunks) chunk.fill(0);
  }
}

/** All of a file whose state `check` does not refuse. */
async function readWhole(path: string, limit: number, check: (stat: Stats) => void): Promise<Uint8Array> {
  // What is in a file is there and taken at once, which is much quicker; for a pipe's other end others must not wait.
  try {
    if (statSync(path).isFile()) return readFileNow(path, limit, check);
  } catch (error) {
    throw fileError(path, error);
  }
  const handle = await promises.open(path, 'r').catch((error: unknown) => {
    throw fileError(path, error);
  });
  try {
    const stat = await handle.stat();
    check(stat);
    if (stat.isDirectory()) throw new QuorateError('file-invalid', `${path} is a folder, not a file`);
    const buffer = Buffer.allocUnsafeSlow(limit + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return takeFrom(buffer, length, path, limit);
  } finally {
    await handle.close();
  }
}

function readFileNow(path: string, limit: number, check: (stat: Stats) => void): Uint8Array {
  const descriptor = openSync(path, 'r');
  try {
    const stat = fstatSync(descriptor);
    check(stat);
    const buffer = Buffer.allocUnsafeSlow(Math.min(stat.size, limit) + 1);
    let length = 0;
    while (length < buffer.length) {
      const bytesRead = readSync(descriptor, buffer, length, buffer.length - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return takeFrom(buffer, length, path, limit);
  } finally {
    closeSync(descriptor);
  }
}

/** The first `length` bytes; the buffer is wiped. It is a byte longer than allowed, so that a file that grew is noticed. */
function takeFrom(buffer: Buffer, length: number, path: string, limit: number): Uint8Array {
  try {
    if (length <= limit) return Uint8Array.from(buffer.subarray(0, length));
    throw new QuorateError('file-invalid', `${path} is larger than ${limit.toString()} bytes`);
  } finally {
    buffer.fill(0);
  }
}

function withoutNewline(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  if (end > 0 && bytes[end - 1] === 0x0a) end -= 1;
  if (end > 0 && bytes[end - 1] === 0x0d) end -= 1;
  return bytes.subarray(0, end);
}

/** What people can do about the most frequent things that file systems say. */
const FAULTS: Readonly<Record<string, readonly [message: string, hint: string]>> = {
  ENOSPC: ['the disk is full', 'Free some space, or name a place on another disk. Then run it again.'],
  EDQUOT: ['the disk quota is used up', 'Free some space, or name a place on another disk. Then run it again.'],
  EACCES: ['permission denied', 'Look at the owner and the mode of it, and of the folders above it.'],
  EPERM: ['not permitted', 'Look at the owner and the mode of it, and of the folders above it.'],
  EROFS: ['the file system is read-only', 'Name a place on another one.'],
  EISDIR: ['a folder, not a file', 'Name the file in it.'],
  ENAMETOOLONG: ['the name is too long', 'Name another place.'],
  ELOOP: ['a symbolic link, or a ring of them', 'Name what it points to.'],
  EFBIG: ['larger than files may be here', 'Look at the file size limit: ulimit -f.'],
  EMFILE: ['too many files are open', 'Raise the limit: ulimit -n.'],
  EIO: ['the disk does not read or write', 'Look at the log of the machine.'],
};
const OWN_CODES = ['ENOENT', 'ENOTDIR', 'EEXIST'];

/** Whether an error is what the file system said, and no fault of quorate's. */
export function isFileFault(error: unknown): error is NodeJS.ErrnoException {
  const { code, syscall } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  return (
    error instanceof Error &&
    typeof syscall === 'string' &&
    code !== undefined &&
    (Object.hasOwn(FAULTS, code) || OWN_CODES.includes(code))
  );
}

/** A QuorateError for what the file system said; only the path and the kind of fault, never content. */
export function fileError(path: string, error: unknown): QuorateError {
  if (error instanceof QuorateError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new QuorateError('file-missing', `${path} does not exist`);
    case 'EEXIST':
      return new QuorateError('file-exists', `${path} exists already, and quorate overwrites nothing`, {
        hint: 'Name another file, or move that one away.',
      });
    default: {
      const [message, hint] = FAULTS[code] ?? [];
      return new QuorateError('file-invalid', `${path}: ${message === undefined ? code : `${message} (${code})`}`, {
        ...(hint === undefined ? {} : { hint }),
      });
    }
  }
}

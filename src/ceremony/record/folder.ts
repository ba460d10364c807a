import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { fileError } from '../../files.ts';

/** The names in a ceremony's folder that quorate itself gives. */
export const RECORD_FILE = 'record.jsonl';
export const SCRIPT_FILE = 'script.yaml';
export const REPORT_FILE = 'report.html';
export const SUMS_FILE = 'SHA256SUMS';
export const CHECK_FILE = 'CHECK.txt';
export const SIGNATURES = 'signatures';

/** A path below the folder, which `sha256sum -c` and a shell take as it is: no `..`, no start with a dash or a dot. */
const SAFE = /^[\p{L}\p{N}_][\p{L}\p{N} ._@+-]*(?:\/[\p{L}\p{N}_][\p{L}\p{N} ._@+-]*)*$/u;

export interface RecordPlace {
  readonly folder: string;
  readonly record: string;
}

/** Where the record is that a person names by its folder or its file. @throws QuorateError `file-missing`. */
export async function locateRecord(path: string): Promise<RecordPlace> {
  const found = await stat(path).catch((error: unknown) => {
    throw fileError(path, error);
  });
  if (!found.isDirectory()) return { folder: dirname(path), record: path };
  return { folder: path, record: join(path, RECORD_FILE) };
}

export function isSafeName(name: string): boolean {
  return SAFE.test(name);
}

/**
 * The digest (`sha256:` and hexadecimal) of a file of the folder.
 * @throws QuorateError `file-missing`, `file-invalid` (a link, a folder, an unsafe name).
 */
export async function hashFile(folder: string, name: string): Promise<string> {
  if (!isSafeName(name))
    throw new QuorateError('file-invalid', 'a name of an output is not that of a file below the folder');
  const path = join(folder, name);
  try {
    if (!(await lstat(path)).isFile()) throw new QuorateError('file-invalid', `${path} is not a plain file`);
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    return `sha256:${hash.digest('hex')}`;
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Every entry below the folder that is not a folder, by name, sorted; without signatures, which come later, and the sums. */
export async function listFolder(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    throw fileError(folder, error);
  });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, '/').length))
    .filter((name) => name !== SUMS_FILE && !name.startsWith(`${SIGNATURES}/`))
    .sort();
}

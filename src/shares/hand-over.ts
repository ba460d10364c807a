import { accessSync, closeSync, constants, existsSync, openSync, statfsSync, unlinkSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { delimiter, dirname, join } from 'node:path';
import { QuorateError } from '../errors.ts';
import type { BootedShare } from './boot.ts';

/** `f_type` of a tmpfs (statfs(2), linux/magic.h): memory, never a disk (but for swap, which the unit file forbids). */
const TMPFS = 0x01021994;
const MEMORY = '/dev/shm';
/** The descriptor on which the program finds its shares. */
export const SHARES_DESCRIPTOR = 3;

/**
 * The shares as the node's program reads them: `{"wallet", "node", "shares": [{"epoch", "share"}]}`, the share in base64,
 * the committed epoch first. The caller wipes it.
 */
export function handOverBytes(wallet: string, node: string, shares: readonly BootedShare[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const text = (part: string): void => {
    parts.push(new TextEncoder().encode(part));
  };
  text(`{"wallet":${JSON.stringify(wallet)},"node":${JSON.stringify(node)},"shares":[`);
  for (const [index, { epoch, share }] of shares.entries()) {
    text(`${index === 0 ? '' : ','}{"epoch":${epoch.toString()},"share":"`);
    parts.push(base64Bytes(share));
    text('"}');
  }
  text(']}\n');
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
    part.fill(0);
  }
  return whole;
}

/**
 * The file of the program that `name` means, by PATH where it has no slash.
 * @throws QuorateError `program-missing`, with the exit status that env(1) gives: 127, or 126 when it cannot be run.
 */
export function findProgram(name: string, path: string): string {
  const candidates = name.includes('/') ? [name] : path.split(delimiter).map((folder) => join(folder, name));
  const there = candidates.filter((file) => existsSync(file));
  for (const file of there) {
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // the next one
    }
  }
  throw new QuorateError('program-missing', `${name} ${there.length === 0 ? 'is not there' : 'cannot be run'}`, {
    hint: 'Name it by its full path.',
    exit: there.length === 0 ? 127 : 126,
  });
}

/**
 * Becomes the node's program: no process of quorate stays behind. The program finds `bytes` on descriptor 3, in a file
 * of memory that has no name any more. Wipes `bytes`.
 * @throws QuorateError `file-invalid` where there is no memory file system.
 */
export function becomeProgram(
  file: string,
  args: readonly string[],
  bytes: Uint8Array,
  env: Readonly<Record<string, string | undefined>>,
): never {
  try {
    refuseDisk(MEMORY);
    const path = join(MEMORY, `quorate-${randomBytes(12).toString('hex')}`);
    const writing = openSync(
      path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      // Node keeps only descriptors 0 to 2 open over execve: the lowest free one, 0, carries the file to the shell.
      closeSync(0);
      if (openSync(path, constants.O_RDONLY) !== 0) throw new QuorateError('bug', 'standard input was not free');
    } finally {
      unlinkSync(path);
    }
    writeWhole(writing, bytes);
    closeSync(writing);
  } finally {
    bytes.fill(0);
  }
  if (process.execve === undefined) throw new QuorateError('program-failed', 'this Node cannot become another program');
  const script = `exec "$@" ${SHARES_DESCRIPTOR.toString()}<&0 </dev/null`;
  process.execve('/bin/sh', ['sh', '-c', script, 'sh', file, ...args], {
    ...Object.fromEntries(Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined)),
    QUORATE_SHARES_FD: SHARES_DESCRIPTOR.toString(),
  });
  throw new QuorateError('program-failed', `${file} could not be started`);
}

/** @throws QuorateError `file-invalid` unless the folder is in memory. */
export function refuseDisk(folder: string): void {
  let type: number;
  try {
    ({ type } = statfsSync(folder));
  } catch {
    throw new QuorateError('file-missing', `${folder} does not exist`);
  }
  if (type !== TMPFS) {
    throw new QuorateError('file-invalid', `${folder} is on a disk, where a share must never be`, {
      hint: 'Name a place on a tmpfs, such as a RuntimeDirectory under /run.',
    });
  }
}

/** The folder that a share file would be in, checked. */
export function memoryFolderOf(file: string): string {
  const folder = dirname(file);
  refuseDisk(folder);
  return folder;
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) written += writeSync(descriptor, bytes, written, bytes.length - written);
}

const ALPHABET = new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');

/** Base64 without a string in between, which could not be wiped. */
function base64Bytes(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(4 * Math.ceil(data.length / 3)).fill('='.charCodeAt(0));
  for (let at = 0, to = 0; at < data.length; at += 3, to += 4) {
    const left = data.length - at;
    const bits = ((data[at] ?? 0) << 16) | ((data[at + 1] ?? 0) << 8) | (data[at + 2] ?? 0);
    for (let k = 0; k <= Math.min(left, 3); k += 1) out[to + k] = ALPHABET[(bits >> (18 - 6 * k)) & 63] ?? 0;
  }
  return out;
}

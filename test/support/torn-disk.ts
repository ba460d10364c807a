import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What a rotation of the root key under a Shamir seal writes, in this order and each on its own (OpenBao 2.7.2): the
 * root key wrapped with the key of the shares, the keyring, the root key for standbys, the key of the shares, and the
 * seal's configuration.
 */
export const WRITES = [
  'core/hsm/barrier-unseal-keys',
  'core/keyring',
  'core/root-key',
  'core/shamir-kek',
  'core/seal-config',
] as const;
export type Write = (typeof WRITES)[number];

const MAGIC = 0xed0cdaed;
const HEADER = 16;
const ELEMENT = 16;
const BRANCH = 1;
const LEAF = 2;
const BUCKET = 1;

/** An entry in a file of bbolt: where the leaf's element is, and what it points to. */
interface Entry {
  readonly element: number;
  readonly value: Uint8Array;
  /** Where the value is, and how much room there is after the last entry of its page. */
  readonly at: number;
  readonly free: { readonly at: number; readonly room: number };
  readonly key: string;
}

/** The store of a peer as Raft has applied it so far: bbolt's file, with everything in one bucket. */
const fileOf = (dataFolder: string): string => join(dataFolder, 'vault.db');

/** What a peer's disk holds of what a rotation writes; the peer may be running. */
export function writesOn(dataFolder: string): ReadonlyMap<Write, Uint8Array> {
  const file = readFileSync(fileOf(dataFolder));
  return new Map(WRITES.map((key) => [key, Uint8Array.from(entryOf(file, key).value)]));
}

/** Puts back what was there before, on the disk of a peer that is down. */
export function putBack(dataFolder: string, entries: Iterable<readonly [Write, Uint8Array]>): void {
  const path = fileOf(dataFolder);
  const file = readFileSync(path);
  for (const [key, value] of entries) {
    const entry = entryOf(file, key);
    if (value.length <= entry.value.length) {
      file.set(value, entry.at);
    } else {
      const bytes = Buffer.concat([Buffer.from(key), value]);
      if (bytes.length > entry.free.room) throw new Error(`there is no room for ${key} in its page`);
      file.set(bytes, entry.free.at);
      file.writeUInt32LE(entry.free.at - entry.element, entry.element + 4);
    }
    file.writeUInt32LE(value.length, entry.element + 12);
  }
  writeFileSync(path, file);
}

function entryOf(file: Buffer, key: string): Entry {
  const [meta] = [0, pageSizeOf(file)]
    .filter((page) => file.readUInt32LE(page + HEADER) === MAGIC)
    .sort((one, other) => Number(transactionOf(file, other) - transactionOf(file, one)));
  if (meta === undefined) throw new Error('this is no file of bbolt');
  const root = Number(file.readBigUInt64LE(meta + HEADER + 16));
  const found = [...leaves(file, root * pageSizeOf(file))].find((one) => one.key === key);
  if (found === undefined) throw new Error(`there is no ${key} on this disk`);
  return found;
}

function pageSizeOf(file: Buffer): number {
  return file.readUInt32LE(HEADER + 8);
}

function transactionOf(file: Buffer, meta: number): bigint {
  return file.readBigUInt64LE(meta + HEADER + 48);
}

/** All entries below a page, those of buckets in it too. */
function* leaves(file: Buffer, page: number): Generator<Entry> {
  const flags = file.readUInt16LE(page + 8);
  const count = file.readUInt16LE(page + 10);
  const elements = Array.from({ length: count }, (_, index) => page + HEADER + index * ELEMENT);
  if ((flags & BRANCH) !== 0) {
    for (const element of elements) {
      yield* leaves(file, Number(file.readBigUInt64LE(element + 8)) * pageSizeOf(file));
    }
  }
  if ((flags & LEAF) === 0) return;
  const ends = elements.map((element) => element + sum(file, element, 4, 8, 12));
  const end = Math.max(page + HEADER + count * ELEMENT, ...ends);
  const pages = 1 + file.readUInt32LE(page + 12);
  const free = { at: end, room: page + pages * pageSizeOf(file) - end };
  for (const element of elements) {
    const start = element + file.readUInt32LE(element + 4);
    const at = start + file.readUInt32LE(element + 8);
    const value = file.subarray(at, at + file.readUInt32LE(element + 12));
    if ((file.readUInt32LE(element) & BUCKET) !== 0) {
      const root = Number(value.readBigUInt64LE(0));
      yield* root === 0 ? leaves(file, at + HEADER) : leaves(file, root * pageSizeOf(file));
    } else yield { element, value, at, free, key: file.toString('utf8', start, at) };
  }
}

function sum(file: Buffer, element: number, ...offsets: readonly number[]): number {
  return offsets.reduce((total, offset) => total + file.readUInt32LE(element + offset), 0);
}

import { createCipheriv, createDecipheriv } from 'node:crypto';
import { QuorateError } from '../errors.ts';
import { OAEP_HASHES, type OaepHash } from '../pkcs11/mechanisms.ts';
import type { BlobInfo } from './messages.ts';
import { joined } from './protobuf.ts';
import { type Mechanism, MECHANISMS } from './settings.ts';

/*
 * What the server stores. FORMAT.md describes it for who has to read it without this program; change nothing here that
 * would make a stored blob unreadable.
 */

/** The seal's type, which the server stores and compares at every start: it never changes. */
export const SEAL_TYPE = 'quorate-kms';
export const FORMAT = 'quorate-kms/1';

/** AES-256-GCM. */
export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';

/** One token's part of the data key, encrypted by the token. */
export interface WrappedShare {
  /** The token's name in the configuration. */
  readonly token: string;
  /** The token's serial number, which tells another token under the same name. */
  readonly serial: string;
  /** The key's label and CKA_ID (hexadecimal). */
  readonly key: string;
  readonly id: string;
  readonly mechanism: Mechanism;
  /** RSA-OAEP only. */
  readonly hash?: OaepHash;
  /** AES-GCM only. */
  readonly iv?: Uint8Array;
  /** With AES-GCM's tag at the end. */
  readonly text: Uint8Array;
}

export interface Envelope {
  /** How many shares make the data key; with 1 each share is the data key. */
  readonly threshold: number;
  readonly shares: readonly WrappedShare[];
  readonly nonce: Uint8Array;
  /** With the tag at the end. */
  readonly data: Uint8Array;
  /** The list of shares as it stands in the blob: the data is bound to exactly these bytes. */
  readonly wrapped: Uint8Array;
}

/** What a token binds its part to, where its mechanism can (AES-GCM). */
export function shareContext(threshold: number, token: string, nonce: Uint8Array): Uint8Array {
  return utf8(JSON.stringify([FORMAT, threshold, token, base64(nonce)]));
}

/** The shares as they are stored. */
export function writeShares(threshold: number, shares: readonly WrappedShare[]): Uint8Array {
  const list = shares.map(({ iv, text, token, serial, key, id, mechanism, hash }) => ({
    ...{ token, serial, key, id, mechanism },
    ...(hash === undefined ? {} : { hash }),
    ...(iv === undefined ? {} : { iv: base64(iv) }),
    text: base64(text),
  }));
  return utf8(JSON.stringify({ format: FORMAT, threshold, shares: list }));
}

/** Encrypts `plaintext` under the data key. @param aad what the server wants bound to it; mostly nothing. */
export function encryptData(
  key: Uint8Array,
  plaintext: Uint8Array,
  { nonce, wrapped, aad }: { readonly nonce: Uint8Array; readonly wrapped: Uint8Array; readonly aad: Uint8Array },
): Uint8Array {
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(dataContext(wrapped, aad));
  return joined([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** Undoes `encryptData`; undefined when key, data, shares or `aad` are not those of the encryption. */
export function decryptData(
  key: Uint8Array,
  { nonce, data, wrapped }: Envelope,
  aad: Uint8Array,
): Uint8Array | undefined {
  const decipher = createDecipheriv(CIPHER, key, nonce);
  decipher.setAAD(dataContext(wrapped, aad));
  decipher.setAuthTag(data.subarray(-TAG_BYTES));
  const plaintext = decipher.update(data.subarray(0, -TAG_BYTES));
  try {
    decipher.final();
    return plaintext;
  } catch {
    plaintext.fill(0);
    return undefined;
  }
}

/** @throws QuorateError `hsm-decryption-failed` when the blob is another seal's, of a later format, or damaged. */
export function readEnvelope({ ciphertext, iv, wrappedKey, keyId }: BlobInfo): Envelope {
  const stored = parse(wrappedKey);
  if (stored === undefined) {
    throw new QuorateError(
      'hsm-decryption-failed',
      `what the server stored was not encrypted by quorate-kms but by another seal${keyId === '' ? '' : ` (its key: ${printable(keyId)})`}: start the server with that seal, and migrate`,
    );
  }
  if (stored['format'] !== FORMAT) {
    throw new QuorateError(
      'hsm-decryption-failed',
      `what the server stored has the format ${printable(stored['format'])}, and this quorate-kms reads ${FORMAT}: install a newer one`,
    );
  }
  const { threshold } = stored;
  const list = Array.isArray(stored['shares']) ? (stored['shares'] as unknown[]) : [];
  const shares = list.map(readShare);
  if (
    typeof threshold !== 'number' ||
    !Number.isSafeInteger(threshold) ||
    threshold < 1 ||
    shares.length < threshold ||
    iv.length !== NONCE_BYTES ||
    ciphertext.length < TAG_BYTES
  ) {
    throw damaged();
  }
  return { threshold, shares, nonce: iv, data: ciphertext, wrapped: wrappedKey };
}

function readShare(value: unknown): WrappedShare {
  const entry = isRecord(value) ? value : {};
  const text = (name: string): string => {
    const found = entry[name];
    if (typeof found !== 'string') throw damaged();
    return found;
  };
  const mechanism = MECHANISMS.find((one) => one === entry['mechanism']);
  const hash = OAEP_HASHES.find((one) => one === entry['hash']);
  if (mechanism === undefined || (mechanism === 'rsa-oaep') !== (hash !== undefined)) throw damaged();
  return {
    ...{ token: text('token'), serial: text('serial'), key: text('key'), id: text('id'), mechanism },
    ...(hash === undefined ? {} : { hash }),
    ...(mechanism === 'aes-gcm' ? { iv: bytes(text('iv')) } : {}),
    text: bytes(text('text')),
  };
}

function dataContext(wrapped: Uint8Array, aad: Uint8Array): Uint8Array {
  // The list's length goes before it, so that nothing can move from one part to the other.
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(wrapped.length));
  return joined([utf8(FORMAT), length, wrapped, aad]);
}

function parse(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isRecord(value) && typeof value['format'] === 'string' && value['format'].startsWith('quorate-kms/')
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function damaged(): QuorateError {
  return new QuorateError('hsm-decryption-failed', 'what the server stored is damaged');
}

function printable(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 80));
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const base64 = (value: Uint8Array): string => Buffer.from(value).toString('base64');
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

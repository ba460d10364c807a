import { createHash, randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { QuorateError } from '../errors.ts';
import { type Opener, sealTo } from './hpke.ts';
import { base64Schema, epochSchema, hashSchema, nameSchema, readStatement, statementText } from './statement.ts';

/** The commitment schemes whose shares quorate checks itself; any other name is for a verifier program. */
export const schemeSchema = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.-]{0,31}$/));

/**
 * What is public about one node's share of one epoch, and bound to its ciphertext as associated data.
 * `hash` is the SHA-256 of the salted share, so that a share with little entropy cannot be guessed from it.
 */
export const headerSchema = v.strictObject({
  wallet: nameSchema,
  node: nameSchema,
  epoch: epochSchema,
  /** The committed epoch that this one is to follow; 0 for a wallet's first. */
  previous: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 32 - 1)),
  scheme: schemeSchema,
  threshold: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(255)),
  /** The node's x-coordinate in the scheme, from 1. */
  index: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
  /** The scheme's public commitment, the same for all nodes of an epoch: points in hexadecimal, constant term first. */
  commitment: v.pipe(v.array(v.pipe(v.string(), v.regex(/^(?:[0-9a-f]{2}){1,128}$/))), v.maxLength(255)),
  hash: hashSchema,
});

export type Header = v.InferOutput<typeof headerSchema>;

/** A sealed key share, as the store holds it; format and test vectors are in FORMAT.md. */
export const SHARE = {
  format: 'quorate-share/1',
  schema: v.strictObject({
    header: headerSchema,
    key: v.pipe(v.string(), v.regex(/^(?:x25519|p256):[A-Za-z0-9+/]{43,88}={0,2}$/)),
    enc: base64Schema,
    ciphertext: base64Schema,
  }),
} as const;

export type Envelope = v.InferOutput<typeof SHARE.schema>;

/** The largest share, in bytes: a KV value holds two envelopes and stays under the server's limit of 1 MiB. */
export const LARGEST_SHARE = 256 << 10;
const SALT_LENGTH = 32;
const INFO = new TextEncoder().encode(SHARE.format);

/**
 * Encrypts `share` to the node's key of its epoch.
 * @returns the statement's text, which the node signs.
 * @throws QuorateError `share-invalid` (empty, too large), `key-unusable`.
 */
export async function sealShare(share: Uint8Array, header: Omit<Header, 'hash'>, key: string): Promise<string> {
  if (share.length === 0 || share.length > LARGEST_SHARE) {
    throw new QuorateError('share-invalid', `a key share has 1 to ${LARGEST_SHARE.toString()} bytes`, {
      hint: `What was given has ${share.length.toString()}. Was the right file or descriptor named?`,
    });
  }
  const plaintext = new Uint8Array(SALT_LENGTH + share.length);
  try {
    plaintext.set(randomBytes(SALT_LENGTH));
    plaintext.set(share, SALT_LENGTH);
    const whole: Header = { ...header, hash: sha256(plaintext) };
    const { enc, ciphertext } = await sealTo(key, plaintext, INFO, headerBytes(whole));
    return statementText(SHARE, { header: whole, key, enc: base64(enc), ciphertext: base64(ciphertext) });
  } finally {
    plaintext.fill(0);
  }
}

/**
 * Decrypts an envelope. Whether its node signed it is for the caller to have checked.
 * @returns the share, which the caller wipes.
 * @throws QuorateError `statement-invalid`, `share-undecryptable`, `share-invalid` (its hash does not fit).
 */
export async function openShare(text: string, opener: Opener): Promise<Uint8Array> {
  const { header, key, enc, ciphertext } = readStatement(SHARE, text);
  if (key !== opener.key) {
    throw new QuorateError('share-undecryptable', 'the key share was encrypted to another key than the node has', {
      hint: `It is of ${header.wallet}, epoch ${header.epoch.toString()}. Is this the right node, with the keys of that epoch?`,
    });
  }
  const sealed = { enc: bytes(enc), ciphertext: bytes(ciphertext) };
  const plaintext = await opener.open(sealed, INFO, headerBytes(header));
  try {
    if (plaintext.length <= SALT_LENGTH || sha256(plaintext) !== header.hash) {
      throw new QuorateError('share-invalid', 'the key share is not the one that its header names', {
        hint: 'Whoever sealed it used a broken program. Do not start the node with it; refresh the wallet’s shares.',
      });
    }
    return plaintext.slice(SALT_LENGTH);
  } finally {
    plaintext.fill(0);
  }
}

/** SHA-256 of a statement's text, in hexadecimal: how other statements name it. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

function headerBytes(header: Header): Uint8Array {
  return new TextEncoder().encode(statementText({ format: SHARE.format, schema: headerSchema }, header));
}

function base64(data: Uint8Array): string {
  return Buffer.from(data).toString('base64');
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

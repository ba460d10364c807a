import { createHash, randomBytes } from 'node:crypto';
import { QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { diagnose } from './share-diagnosis.ts';

/** Vault's layout: 32 bytes of data, then one byte x. The only share of a 1 of 1 has no x. */
const WITH_X = 33;
const WITHOUT_X = 32;
const SALT_BYTES = 16;

/** One Shamir part of the root key or recovery key. Whoever parsed it wipes `bytes`. */
export interface Share {
  readonly bytes: Secret;
  /** The x-coordinate: two lower-case hexadecimal digits, `00` for the only share of a 1 of 1. */
  readonly x: string;
}

/** SHA-256 over the salt's 16 bytes and then the share's 32 or 33 bytes; both as lower-case hexadecimal. */
export interface Fingerprint {
  readonly salt: string;
  readonly sha256: string;
}

/**
 * Reads a share as people have it: 66 hexadecimal characters of any case, or 44 of standard base64; blanks
 * and line breaks from a paste do not count. Both are what OpenBao 2.7.2 and Vault 1.14.0 print and take.
 * @param options.single the share is the only one of a 1 of 1, which has 32 bytes and no x.
 * @throws QuorateError `share-invalid` that says what the text looks like instead, and quotes none of it.
 */
export function parseShare(text: Secret, options: { readonly single?: boolean } = {}): Share {
  return text.expose((raw) => {
    const characters = new Uint8Array(raw.length);
    const bytes = new Uint8Array(WITH_X);
    try {
      const count = copyWithoutBlanks(raw, characters);
      const length = decode(characters.subarray(0, count), bytes);
      const expected = options.single === true ? WITHOUT_X : WITH_X;
      if (length !== expected) throw diagnose(raw, characters.subarray(0, count), { single: options.single === true });
      return makeShare(bytes.subarray(0, length));
    } finally {
      characters.fill(0);
      bytes.fill(0);
    }
  });
}

/** The share's text as the server takes it: lower-case hexadecimal, as ASCII bytes. The caller wipes it. */
export function shareText(share: Share): Secret {
  return share.bytes.expose((bytes) => {
    const text = new Uint8Array(bytes.length * 2);
    try {
      for (const [index, byte] of bytes.entries()) {
        text[index * 2] = hexDigit(byte >> 4);
        text[index * 2 + 1] = hexDigit(byte & 15);
      }
      return new Secret(text);
    } finally {
      text.fill(0);
    }
  });
}

/**
 * The salted fingerprint by which a roster knows a share. With a share's hexadecimal text in $share anyone can
 * redo it: `printf %s%s "$salt" "$share" | xxd -r -p | sha256sum`.
 * @param salt 32 hexadecimal digits; random when left out.
 */
export function fingerprintShare(share: Share, salt = randomBytes(SALT_BYTES).toString('hex')): Fingerprint {
  if (!/^[0-9a-f]{32}$/.test(salt)) throw new QuorateError('bug', 'a salt is 32 lower-case hexadecimal digits');
  const sha256 = share.bytes.expose((bytes) =>
    createHash('sha256').update(Buffer.from(salt, 'hex')).update(bytes).digest('hex'),
  );
  return { salt, sha256 };
}

/** Whether `share` is the one that `fingerprint` was made of. */
export function hasFingerprint(share: Share, fingerprint: Fingerprint): boolean {
  return fingerprintShare(share, fingerprint.salt).sha256 === fingerprint.sha256;
}

function makeShare(bytes: Uint8Array): Share {
  if (bytes.length === WITHOUT_X) return { bytes: new Secret(bytes), x: '00' };
  const x = bytes[WITH_X - 1] ?? 0;
  if (x === 0) {
    throw new QuorateError('share-invalid', 'that is not a share: its x-coordinate (the last byte) is 0', {
      hint: 'No server issues such a share. Check the last characters for a typing error.',
    });
  }
  return { bytes: new Secret(bytes), x: x.toString(16).padStart(2, '0') };
}

/** Blanks as they come with a paste: ASCII ones, U+00A0, and a byte order mark. */
function copyWithoutBlanks(from: Uint8Array, to: Uint8Array): number {
  let count = 0;
  for (let index = 0; index < from.length; index += 1) {
    const byte = from[index] ?? 0;
    if (byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)) continue;
    if (byte === 0xc2 && from[index + 1] === 0xa0) {
      index += 1;
    } else if (byte === 0xef && from[index + 1] === 0xbb && from[index + 2] === 0xbf) {
      index += 2;
    } else {
      to[count] = byte;
      count += 1;
    }
  }
  return count;
}

/** Decodes into `out`; the number of bytes, or -1 when the text is neither encoding of 32 or 33 bytes. */
function decode(text: Uint8Array, out: Uint8Array): number {
  if (text.length === WITHOUT_X * 2 || text.length === WITH_X * 2) return decodeHex(text, out);
  return text.length === 44 ? decodeBase64(text, out) : -1;
}

function decodeHex(text: Uint8Array, out: Uint8Array): number {
  for (let index = 0; index < text.length; index += 2) {
    const high = hexValue(text[index]);
    const low = hexValue(text[index + 1]);
    if (high < 0 || low < 0) return -1;
    out[index / 2] = high * 16 + low;
  }
  return text.length / 2;
}

function decodeBase64(text: Uint8Array, out: Uint8Array): number {
  const isPadded = text[43] === 0x3d;
  let length = 0;
  for (let index = 0; index < text.length; index += 4) {
    let group = 0;
    for (let offset = 0; offset < 4; offset += 1) {
      const value = isPadded && index + offset === 43 ? 0 : base64Value(text[index + offset]);
      if (value < 0) return -1;
      group = group * 64 + value;
    }
    // The two bits that stand for nothing must be zero, else two texts would mean the same share.
    if (isPadded && index === 40 && (group & 0xff) !== 0) return -1;
    out[length] = group >> 16;
    out[length + 1] = (group >> 8) & 255;
    out[length + 2] = group & 255;
    length += 3;
  }
  return isPadded ? length - 1 : length;
}

function hexDigit(value: number): number {
  return value < 10 ? 0x30 + value : 0x57 + value;
}

function hexValue(character = 0): number {
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  const letter = character | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

function base64Value(character = 0): number {
  if (character >= 0x41 && character <= 0x5a) return character - 0x41;
  if (character >= 0x61 && character <= 0x7a) return character - 0x47;
  if (character >= 0x30 && character <= 0x39) return character + 4;
  if (character === 0x2b) return 62;
  return character === 0x2f ? 63 : -1;
}

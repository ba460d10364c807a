import { createHmac, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { KEM, Key } from 'hpke';
import { QuorateError } from '../errors.ts';
import { parseRawKey, rawKeyText } from './public-key.ts';

/**
 * How a share is encrypted to its node: HPKE (RFC 9180) in base mode with HKDF-SHA256 and AES-256-GCM, and X25519, or
 * P-256 where the private key lives in the node's PKCS#11 token, which then only computes the ECDH.
 */
export type EncryptionScheme = 'x25519' | 'p256';

/** A node's public key of one epoch: `x25519:` or `p256:` and the raw key (32 or 65 bytes) in base64. */
export type EncryptionKey = string;

/** What was encrypted: the encapsulated key, and the ciphertext with its tag (16 bytes longer than the plaintext). */
export interface Sealed {
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/** Opens what was sealed to one key. The private half stays where it is. */
export interface Opener {
  readonly key: EncryptionKey;
  /** The plaintext, which the caller wipes. @throws QuorateError `share-undecryptable`. */
  open(sealed: Sealed, info: Uint8Array, aad: Uint8Array): Promise<Uint8Array>;
}

const RAW_LENGTH: Readonly<Record<EncryptionScheme, number>> = { x25519: 32, p256: 65 };

/** Whether `text` has the form of an encryption key. */
export function isEncryptionKey(text: string): boolean {
  return parseRawKey(text, RAW_LENGTH) !== undefined;
}

/**
 * Encrypts `plaintext` to `key`; `info` and `aad` must be the same when it is opened.
 * @throws QuorateError `key-unusable`.
 */
export async function sealTo(
  key: EncryptionKey,
  plaintext: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
): Promise<Sealed> {
  const parsed = parseRawKey(key, RAW_LENGTH);
  if (parsed === undefined) throw unusable();
  const hpke = await import('hpke');
  const suite = new hpke.CipherSuite(
    parsed.scheme === 'x25519' ? hpke.KEM_DHKEM_X25519_HKDF_SHA256 : hpke.KEM_DHKEM_P256_HKDF_SHA256,
    hpke.KDF_HKDF_SHA256,
    hpke.AEAD_AES_256_GCM,
  );
  const recipient = await suite.DeserializePublicKey(parsed.raw).catch(() => {
    throw unusable();
  });
  const { encapsulatedSecret, ciphertext } = await suite.Seal(recipient, plaintext, { info, aad });
  return { enc: encapsulatedSecret, ciphertext };
}

/**
 * An opener over a private key in memory, as PKCS#8 PEM.
 * @throws QuorateError `key-unusable`.
 */
export async function openerFromPem(pem: string): Promise<Opener> {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw unusable();
  }
  const scheme = schemeOf(key);
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const hpke = await import('hpke');
  const suite = new hpke.CipherSuite(
    scheme === 'x25519' ? hpke.KEM_DHKEM_X25519_HKDF_SHA256 : hpke.KEM_DHKEM_P256_HKDF_SHA256,
    hpke.KDF_HKDF_SHA256,
    hpke.AEAD_AES_256_GCM,
  );
  const raw = spki.subarray(spki.length - RAW_LENGTH[scheme]);
  const algorithm = scheme === 'x25519' ? { name: 'X25519' } : { name: 'ECDH', namedCurve: 'P-256' };
  const privateKey = key.toCryptoKey(algorithm, false, ['deriveBits']);
  const publicKey = await suite.DeserializePublicKey(raw);
  return {
    key: rawKeyText(scheme, raw),
    open: (sealed, info, aad) =>
      opened(() => suite.Open({ privateKey, publicKey }, sealed.enc, sealed.ciphertext, { info, aad })),
  };
}

/**
 * An opener whose private key (P-256) lives elsewhere.
 * @param publicKey the raw point, 65 bytes.
 * @param diffieHellman the x-coordinate (32 bytes) of the private key times the given point (65 bytes, uncompressed).
 */
export async function openerOfToken(
  publicKey: Uint8Array,
  diffieHellman: (point: Uint8Array) => Promise<Uint8Array>,
): Promise<Opener> {
  const hpke = await import('hpke');
  const held: Key = { type: 'private', extractable: false, algorithm: { name: 'ECDH' } };
  const kem = (): KEM => ({
    ...hpke.KEM_DHKEM_P256_HKDF_SHA256(),
    DeriveKeyPair: cannot,
    GenerateKeyPair: cannot,
    SerializePublicKey: cannot,
    DeserializePublicKey: cannot,
    SerializePrivateKey: cannot,
    DeserializePrivateKey: cannot,
    Encap: cannot,
    Decap: async (enc) => {
      const secret = await diffieHellman(enc);
      try {
        return sharedSecret(secret, enc, publicKey);
      } finally {
        secret.fill(0);
      }
    },
  });
  const suite = new hpke.CipherSuite(kem, hpke.KDF_HKDF_SHA256, hpke.AEAD_AES_256_GCM);
  return {
    key: rawKeyText('p256', publicKey),
    open: (sealed, info, aad) => opened(() => suite.Open(held, sealed.enc, sealed.ciphertext, { info, aad })),
  };
}

async function opened(open: () => Promise<Uint8Array>): Promise<Uint8Array> {
  try {
    return await open();
  } catch (error) {
    if (error instanceof QuorateError) throw error; // the token's own
    throw new QuorateError('share-undecryptable', 'the key share cannot be decrypted with this key', {
      hint: 'It was encrypted to another key or another epoch, or it was changed since.',
    });
  }
}

/** ExtractAndExpand of DHKEM(P-256, HKDF-SHA256): RFC 9180, sections 4 and 4.1. */
function sharedSecret(dh: Uint8Array, enc: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const suite = Buffer.concat([Buffer.from('KEM'), Buffer.from([0x00, 0x10])]);
  const version = Buffer.from('HPKE-v1');
  const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer => {
    const mac = createHmac('sha256', key);
    for (const part of parts) mac.update(part);
    return mac.digest();
  };
  const extracted = hmac(new Uint8Array(32), version, suite, Buffer.from('eae_prk'), dh);
  const context = Buffer.concat([enc, publicKey]);
  const label = Buffer.concat([Buffer.from([0, 32]), version, suite, Buffer.from('shared_secret'), context]);
  try {
    return new Uint8Array(hmac(extracted, label, Buffer.from([1])));
  } finally {
    extracted.fill(0);
  }
}

function cannot(): Promise<never> {
  return Promise.reject(new QuorateError('bug', 'a key in a token was asked for what only its ECDH is used for'));
}

function schemeOf(key: KeyObject): EncryptionScheme {
  if (key.asymmetricKeyType === 'x25519') return 'x25519';
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'p256';
  throw unusable();
}

function unusable(): QuorateError {
  return new QuorateError('key-unusable', 'this is no encryption key that quorate can use', {
    hint: 'A node’s key of an epoch is "x25519:" or "p256:" and base64.',
  });
}

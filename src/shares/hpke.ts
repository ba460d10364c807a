import {
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
} from 'node:crypto';
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
/** RFC 9180, 7: the identifiers of the KEM; of KEM, HKDF-SHA256 (1) and AES-256-GCM (2); and the lengths they have. */
const KEM_ID: Readonly<Record<EncryptionScheme, Uint8Array>> = {
  x25519: new Uint8Array([0x00, 0x20]),
  p256: new Uint8Array([0x00, 0x10]),
};
const SUITE: Readonly<Record<EncryptionScheme, Uint8Array>> = {
  x25519: new Uint8Array([0x00, 0x20, 0x00, 0x01, 0x00, 0x02]),
  p256: new Uint8Array([0x00, 0x10, 0x00, 0x01, 0x00, 0x02]),
};
const [HASH_LENGTH, KEY_LENGTH, NONCE_LENGTH, TAG_LENGTH] = [32, 32, 12, 16];
const text = (ascii: string): Uint8Array => Buffer.from(ascii, 'latin1');
const VERSION = text('HPKE-v1');
const MODE_BASE = new Uint8Array([0x00]);

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
export function openerFromPem(pem: string): Opener {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch {
    throw unusable();
  }
  const scheme = schemeOf(privateKey);
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const head = spki.subarray(0, -RAW_LENGTH[scheme]);
  return openerOf(scheme, spki.subarray(head.length), (enc) => {
    // No point of the curve is refused here, and one whose secret would be zero (RFC 9180, 7.1.4) by the next line.
    const publicKey = createPublicKey({ key: Buffer.concat([head, enc]), format: 'der', type: 'spki' });
    return Promise.resolve(diffieHellman({ privateKey, publicKey }));
  });
}

/**
 * An opener whose private key (P-256) lives elsewhere.
 * @param publicKey the raw point, 65 bytes.
 * @param secretWith the x-coordinate (32 bytes) of the private key times the given point (65 bytes, uncompressed).
 */
export function openerOfToken(publicKey: Uint8Array, secretWith: (point: Uint8Array) => Promise<Uint8Array>): Opener {
  return openerOf('p256', publicKey, secretWith);
}

/**
 * Opens by Node's own primitives, step by step as RFC 9180 has it (base mode, one message): to load and start the
 * library and WebCrypto under it takes a node longer than all else that it checks at boot, and the library cannot leave
 * the key's part to a token. What the library sealed opens here, or nothing does (AES-GCM sees to that).
 */
function openerOf(
  scheme: EncryptionScheme,
  publicKey: Uint8Array,
  secretWith: (enc: Uint8Array) => Promise<Uint8Array>,
): Opener {
  return {
    key: rawKeyText(scheme, publicKey),
    open: async ({ enc, ciphertext }, info, aad) => {
      const secrets: Uint8Array[] = [];
      const kept = <T extends Uint8Array>(secret: T): T => {
        secrets.push(secret);
        return secret;
      };
      try {
        const shared = kept(sharedSecret(scheme, kept(await secretWith(enc)), enc, publicKey));
        const suite = [text('HPKE'), SUITE[scheme]];
        const none = new Uint8Array();
        const context = Buffer.concat([
          MODE_BASE,
          extract(none, suite, 'psk_id_hash', none),
          extract(none, suite, 'info_hash', info),
        ]);
        const secret = kept(extract(shared, suite, 'secret', none));
        const key = kept(expand(secret, suite, 'key', context, KEY_LENGTH));
        const nonce = kept(expand(secret, suite, 'base_nonce', context, NONCE_LENGTH)); // of the first message
        return openGcm(key, nonce, aad, ciphertext);
      } catch (error) {
        if (error instanceof QuorateError) throw error; // the token's own
        throw new QuorateError('share-undecryptable', 'the key share cannot be decrypted with this key', {
          hint: 'It was encrypted to another key or another epoch, or it was changed since.',
        });
      } finally {
        for (const secret of secrets) secret.fill(0);
      }
    },
  };
}

/** ExtractAndExpand of DHKEM (RFC 9180, 4.1). */
function sharedSecret(scheme: EncryptionScheme, dh: Uint8Array, enc: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const suite = [text('KEM'), KEM_ID[scheme]];
  const extracted = extract(new Uint8Array(), suite, 'eae_prk', dh);
  try {
    return expand(extracted, suite, 'shared_secret', Buffer.concat([enc, publicKey]), HASH_LENGTH);
  } finally {
    extracted.fill(0);
  }
}

/** LabeledExtract (RFC 9180, 4) with HKDF-SHA256 (RFC 5869). */
function extract(salt: Uint8Array, suite: readonly Uint8Array[], label: string, ikm: Uint8Array): Uint8Array {
  return hmac(salt, [VERSION, ...suite, text(label), ikm]);
}

/** LabeledExpand, as far as the first block of HKDF-Expand: nothing here is longer. */
function expand(
  prk: Uint8Array,
  suite: readonly Uint8Array[],
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const block = hmac(prk, [new Uint8Array([0, length]), VERSION, ...suite, text(label), info, new Uint8Array([1])]);
  try {
    return block.slice(0, length);
  } finally {
    block.fill(0);
  }
}

function hmac(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  const digest = mac.digest();
  try {
    return new Uint8Array(digest);
  } finally {
    digest.fill(0);
  }
}

function openGcm(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array {
  if (sealed.length < TAG_LENGTH) throw new RangeError('shorter than its tag');
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_LENGTH });
  decipher.setAAD(aad).setAuthTag(sealed.subarray(-TAG_LENGTH));
  const plaintext = decipher.update(sealed.subarray(0, -TAG_LENGTH));
  try {
    decipher.final();
    return new Uint8Array(plaintext);
  } finally {
    plaintext.fill(0);
  }
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

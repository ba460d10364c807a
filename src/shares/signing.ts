import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { QuorateError } from '../errors.ts';
import { parseRawKey, rawKeyText } from './public-key.ts';

/** Ed25519 (RFC 8032), or P-256 with SHA-256 (FIPS 186-5) where the private half lives in a PKCS#11 token. */
export type SigningScheme = 'ed25519' | 'p256';

/** A node's signing key as it is pinned: `ed25519:` or `p256:` and the raw public key (32 or 65 bytes) in base64. */
export type PinnedKey = string;

/** Signs as one node. The private half stays where it is. */
export interface Signer {
  readonly key: PinnedKey;
  /** The signature over `bytes`: 64 bytes for both schemes (P-256: r and s, IEEE P1363). */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

const RAW_LENGTH: Readonly<Record<SigningScheme, number>> = { ed25519: 32, p256: 65 };
const SIGNATURE_LENGTH = 64;
/** The DER of a SubjectPublicKeyInfo up to the raw key (RFC 8410 and RFC 5480). */
const SPKI_HEAD: Readonly<Record<SigningScheme, Uint8Array>> = {
  ed25519: Buffer.from('302a300506032b6570032100', 'hex'),
  p256: Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex'),
};

/** Whether `text` is a pinned key that can be used. */
export function isPinnedKey(text: string): boolean {
  return parse(text) !== undefined;
}

/**
 * Whether `key` made `signature` over exactly `bytes`.
 * @throws QuorateError `key-unusable` when `key` is none.
 */
export function verifies(key: PinnedKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  const parsed = parse(key);
  if (parsed === undefined) throw unusable();
  if (signature.length !== SIGNATURE_LENGTH) return false;
  return parsed.scheme === 'ed25519'
    ? verify(null, bytes, parsed.public, signature)
    : verify('sha256', bytes, { key: parsed.public, dsaEncoding: 'ieee-p1363' }, signature);
}

/**
 * A signer over a private key in memory, as PKCS#8 PEM.
 * @throws QuorateError `key-unusable`.
 */
export function signerFromPem(pem: string): Signer {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw unusable();
  }
  const scheme = schemeOf(key);
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return {
    key: rawKeyText(scheme, spki.subarray(spki.length - RAW_LENGTH[scheme])),
    sign: (bytes) =>
      Promise.resolve(
        scheme === 'ed25519' ? sign(null, bytes, key) : sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }),
      ),
  };
}

function schemeOf(key: KeyObject): SigningScheme {
  if (key.asymmetricKeyType === 'ed25519') return 'ed25519';
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'p256';
  throw unusable();
}

interface ParsedKey {
  readonly scheme: SigningScheme;
  readonly public: KeyObject;
}

/** A wallet has few keys and many statements: each is parsed once. */
const parsedKeys = new Map<PinnedKey, ParsedKey>();

function parse(key: PinnedKey): ParsedKey | undefined {
  const known = parsedKeys.get(key);
  if (known !== undefined) return known;
  const parsed = parseRawKey(key, RAW_LENGTH);
  if (parsed === undefined) return undefined;
  try {
    const der = Buffer.concat([SPKI_HEAD[parsed.scheme], parsed.raw]);
    const made = { scheme: parsed.scheme, public: createPublicKey({ key: der, format: 'der', type: 'spki' }) };
    parsedKeys.set(key, made);
    return made;
  } catch {
    return undefined; // not a point of the curve
  }
}

function unusable(): QuorateError {
  return new QuorateError('key-unusable', 'this is no signing key that quorate can use', {
    hint: 'A node signs with Ed25519 or P-256; its pinned key is "ed25519:" or "p256:" and base64.',
  });
}

import { QuorateError } from '../errors.ts';
import type { KeyInfo } from '../pkcs11/keys.ts';
import type { Session } from '../pkcs11/session.ts';
import type { Mechanism } from './settings.ts';

/** A key that seals: one AES key, or an RSA pair. */
export interface SealKey {
  readonly mechanism: Mechanism;
  readonly decrypt: KeyInfo;
  /** The AES key itself; of a pair the public key, where it is on the token. */
  readonly encrypt: KeyInfo | undefined;
}

export interface KeyChoice {
  readonly label: string | undefined;
  /** Hexadecimal. */
  readonly id: string | undefined;
  readonly mechanism: Mechanism | undefined;
}

/**
 * The one key that is meant, after a look at its attributes.
 * @param allowExtractable accept a key whose value can be had from the token.
 * @throws QuorateError `hsm-key-missing`, `hsm-key-ambiguous`, `hsm-key-unfit`, and as the session's methods.
 */
export function chooseKey(session: Session, { label, id, mechanism }: KeyChoice, allowExtractable: boolean): SealKey {
  const query = {
    ...(label === undefined ? {} : { label }),
    ...(id === undefined ? {} : { id: new Uint8Array(Buffer.from(id, 'hex')) }),
  };
  const found = session.findKeys(query);
  const fitting = found.filter(
    ({ class: ofClass, type }) =>
      (mechanism !== 'rsa-oaep' && ofClass === 'secret' && type === 'AES') ||
      (mechanism !== 'aes-gcm' && ofClass === 'private' && type === 'RSA'),
  );
  const what = [...(label === undefined ? [] : [`label "${label}"`]), ...(id === undefined ? [] : [`id ${id}`])].join(
    ' and ',
  );
  const kind = mechanism === undefined ? 'AES or RSA' : mechanism === 'aes-gcm' ? 'AES' : 'RSA';
  const [key, ...others] = fitting;
  if (key === undefined) {
    throw new QuorateError('hsm-key-missing', `no ${kind} key with ${what} on the token`);
  }
  if (others.length > 0) {
    throw new QuorateError(
      'hsm-key-ambiguous',
      `${fitting.length.toString()} keys with ${what} on the token; name one by key_id and mechanism`,
    );
  }
  check(key, allowExtractable);
  if (key.class === 'secret') return { mechanism: 'aes-gcm', decrypt: key, encrypt: key };
  return { mechanism: 'rsa-oaep', decrypt: key, encrypt: publicOf(session, key, found) };
}

function check({ class: ofClass, flags }: KeyInfo, allowExtractable: boolean): void {
  if (flags.decrypt === false || (ofClass === 'secret' && flags.encrypt === false)) {
    throw new QuorateError('hsm-key-unfit', 'the key may not encrypt and decrypt (CKA_ENCRYPT, CKA_DECRYPT)');
  }
  if (allowExtractable) return;
  // A token that does not tell is not believed.
  const wrong = flags.sensitive !== true ? 'not sensitive' : flags.extractable !== false ? 'extractable' : undefined;
  if (wrong === undefined) return;
  throw new QuorateError(
    'hsm-key-unfit',
    `the key is ${wrong}, so its value can be had from the token; make another (quorate hsm keygen), or set allow_extractable = "true"`,
  );
}

function publicOf(session: Session, key: KeyInfo, found: readonly KeyInfo[]): KeyInfo | undefined {
  const modulus = session.modulus(key);
  return found.find((one) => {
    if (one.class !== 'public' || one.type !== 'RSA') return false;
    const other = session.modulus(one);
    return modulus !== undefined && other !== undefined && Buffer.compare(modulus, other) === 0;
  });
}

import type { KeyFlag, KeyInfo } from '../pkcs11/keys.ts';

/** What is wrong with a key: `unfit` keys must not seal anything, the rest should be known. */
export interface KeyFault {
  readonly severity: 'unfit' | 'warning';
  readonly text: string;
}

/** A key of a token, or both halves of an RSA pair, and what to think of it. */
export interface JudgedKey {
  readonly label: string;
  /** CKA_ID, hexadecimal. */
  readonly id: string;
  /** `AES-256`, `RSA-3072`, ... */
  readonly type: string;
  /** The secret key, the private one of a pair, or a public key whose private one is missing. */
  readonly key: KeyInfo;
  readonly publicKey: KeyInfo | undefined;
  /** What it can be used for under a seal; nothing while it is unfit. */
  readonly mechanisms: readonly SealMechanism[];
  readonly faults: readonly KeyFault[];
}

export type SealMechanism = 'aes-gcm' | 'rsa-oaep';

const WIDE: readonly KeyFlag[] = ['sign', 'verify', 'wrap', 'unwrap', 'derive'];
const RSA_LEAST = 2048;
const RSA_WANTED = 3072;
const AES_WANTED = 256;

/** Joins RSA pairs by id, label and length, and judges every key. Sorted by label, then id. */
export function judgeKeys(keys: readonly KeyInfo[]): JudgedKey[] {
  const publics = new Set(keys.filter((key) => key.class === 'public'));
  const judged = keys
    .filter((key) => key.class !== 'public')
    .map((key) => {
      const half =
        key.class === 'private'
          ? [...publics].find((one) => hex(one.id) === hex(key.id) && one.label === key.label && one.bits === key.bits)
          : undefined;
      if (half !== undefined) publics.delete(half);
      return judge(key, half);
    });
  return [...judged, ...[...publics].map((key) => judge(key, undefined))].toSorted(
    (a, b) => a.label.localeCompare(b.label) || a.id.localeCompare(b.id),
  );
}

function judge(key: KeyInfo, publicKey: KeyInfo | undefined): JudgedKey {
  const faults = key.class === 'public' ? [unfit('its private key is not on this token')] : faultsOf(key, publicKey);
  return {
    label: key.label,
    id: hex(key.id),
    type: key.bits === undefined ? key.type : `${key.type}-${key.bits.toString()}`,
    key,
    publicKey,
    mechanisms: faults.some(({ severity }) => severity === 'unfit') ? [] : mechanismsOf(key, publicKey),
    faults,
  };
}

function mechanismsOf(key: KeyInfo, publicKey: KeyInfo | undefined): SealMechanism[] {
  if (key.type === 'AES') return ['aes-gcm'];
  return key.type === 'RSA' && publicKey !== undefined ? ['rsa-oaep'] : [];
}

function faultsOf(key: KeyInfo, publicKey: KeyInfo | undefined): KeyFault[] {
  const { flags, bits, type } = key;
  const faults: KeyFault[] = [];
  if (flags.extractable !== false)
    faults.push(unfit(told(flags.extractable, 'the key can be read out', 'extractable')));
  if (flags.sensitive !== true) faults.push(unfit(told(flags.sensitive, 'its value is not protected', 'sensitive')));
  if (flags.neverExtractable === false && flags.extractable === false) {
    faults.push(warning('it could be read out once: copies may exist'));
  }
  if (flags.alwaysSensitive === false && flags.sensitive === true) {
    faults.push(warning('its value was not always protected: copies may exist'));
  }
  if (flags.local === false) faults.push(warning('it was not made on the token: copies may exist'));
  if (flags.private === false) faults.push(warning('it can be used without the PIN'));
  if (flags.token === false) faults.push(unfit('it ends with the session'));
  const opensOthers = flags.decrypt === true && flags.wrap === true;
  if (opensOthers) faults.push(warning('with wrap and decrypt together, other keys of the token can be read out'));
  const wide = WIDE.filter((flag) => flags[flag] === true && !(opensOthers && flag === 'wrap'));
  if (wide.length > 0) faults.push(warning(`it may also ${wide.join(', ')}`));
  if (type === 'AES') {
    if (flags.encrypt !== true || flags.decrypt !== true) faults.push(unfit('it may not both encrypt and decrypt'));
    if (bits !== undefined && bits < AES_WANTED) faults.push(warning(`${bits.toString()} bits: AES-256 is wanted`));
  } else if (type === 'RSA') {
    if (flags.decrypt !== true) faults.push(unfit('it may not decrypt'));
    if (publicKey === undefined) faults.push(unfit('its public key is not on this token'));
    else if (publicKey.flags.encrypt !== true) faults.push(unfit('its public key may not encrypt'));
    if (bits !== undefined && bits < RSA_LEAST) faults.push(unfit(`${bits.toString()} bits are too short`));
    else if (bits !== undefined && bits < RSA_WANTED)
      faults.push(warning(`${bits.toString()} bits: 3072 or more are wanted`));
  } else {
    faults.push(unfit('a seal takes AES and RSA keys'));
  }
  return faults;
}

const unfit = (text: string): KeyFault => ({ severity: 'unfit', text });
const warning = (text: string): KeyFault => ({ severity: 'warning', text });

function told(value: boolean | undefined, words: string, attribute: string): string {
  return value === undefined ? `the token does not tell whether it is ${attribute}` : words;
}

/** `0a1b`, for CKA_ID. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

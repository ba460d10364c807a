import { isAbsolute, join } from 'node:path';
import { QuorateError } from '../errors.ts';
import { OAEP_HASHES } from '../pkcs11/mechanisms.ts';
import { parseSlot } from '../pkcs11/token.ts';
import { MECHANISMS, type Mechanism, type PinSource, type SealSettings, type TokenSettings } from './settings.ts';

/** What a token may be told by: the keys of OpenBao's own PKCS#11 seal, and the PIN's sources. */
const TOKEN_KEYS = [
  ...['lib', 'slot', 'token_label', 'serial', 'key_label', 'key_id', 'mechanism', 'rsa_oaep_hash'],
  ...['pin', 'pin_file', 'pin_env', 'allow_extractable'],
] as const;
type TokenKey = (typeof TOKEN_KEYS)[number];

/** What is said once for the seal. */
const SEAL_KEYS = ['threshold', 'encrypt_min', 'timeout'] as const;

/** What holds for every token that does not say otherwise; the others name one token, or the key to it. */
const COMMON: ReadonlySet<string> = new Set([
  'lib',
  'key_label',
  'key_id',
  'mechanism',
  'rsa_oaep_hash',
  'allow_extractable',
]);

/** What the server must not show. */
export const SENSITIVE_KEYS = ['pin', ...Array.from({ length: 16 }, (_, index) => `token${index + 1}_pin`)];

const MAX_TOKENS = 16;
const NUMBERED = /^token([1-9]\d?)_([a-z_]+)$/;
const DEFAULT_TIMEOUT = 10;

/** As OpenBao's own seal has them: names with or without CKM_, or numbers. */
const MECHANISM_NAMES: Readonly<Record<string, Mechanism>> = {
  'aes_gcm': 'aes-gcm',
  'rsa_pkcs_oaep': 'rsa-oaep',
  '4231': 'aes-gcm',
  '9': 'rsa-oaep',
};

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the stanza of a seal.
 *
 * One token: the keys of OpenBao's PKCS#11 seal as they stand, and BAO_HSM_LIB, BAO_HSM_PIN and the like, which go
 * before the stanza there. Several: `token1_token_label`, `token1_pin_file`, `token2_...`, counted from 1 without gaps,
 * with `threshold`; `lib`, `key_label`, `key_id`, `mechanism`, `rsa_oaep_hash` and `allow_extractable` without a number
 * hold for every token that has none of its own.
 * @throws QuorateError `document-invalid` with every fault in the message, which names keys and never a PIN.
 */
export function readConfiguration(
  config: ReadonlyMap<string, string>,
  env: Environment,
  disallowEnvironment = false,
): SealSettings {
  const faults: string[] = [];
  const common = new Map<string, string>();
  const numbered = new Map<number, Map<string, string>>();
  for (const [key, value] of config) {
    const [, number, name] = NUMBERED.exec(key) ?? [];
    if (number !== undefined && isTokenKey(name)) {
      const token = numbered.get(Number(number)) ?? new Map<string, string>();
      numbered.set(Number(number), token.set(name, value));
    } else if (isTokenKey(key) || (SEAL_KEYS as readonly string[]).includes(key)) {
      common.set(key, value);
    } else {
      faults.push(`unknown key ${JSON.stringify(key.slice(0, 60))}`);
    }
  }
  if (!disallowEnvironment) {
    for (const key of TOKEN_KEYS) {
      const value = env[`BAO_HSM_${key.toUpperCase()}`] ?? '';
      if (value !== '') common.set(key, value);
    }
  }
  const tokens =
    numbered.size === 0
      ? [readToken('', common, env, faults)]
      : severalTokens(numbered, common, faults).map(([number, values]) =>
          readToken(`token${number.toString()}_`, values, env, faults),
        );
  const whole = (key: string, least: number, most: number, otherwise: number): number =>
    readWhole(common.get(key), key, { least, most, otherwise }, faults);
  const count = tokens.length;
  if (count > 1 && (common.get('threshold') ?? '') === '')
    faults.push('threshold is missing: how many of the tokens decrypt');
  const threshold = whole('threshold', 1, count, 1);
  const encryptMin = whole('encrypt_min', threshold, count, count);
  const timeout = whole('timeout', 1, 300, DEFAULT_TIMEOUT);
  const names = tokens.map(({ name }) => name);
  for (const name of new Set(names.filter((one, index) => names.indexOf(one) !== index))) {
    faults.push(`two tokens are called ${JSON.stringify(name)}; tell them apart by serial, in place of token_label`);
  }
  if (faults.length > 0) throw new QuorateError('document-invalid', `seal configuration: ${faults.join('; ')}`);
  return { tokens, threshold, encryptMin, timeout };
}

function isTokenKey(key: string | undefined): key is TokenKey {
  return (TOKEN_KEYS as readonly (string | undefined)[]).includes(key);
}

function severalTokens(
  numbered: ReadonlyMap<number, ReadonlyMap<string, string>>,
  common: ReadonlyMap<string, string>,
  faults: string[],
): [number, ReadonlyMap<string, string>][] {
  const numbers = [...numbered.keys()].sort((a, b) => a - b);
  if (numbers.length > MAX_TOKENS) faults.push(`at most ${MAX_TOKENS.toString()} tokens`);
  if (numbers.some((number, index) => number !== index + 1)) {
    faults.push(`tokens are numbered from 1 without gaps, and here they are ${numbers.join(', ')}`);
  }
  for (const key of common.keys()) {
    if (isTokenKey(key) && !COMMON.has(key)) faults.push(`${key} belongs to one token: token1_${key}`);
  }
  const shared = [...common].filter(([key]) => COMMON.has(key));
  return numbers.map((number) => [number, new Map([...shared, ...(numbered.get(number) ?? [])])]);
}

/** @param prefix `token1_`, or nothing. */
function readToken(
  prefix: string,
  values: ReadonlyMap<string, string>,
  env: Environment,
  faults: string[],
): TokenSettings {
  const text = (key: TokenKey): string | undefined => {
    const value = values.get(key) ?? '';
    return value === '' ? undefined : value;
  };
  const fault = (key: string, what: string): void => {
    faults.push(`${prefix}${key} ${what}`);
  };
  const lib = text('lib');
  if (lib === undefined) fault('lib', 'is missing: the path of the PKCS#11 library');
  else if (!isAbsolute(lib)) fault('lib', 'is not an absolute path');
  const [label, serial, slotText] = [text('token_label'), text('serial'), text('slot')];
  const slot = slotText === undefined ? undefined : parseSlot(slotText);
  if (slotText !== undefined && slot === undefined) fault('slot', 'is not a number');
  if (label === undefined && serial === undefined && slotText === undefined) {
    fault('token_label', 'is missing (or slot, or serial): which token');
  }
  const keyLabel = text('key_label');
  const keyId = text('key_id')?.replace(/^0x/i, '').toLowerCase();
  if (keyLabel === undefined && keyId === undefined) fault('key_label', 'is missing (or key_id): which key');
  if (keyId !== undefined && !/^([0-9a-f]{2})+$/.test(keyId)) fault('key_id', 'is not hexadecimal');
  const mechanismText = text('mechanism');
  const mechanism = mechanismText === undefined ? undefined : mechanismOf(mechanismText);
  if (mechanismText !== undefined && mechanism === undefined) {
    fault('mechanism', 'is none of CKM_AES_GCM and CKM_RSA_PKCS_OAEP');
  }
  const hashText = (text('rsa_oaep_hash') ?? 'sha256').toLowerCase().replace('-', '');
  const oaepHash = OAEP_HASHES.find((one) => one === hashText);
  if (oaepHash === undefined) fault('rsa_oaep_hash', `is none of ${OAEP_HASHES.join(', ')}`);
  return {
    name: label ?? (serial === undefined ? `slot ${slotText ?? '?'}` : `serial ${serial}`),
    lib: lib ?? '',
    ...(label === undefined ? {} : { label }),
    ...(slot === undefined ? {} : { slot }),
    ...(serial === undefined ? {} : { serial }),
    ...(keyLabel === undefined ? {} : { keyLabel }),
    ...(keyId === undefined ? {} : { keyId }),
    ...(mechanism === undefined ? {} : { mechanism }),
    oaepHash: oaepHash ?? 'sha256',
    pin: readPinSource(text, env, fault),
    allowExtractable: readFlag(text('allow_extractable'), () => {
      fault('allow_extractable', 'is neither true nor false');
    }),
  };
}

function mechanismOf(text: string): Mechanism | undefined {
  const number = Number(text);
  const name = Number.isSafeInteger(number) ? number.toString() : text.toLowerCase().replace(/^ckm_/, '');
  return MECHANISM_NAMES[name.replaceAll('-', '_')] ?? MECHANISMS.find((one) => one === name);
}

function readPinSource(
  text: (key: TokenKey) => string | undefined,
  env: Environment,
  fault: (key: string, what: string) => void,
): PinSource {
  const [pin, file, variable] = [text('pin'), text('pin_file'), text('pin_env')];
  const given = [pin, file, variable].filter((one) => one !== undefined).length;
  if (given === 0) fault('pin_file', 'is missing (or pin_env, or pin): where the PIN is');
  if (given > 1) fault('pin_file', 'pin_env and pin: give one of them');
  // OpenBao's own seal reads these two forms of `pin`.
  const path = file ?? (pin?.startsWith('file://') === true ? pin.slice('file://'.length) : undefined);
  const name = variable ?? (pin?.startsWith('env://') === true ? pin.slice('env://'.length) : undefined);
  if (path !== undefined) {
    const folder = env['CREDENTIALS_DIRECTORY'];
    const credential = /^\$\{?CREDENTIALS_DIRECTORY\}?\/(.+)$/.exec(path)?.[1];
    if (credential !== undefined && folder === undefined) {
      fault('pin_file', 'names a systemd credential, and the server was not given any (CREDENTIALS_DIRECTORY)');
    }
    const resolved = credential === undefined ? path : join(folder ?? '/', credential);
    if (!isAbsolute(resolved)) fault('pin_file', 'is not an absolute path');
    return { kind: 'file', path: resolved };
  }
  if (name !== undefined) return { kind: 'environment', name };
  return { kind: 'stanza', pin: pin ?? '' };
}

function readFlag(text: string | undefined, fault: () => void): boolean {
  if (text === undefined || text === 'false' || text === '0') return false;
  if (text !== 'true' && text !== '1') fault();
  return true;
}

function readWhole(
  text: string | undefined,
  key: string,
  { least, most, otherwise }: { readonly least: number; readonly most: number; readonly otherwise: number },
  faults: string[],
): number {
  if (text === undefined || text === '') return otherwise;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  faults.push(`${key} is not a whole number from ${least.toString()} to ${most.toString()}`);
  return otherwise;
}

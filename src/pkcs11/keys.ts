import type { Handle, PKCS11, Template } from 'pkcs11js';
import type { Pkcs11js } from './addon.ts';
import { answerOf, calling, failureOf } from './failure.ts';
import { ulongOf } from './token.ts';

export const KEY_CLASSES = ['secret', 'private', 'public'] as const;
export type KeyClass = (typeof KEY_CLASSES)[number];

/** The boolean attributes of a key that decide how safe it is and what it may do. */
const KEY_FLAGS = {
  token: 'CKA_TOKEN',
  private: 'CKA_PRIVATE',
  sensitive: 'CKA_SENSITIVE',
  alwaysSensitive: 'CKA_ALWAYS_SENSITIVE',
  extractable: 'CKA_EXTRACTABLE',
  neverExtractable: 'CKA_NEVER_EXTRACTABLE',
  /** Generated on the token, not brought in from outside. */
  local: 'CKA_LOCAL',
  modifiable: 'CKA_MODIFIABLE',
  encrypt: 'CKA_ENCRYPT',
  decrypt: 'CKA_DECRYPT',
  sign: 'CKA_SIGN',
  verify: 'CKA_VERIFY',
  wrap: 'CKA_WRAP',
  unwrap: 'CKA_UNWRAP',
  derive: 'CKA_DERIVE',
} as const;

export type KeyFlag = keyof typeof KEY_FLAGS;

/** A key object on a token. `handle` is valid in the process and session state that it was found in. */
export interface KeyInfo {
  readonly handle: Handle;
  readonly class: KeyClass;
  /** `AES`, `RSA`, or what CKK_* it is. */
  readonly type: string;
  readonly label: string;
  readonly id: Uint8Array;
  /** Of an AES key or an RSA modulus; undefined where the token does not tell. */
  readonly bits: number | undefined;
  /** undefined where this kind of key has no such attribute, or the token does not tell. */
  readonly flags: Readonly<Record<KeyFlag, boolean | undefined>>;
}

/** Which keys are looked for; all that is given must fit, byte for byte. */
export interface KeyQuery {
  readonly label?: string;
  readonly id?: Uint8Array;
  readonly class?: KeyClass;
  readonly type?: 'AES' | 'RSA' | 'EC';
}

const buffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
const BATCH = 64;

const classNumbers = ({ CKO_SECRET_KEY, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY }: Pkcs11js): Record<KeyClass, number> => ({
  secret: CKO_SECRET_KEY,
  private: CKO_PRIVATE_KEY,
  public: CKO_PUBLIC_KEY,
});

/** The handles of all objects that fit `template`. */
export function findObjects(module: PKCS11, session: Handle, template: Template): Handle[] {
  calling('C_FindObjectsInit', () => {
    module.C_FindObjectsInit(session, template);
  });
  try {
    const found: Handle[] = [];
    for (;;) {
      const batch = calling('C_FindObjects', () => module.C_FindObjects(session, BATCH));
      if (batch.length === 0) return found;
      found.push(...batch);
    }
  } finally {
    calling('C_FindObjectsFinal', () => {
      module.C_FindObjectsFinal(session);
    });
  }
}

/** The handles of the keys that fit. Private and secret keys show only after a login. */
export function findKeys(pkcs11js: Pkcs11js, module: PKCS11, session: Handle, query: KeyQuery): Handle[] {
  const classes = query.class === undefined ? KEY_CLASSES : [query.class];
  return classes.flatMap((one) =>
    findObjects(module, session, [
      { type: pkcs11js.CKA_CLASS, value: classNumbers(pkcs11js)[one] },
      ...(query.label === undefined
        ? []
        : [{ type: pkcs11js.CKA_LABEL, value: buffer(new TextEncoder().encode(query.label)) }]),
      ...(query.id === undefined ? [] : [{ type: pkcs11js.CKA_ID, value: buffer(query.id) }]),
      ...(query.type === undefined ? [] : [{ type: pkcs11js.CKA_KEY_TYPE, value: keyTypes(pkcs11js)[query.type] }]),
    ]),
  );
}

const keyTypes = ({ CKK_AES, CKK_RSA, CKK_EC }: Pkcs11js): Readonly<Record<'AES' | 'RSA' | 'EC', number>> => ({
  AES: CKK_AES,
  RSA: CKK_RSA,
  EC: CKK_EC,
});

/** Why an attribute has no value to be read. */
export type Unread = 'sensitive' | 'absent';

/**
 * One attribute's bytes; `sensitive` when the token will not show it, `absent` when the object has none such.
 * Each is asked for alone, as one that cannot be read fails the whole call. @throws QuorateError as `failureOf`.
 */
export function readAttribute(module: PKCS11, session: Handle, object: Handle, type: number): Uint8Array | Unread {
  try {
    const [attribute] = module.C_GetAttributeValue(session, object, [{ type }]);
    const value = attribute?.value;
    return value === undefined ? 'absent' : new Uint8Array(value);
  } catch (error) {
    const name = answerOf(error)?.name;
    if (name === 'CKR_ATTRIBUTE_SENSITIVE') return 'sensitive';
    if (name === 'CKR_ATTRIBUTE_TYPE_INVALID') return 'absent';
    throw failureOf('C_GetAttributeValue', error);
  }
}

/** Reads all that `KeyInfo` holds: some 20 questions to the token. @throws QuorateError as `failureOf`. */
export function describeKey(pkcs11js: Pkcs11js, module: PKCS11, session: Handle, handle: Handle): KeyInfo {
  const constants = pkcs11js as unknown as Readonly<Record<string, number>>;
  const read = (type: number): Uint8Array | undefined => {
    const value = readAttribute(module, session, handle, type);
    return typeof value === 'string' ? undefined : value;
  };
  const number = (type: number): number | undefined => {
    const value = read(type);
    return value === undefined || value.length === 0 ? undefined : Number(ulongOf(value));
  };
  const flags = Object.fromEntries(
    Object.entries(KEY_FLAGS).map(([name, constant]) => [name, booleanOf(read(constants[constant] ?? 0))]),
  ) as Record<KeyFlag, boolean | undefined>;
  const ofClass = number(pkcs11js.CKA_CLASS);
  const found = KEY_CLASSES.find((one) => classNumbers(pkcs11js)[one] === ofClass) ?? 'secret';
  const type = number(pkcs11js.CKA_KEY_TYPE);
  const isRsa = type === pkcs11js.CKK_RSA;
  const bytes = isRsa ? read(pkcs11js.CKA_MODULUS)?.length : number(pkcs11js.CKA_VALUE_LEN);
  return {
    handle,
    class: found,
    type: typeName(constants, type),
    label: new TextDecoder().decode(read(pkcs11js.CKA_LABEL)),
    id: read(pkcs11js.CKA_ID) ?? new Uint8Array(),
    bits: bytes === undefined || bytes === 0 ? undefined : bytes * 8,
    flags,
  };
}

function booleanOf(value: Uint8Array | undefined): boolean | undefined {
  return value?.length === 1 ? value[0] !== 0 : undefined;
}

function typeName(constants: Readonly<Record<string, number>>, type: number | undefined): string {
  if (type === undefined) return 'unknown';
  const name = Object.keys(constants).find((key) => key.startsWith('CKK_') && constants[key] === type);
  return name?.slice('CKK_'.length) ?? `CKK 0x${type.toString(16)}`;
}

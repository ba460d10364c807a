import type { Handle, KeyPair, PKCS11, Template } from 'pkcs11js';
import type { Pkcs11js } from './addon.ts';
import { P256_PARAMETERS } from './elliptic.ts';
import { calling } from './failure.ts';

export interface NewKey {
  readonly label: string;
  /** CKA_ID: 1 byte or more. A pair has the same on both keys. */
  readonly id: Uint8Array;
  readonly bits: number;
}

/** Public exponent 65537. */
const EXPONENT = Uint8Array.of(1, 0, 1);

const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** See `Session.generateAes`. @throws QuorateError as `failureOf`. */
export function generateAes(p: Pkcs11js, module: PKCS11, session: Handle, { label, id, bits }: NewKey): Handle {
  const template: Template = [
    ...kept(p, label, id),
    { type: p.CKA_VALUE_LEN, value: bits / 8 },
    { type: p.CKA_ENCRYPT, value: true },
    { type: p.CKA_DECRYPT, value: true },
    ...not(p, 'CKA_SIGN', 'CKA_VERIFY', 'CKA_WRAP', 'CKA_UNWRAP', 'CKA_DERIVE'),
  ];
  return calling('C_GenerateKey', () => module.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, template));
}

/** See `Session.generateRsa`. @throws QuorateError as `failureOf`. */
export function generateRsa(p: Pkcs11js, module: PKCS11, session: Handle, { label, id, bits }: NewKey): KeyPair {
  const publicTemplate: Template = [
    ...shown(p, label, id),
    { type: p.CKA_MODULUS_BITS, value: bits },
    { type: p.CKA_PUBLIC_EXPONENT, value: view(EXPONENT) },
    { type: p.CKA_ENCRYPT, value: true },
    ...not(p, 'CKA_VERIFY', 'CKA_WRAP'),
  ];
  const privateTemplate: Template = [
    ...kept(p, label, id),
    { type: p.CKA_DECRYPT, value: true },
    ...not(p, 'CKA_SIGN', 'CKA_UNWRAP', 'CKA_DERIVE'),
  ];
  const mechanism = { mechanism: p.CKM_RSA_PKCS_KEY_PAIR_GEN };
  return calling('C_GenerateKeyPair', () =>
    module.C_GenerateKeyPair(session, mechanism, publicTemplate, privateTemplate),
  );
}

/** See `Session.generateP256`. @throws QuorateError as `failureOf`. */
export function generateP256(
  p: Pkcs11js,
  module: PKCS11,
  session: Handle,
  { label, id }: Omit<NewKey, 'bits'>,
  use: 'sign' | 'derive',
): KeyPair {
  const signs = use === 'sign';
  const publicTemplate: Template = [
    ...shown(p, label, id),
    { type: p.CKA_EC_PARAMS, value: view(P256_PARAMETERS) },
    { type: p.CKA_VERIFY, value: signs },
    ...not(p, 'CKA_ENCRYPT', 'CKA_WRAP'),
  ];
  const privateTemplate: Template = [
    ...kept(p, label, id),
    { type: p.CKA_SIGN, value: signs },
    { type: p.CKA_DERIVE, value: !signs },
    ...not(p, 'CKA_DECRYPT', 'CKA_UNWRAP'),
  ];
  const mechanism = { mechanism: p.CKM_EC_KEY_PAIR_GEN };
  return calling('C_GenerateKeyPair', () =>
    module.C_GenerateKeyPair(session, mechanism, publicTemplate, privateTemplate),
  );
}

/** What every key has that is to stay on the token. */
function kept(p: Pkcs11js, label: string, id: Uint8Array): Template {
  return [
    { type: p.CKA_PRIVATE, value: true },
    { type: p.CKA_SENSITIVE, value: true },
    { type: p.CKA_EXTRACTABLE, value: false },
    ...shown(p, label, id),
  ];
}

function shown(p: Pkcs11js, label: string, id: Uint8Array): Template {
  return [
    { type: p.CKA_TOKEN, value: true },
    { type: p.CKA_LABEL, value: view(new TextEncoder().encode(label)) },
    { type: p.CKA_ID, value: view(id) },
  ];
}

function not(p: Pkcs11js, ...names: readonly string[]): Template {
  const constants = p as unknown as Readonly<Record<string, number>>;
  return names.map((name) => ({ type: constants[name] ?? 0, value: false }));
}

import type { Handle, PKCS11, Template } from 'pkcs11js';
import { QuorateError } from '../errors.ts';
import type { Pkcs11js } from './addon.ts';
import { calling } from './failure.ts';
import { readAttribute } from './keys.ts';

/** CKA_EC_PARAMS of the curve P-256: its object identifier, in DER (RFC 5480). */
export const P256_PARAMETERS = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);

const POINT = 65;
const SIGNATURE = 64;
const SHARED = 32;
/** An OCTET STRING of 65 bytes, in DER. */
const OCTETS = Uint8Array.of(0x04, POINT);

/** See `Session.pointP256`. Tokens give the point as an OCTET STRING (PKCS#11 2.40), older ones as it is. */
export function pointP256(p: Pkcs11js, module: PKCS11, session: Handle, key: Handle): Uint8Array | undefined {
  const value = readAttribute(module, session, key, p.CKA_EC_POINT);
  if (typeof value === 'string') return undefined;
  const wrapped = value.length === POINT + 2 && value[0] === OCTETS[0] && value[1] === OCTETS[1];
  const point = wrapped ? value.slice(2) : value;
  return point.length === POINT && point[0] === 0x04 ? point : undefined;
}

/** See `Session.signP256`. @throws QuorateError as `failureOf`; `hsm-failed` when what comes back is no signature. */
export function signP256(p: Pkcs11js, module: PKCS11, session: Handle, key: Handle, digest: Uint8Array): Uint8Array {
  calling('C_SignInit', () => {
    module.C_SignInit(session, { mechanism: p.CKM_ECDSA }, key);
  });
  const made = calling('C_Sign', () => module.C_Sign(session, Buffer.from(digest), Buffer.alloc(SIGNATURE)));
  if (made.length === SIGNATURE) return new Uint8Array(made);
  throw new QuorateError('hsm-failed', 'the token made no signature of 64 bytes');
}

/**
 * See `Session.deriveP256`. What is derived is a session object that can be read, and is destroyed at once.
 * @throws QuorateError as `failureOf`; `hsm-failed` when the token does not give 32 bytes.
 */
export function deriveP256(p: Pkcs11js, module: PKCS11, session: Handle, key: Handle, point: Uint8Array): Uint8Array {
  const mechanism = {
    mechanism: p.CKM_ECDH1_DERIVE,
    parameter: { type: p.CK_PARAMS_EC_DH, kdf: p.CKD_NULL, publicData: Buffer.from(point) },
  };
  const template: Template = [
    { type: p.CKA_CLASS, value: p.CKO_SECRET_KEY },
    { type: p.CKA_KEY_TYPE, value: p.CKK_GENERIC_SECRET },
    { type: p.CKA_TOKEN, value: false },
    { type: p.CKA_SENSITIVE, value: false },
    { type: p.CKA_EXTRACTABLE, value: true },
    { type: p.CKA_VALUE_LEN, value: SHARED },
  ];
  const derived = calling('C_DeriveKey', () => module.C_DeriveKey(session, mechanism as never, key, template));
  try {
    const value = readAttribute(module, session, derived, p.CKA_VALUE);
    if (typeof value !== 'string' && value.length === SHARED) return value;
    throw new QuorateError('hsm-failed', 'the token keeps to itself what ECDH gave, or made it too short', {
      hint: 'It has to allow that a derived secret is read (CKA_EXTRACTABLE), or the node’s keys have to be in files.',
    });
  } finally {
    calling('C_DestroyObject', () => {
      module.C_DestroyObject(session, derived);
    });
  }
}

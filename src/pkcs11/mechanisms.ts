import type { Mechanism } from 'pkcs11js';
import type { Pkcs11js } from './addon.ts';

/** Hashes of RSA-OAEP, for the label and for MGF1 alike. SoftHSM 2.6.1 does none but SHA-1. */
export const OAEP_HASHES = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const;
export type OaepHash = (typeof OAEP_HASHES)[number];

/** 96 bits, the one length that needs no further hashing (NIST SP 800-38D 8.2). */
export const GCM_IV_BYTES = 12;
export const GCM_TAG_BYTES = 16;

/** CKZ_DATA_SPECIFIED. pkcs11js 2.1.7 has no name for it, and aborts the process when a parameter is missing. */
const DATA_SPECIFIED = 1;

const buffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * AES-GCM with the parameters of PKCS#11 2.40 errata 1, which have ulIvBits: tokens that want it refuse the older
 * struct. `iv` is passed as it is, not copied: a token that chooses the IV itself writes it there.
 */
export function aesGcm({ CKM_AES_GCM, CK_PARAMS_AES_GCM_v240 }: Pkcs11js, iv: Buffer, aad: Uint8Array): Mechanism {
  return {
    mechanism: CKM_AES_GCM,
    parameter: {
      type: CK_PARAMS_AES_GCM_v240,
      iv,
      ivBits: iv.length * 8,
      tagBits: GCM_TAG_BYTES * 8,
      ...(aad.length === 0 ? {} : { aad: buffer(aad) }),
    } as never,
  };
}

/** RSA-OAEP (PKCS #1 2.2) with an empty label. */
export function rsaOaep(pkcs11js: Pkcs11js, hash: OaepHash): Mechanism {
  const suffix = hash.slice(3);
  const constants = pkcs11js as unknown as Readonly<Record<string, number>>;
  return {
    mechanism: pkcs11js.CKM_RSA_PKCS_OAEP,
    parameter: {
      type: pkcs11js.CK_PARAMS_RSA_OAEP,
      hashAlg: constants[hash === 'sha1' ? 'CKM_SHA_1' : `CKM_SHA${suffix}`] ?? 0,
      mgf: constants[`CKG_MGF1_SHA${suffix}`] ?? 0,
      source: DATA_SPECIFIED,
    } as never,
  };
}

let names: ReadonlyMap<number, string> | undefined;

/** `CKM_AES_GCM` for 0x1087; `CKM 0x80000001` for what has no name here. */
export function mechanismName(pkcs11js: Pkcs11js, type: number): string {
  names ??= new Map(
    Object.entries(pkcs11js)
      .filter((entry): entry is [string, number] => entry[0].startsWith('CKM_') && typeof entry[1] === 'number')
      .map(([name, value]) => [value, name]),
  );
  return names.get(type) ?? `CKM 0x${type.toString(16)}`;
}

import { createHash } from 'node:crypto';
import type { OaepHash } from '../pkcs11/mechanisms.ts';

/** Where a PIN comes from. Never more of it than that is kept. */
export type PinSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'environment'; readonly name: string }
  | { readonly kind: 'stanza'; readonly pin: string };

export const MECHANISMS = ['aes-gcm', 'rsa-oaep'] as const;
export type Mechanism = (typeof MECHANISMS)[number];

/** One token, and the key on it. */
export interface TokenSettings {
  /** How messages and blobs name it: its label, else `serial X`, else `slot N`. */
  readonly name: string;
  /** The PKCS#11 library. */
  readonly lib: string;
  readonly label?: string;
  readonly slot?: bigint;
  readonly serial?: string;
  readonly keyLabel?: string;
  /** Hexadecimal, lower case. */
  readonly keyId?: string;
  /** What the key's type gives when not set. */
  readonly mechanism?: Mechanism;
  readonly oaepHash: OaepHash;
  readonly pin: PinSource;
  readonly allowExtractable: boolean;
}

/** A seal: one token, or several of which `threshold` decrypt. */
export interface SealSettings {
  readonly tokens: readonly TokenSettings[];
  readonly threshold: number;
  /** How many tokens an encryption needs; fewer than all makes what can be decrypted with fewer losses. */
  readonly encryptMin: number;
  /** Seconds that a token has for one operation. */
  readonly timeout: number;
}

/** `hsm-a/seal`: the token and its key, for messages. */
export function nameOf({ name, keyLabel, keyId }: TokenSettings): string {
  return `${name}/${keyLabel ?? keyId ?? ''}`;
}

/**
 * The seal's key id, which is how the server notices that what it stored was not made with the seal as it is now: a
 * blob bears the id of the tokens that took part in it, and the server encrypts anew what bears another one than this.
 */
export function sealKeyId(threshold: number, tokens: readonly TokenSettings[]): string {
  const names = tokens.map((token) => [token.name, token.keyLabel ?? '', token.keyId ?? '', token.mechanism ?? '']);
  const digest = createHash('sha256')
    .update(JSON.stringify([threshold, names]))
    .digest('hex')
    .slice(0, 16);
  return `${threshold.toString()} of ${tokens.map(nameOf).join(', ')} #${digest}`;
}

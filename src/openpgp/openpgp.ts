import type { Secret } from '../secret.ts';

export interface PublicKeyOptions {
  readonly now: Date;
  /** A key that expires in fewer days is refused; 0 for one that need only be usable now. */
  readonly minimumValidityDays: number;
}

export interface PublicKeyFacts {
  /** 40 upper-case hexadecimal digits. */
  readonly fingerprint: string;
  readonly userIds: readonly string[];
  /** Of the key that shares are encrypted to, in GnuPG's words: `rsa3072`, `cv25519`, `nistp256`. */
  readonly algorithm: string;
  readonly bits: number;
  /** When the key, or the part of it that shares are encrypted to, ends; null for never. */
  readonly expires: Date | null;
  /** What `pgp_keys` wants (an armoured export gives 400, OpenBao 2.7.2): the key, one user id, one encryption key. */
  readonly binaryBase64: string;
}

/** OpenPGP without a program: checking public keys, and decrypting with a key that is in a file. */
export interface OpenPgp {
  /** The binary form of a message in any form that servers and people have it in; see message.ts. */
  messageBytes(input: Uint8Array): Uint8Array;
  /**
   * Checks that a share encrypted to this key could be read: one public key, binary or armoured, alive, of a kind
   * that servers, GnuPG and smart cards all use, to which something really was encrypted.
   * @throws QuorateError `key-unusable` saying why not.
   */
  checkPublicKey(input: Uint8Array, options: PublicKeyOptions): Promise<PublicKeyFacts>;
  /** A public key whose private half was wiped as soon as it was made: what is encrypted to it, nobody ever reads. */
  discardedKey(): Promise<PublicKeyFacts>;
  /** Whether the secret key in this file wants a passphrase. @throws QuorateError `key-unusable`. */
  isLocked(keyFile: Uint8Array): Promise<boolean>;
  /**
   * Decrypts a message (in any form that `messageBytes` takes) with the secret key in a file; the caller wipes both.
   * An expired key still decrypts.
   * @throws QuorateError `share-undecryptable` (not a message, for another key, damaged, wrong passphrase),
   *   `key-unusable` (not a secret key).
   */
  decryptWithKeyFile(message: Uint8Array, keyFile: Uint8Array, passphrase?: Secret): Promise<Secret>;
}

/** The adapter; the library behind it is large and loaded only here. */
export async function loadOpenPgp(): Promise<OpenPgp> {
  const { openPgp } = await import('./keys.ts');
  return openPgp;
}

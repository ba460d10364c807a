/** What ceremonies need of OpenPGP and of the clock; the adapters satisfy it, a domain only calls it. */

export interface PublicKeyFacts {
  /** Upper-case hexadecimal, no blanks. */
  readonly fingerprint: string;
  readonly userIds: readonly string[];
  readonly algorithm: string;
  readonly expires: Date | null;
  /** The key as `pgp_keys` wants it: base64 of the binary export (an armoured one gives 400, OpenBao 2.7.2). */
  readonly binaryBase64: string;
}

export interface CeremonyTools {
  now(): Date;
  /**
   * Checks that something can really be encrypted to the key.
   * @throws QuorateError `key-unusable` saying why not.
   */
  checkPublicKey(
    bytes: Uint8Array,
    options: { readonly now: Date; readonly minimumValidityDays: number },
  ): Promise<PublicKeyFacts>;
  /** A public key that nobody has the private half of: for operations whose result must never be used. */
  discardedKey(): Promise<PublicKeyFacts>;
}

import * as pgp from 'openpgp';

/** A binary OpenPGP message to a public key (binary), as the servers make them. */
export async function sealTo(publicKey: Uint8Array, text: string): Promise<Uint8Array> {
  const key = await pgp.readKey({ binaryKey: publicKey });
  const message = await pgp.createMessage({ text });
  const sealed: unknown = await pgp.encrypt({ message, encryptionKeys: key.toPublic(), format: 'binary' });
  if (!(sealed instanceof Uint8Array)) throw new Error('the library encrypted nothing');
  return sealed;
}

/** The same message with armour around it. */
export function armoured(message: Uint8Array): string {
  return pgp.armor(pgp.enums.armor.message, message);
}

export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly privateKey: Uint8Array;
}

/** A key pair that gpg can import too. */
export async function makeKeyPair(passphrase?: string): Promise<KeyPair> {
  const locked = passphrase === undefined ? {} : { passphrase };
  return await pgp.generateKey({ userIDs: [{ name: 'Cleo' }], type: 'ecc', format: 'binary', ...locked });
}

/** Keys in formats that not everything reads: version 6, and version 4 with algorithms of RFC 9580. */
export async function makeUnusualKeys(): Promise<readonly Uint8Array[]> {
  const userIDs = [{ name: 'New' }];
  const six = await pgp.generateKey({ userIDs, type: 'curve25519', format: 'binary', config: { v6Keys: true } });
  const four = await pgp.generateKey({ userIDs, type: 'curve25519', format: 'binary' });
  return [six.publicKey, four.publicKey];
}

export async function armouredKey(privateKey: Uint8Array): Promise<string> {
  return (await pgp.readPrivateKey({ binaryKey: privateKey })).armor();
}

/** How many user ids and subkeys a public key has, and its fingerprint. */
export async function partsOf(
  publicKey: Uint8Array,
): Promise<readonly [users: number, subkeys: number, fingerprint: string]> {
  const key = await pgp.readKey({ binaryKey: publicKey });
  return [key.users.length, key.subkeys.length, key.getFingerprint().toUpperCase()];
}

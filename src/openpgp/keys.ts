import type { AnyPacket, Key, SignaturePacket, Subkey } from 'openpgp';
import { createMessage, encrypt, generateKey, PacketList, PublicKey, readKey, readKeys } from 'openpgp';
import { QuorateError } from '../errors.ts';
import { messageBytes } from './message.ts';
import type { OpenPgp, PublicKeyFacts, PublicKeyOptions } from './openpgp.ts';
import { decryptWithKeyFile, isLocked } from './secret-keys.ts';

const DAY = 86_400_000;
const MIN_RSA_BITS = 2048;
const V4 = 4;
/** Key flags of RFC 9580, section 5.2.3.29: encrypt communications, encrypt storage. */
const MAY_ENCRYPT = 0x0c;

/**
 * What the servers' library (go-crypto), GnuPG 2.2, smart cards and openpgp.js (brainpool it cannot, without a module
 * that it does not bring) all can do. Anything else may be taken by one and not by another, and a key that a server takes at first and then cannot use leaves a cluster that nobody
 * can initialise any more (OpenBao 2.7.2).
 */
const CURVES: Readonly<Record<string, string>> = {
  curve25519Legacy: 'cv25519',
  nistP256: 'nistp256',
  nistP384: 'nistp384',
  nistP521: 'nistp521',
};
const PRIMARY_CURVES = new Set<string | undefined>(['ed25519Legacy', 'nistP256', 'nistP384', 'nistP521', undefined]);
const PRIMARY_ALGORITHMS = new Set(['rsaEncryptSign', 'rsaSign', 'ecdsa', 'eddsaLegacy']);

export const openPgp: OpenPgp = { messageBytes, checkPublicKey, discardedKey, decryptWithKeyFile, isLocked };

async function checkPublicKey(input: Uint8Array, options: PublicKeyOptions): Promise<PublicKeyFacts> {
  const key = await readOne(input);
  const fingerprint = key.getFingerprint().toUpperCase();
  checkPrimary(key);
  await checkAlive(key, options.now);
  const usable = await usableParts(key, options.now);
  const algorithm = algorithmOf(usable.encryption);
  const expires = await earliestExpiry(key, usable.encryption, options.now);
  checkValidity(expires, options);

  const binary = minimalKey(key, usable);
  await trialEncrypt(binary, fingerprint, options.now);
  return {
    fingerprint,
    userIds: key.getUserIDs(),
    ...algorithm,
    expires,
    binaryBase64: Buffer.from(binary).toString('base64'),
  };
}

async function readOne(input: Uint8Array): Promise<Key> {
  const notKey = new QuorateError('key-unusable', 'that is not an OpenPGP public key', {
    hint: 'Export it with `gpg --armor --export FINGERPRINT`.',
  });
  let keys: Key[];
  try {
    if ((input[0] ?? 0) >= 0x80) {
      keys = await readKeys({ binaryKeys: input });
    } else {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(input).trim();
      // The library reads the first block and would leave the others unseen.
      if (text.split('-----BEGIN PGP ').length > 2) throw severalKeys();
      keys = await readKeys({ armoredKeys: text });
    }
  } catch (error) {
    throw error instanceof QuorateError ? error : notKey;
  }
  const [key] = keys;
  if (key === undefined) throw notKey;
  if (keys.length > 1) throw severalKeys();
  if (key.isPrivate()) {
    throw new QuorateError('key-unusable', 'that is a secret key, and only the public one may leave its owner', {
      hint: 'Delete this file, consider the key known to whoever could read it, and export the public key instead.',
    });
  }
  return key;
}

function severalKeys(): QuorateError {
  return new QuorateError('key-unusable', 'there is more than one key in the file', {
    hint: 'Export one key alone, by its full fingerprint: `gpg --armor --export FINGERPRINT`.',
  });
}

function checkPrimary(key: Key): void {
  const { version } = key.keyPacket;
  if (version !== V4) {
    throw unusable(`its format (version ${version.toString()}) is one that servers and smart cards do not read`);
  }
  const { algorithm, bits, curve } = key.getAlgorithmInfo();
  if (!PRIMARY_ALGORITHMS.has(algorithm) || !PRIMARY_CURVES.has(curve))
    throw unusable(`its primary key is of a kind (${curve ?? algorithm}) not everything reads`);
  checkBits(bits);
}

function checkBits(bits: number | undefined): void {
  if (bits === undefined || bits >= MIN_RSA_BITS) return;
  throw unusable(`its RSA key has ${bits.toString()} bits, fewer than ${MIN_RSA_BITS.toString()}`);
}

async function checkAlive(key: Key, now: Date): Promise<void> {
  if (await key.isRevoked(undefined, undefined, now)) throw unusable('it is revoked');
  if (key.getCreationTime() > now) throw unusable('it was made in the future: is a clock wrong?');
  const expiry = await key.getExpirationTime();
  if (expiry instanceof Date && expiry <= now) throw unusable(`it expired on ${expiry.toISOString().slice(0, 10)}`);
  try {
    await key.verifyPrimaryKey(now);
  } catch {
    throw unusable('no user id on it has a valid signature of its own');
  }
}

interface UsableParts {
  readonly encryption: Key | Subkey;
  readonly subkey: { readonly key: Subkey; readonly binding: SignaturePacket } | undefined;
  readonly user: Awaited<ReturnType<Key['getPrimaryUser']>>;
}

async function usableParts(key: Key, now: Date): Promise<UsableParts> {
  let encryption: Key | Subkey;
  try {
    encryption = await key.getEncryptionKey(undefined, now);
  } catch {
    throw await whyNotEncrypt(key, now);
  }
  const user = await key.getPrimaryUser(now);
  if (user.user.userID === null) throw unusable('its primary user id is a picture');
  if (!('mainKey' in encryption)) return { encryption, subkey: undefined, user };
  return { encryption, subkey: { key: encryption, binding: await encryption.verify(now) }, user };
}

async function whyNotEncrypt(key: Key, now: Date): Promise<QuorateError> {
  const flagged = key.subkeys.filter((subkey) =>
    subkey.bindingSignatures.some(({ keyFlags }) => ((keyFlags?.[0] ?? 0) & MAY_ENCRYPT) !== 0),
  );
  if (flagged.length === 0) return unusable('it can only sign: it has no encryption key');
  for (const subkey of flagged) {
    const { bits } = subkey.getAlgorithmInfo();
    if (bits !== undefined && bits < MIN_RSA_BITS)
      return unusable(`its RSA encryption key has ${bits.toString()} bits`);
    const [binding] = subkey.bindingSignatures;
    if (binding !== undefined && (await subkey.isRevoked(binding, subkey.keyPacket, now)))
      return unusable('its encryption key is revoked');
    const expiry = await subkey.getExpirationTime(now);
    if (expiry === null || (expiry instanceof Date && expiry <= now)) return unusable('its encryption key has expired');
  }
  return unusable('its encryption key is of a kind that cannot be used');
}

function algorithmOf(encryption: Key | Subkey): { readonly algorithm: string; readonly bits: number } {
  const { algorithm, bits, curve } = encryption.getAlgorithmInfo();
  if (algorithm === 'rsaEncryptSign' || algorithm === 'rsaEncrypt') {
    checkBits(bits);
    return { algorithm: `rsa${(bits ?? 0).toString()}`, bits: bits ?? 0 };
  }
  const name = algorithm === 'ecdh' && curve !== undefined ? CURVES[curve] : undefined;
  if (name === undefined)
    throw unusable(`its encryption key is of a kind (${curve ?? algorithm}) not everything reads`);
  return { algorithm: name, bits: name === 'cv25519' ? 256 : Number(/[0-9]{3}/.exec(name)?.[0]) };
}

async function earliestExpiry(key: Key, encryption: Key | Subkey, now: Date): Promise<Date | null> {
  const primary = await key.getExpirationTime();
  const subkey = 'mainKey' in encryption ? await encryption.getExpirationTime(now) : primary;
  const dates = [primary, subkey].filter((one) => one instanceof Date);
  return dates.length === 0 ? null : new Date(Math.min(...dates.map((date) => date.getTime())));
}

function checkValidity(expires: Date | null, { now, minimumValidityDays }: PublicKeyOptions): void {
  if (expires === null || expires.getTime() - now.getTime() >= minimumValidityDays * DAY) return;
  const days = Math.floor((expires.getTime() - now.getTime()) / DAY);
  throw new QuorateError(
    'key-unusable',
    `it expires on ${expires.toISOString().slice(0, 10)}, in ${days.toString()} days; at least ${minimumValidityDays.toString()} are asked for`,
    { hint: 'Its owner extends it with `gpg --quick-set-expire` (encryption keys too), and exports it again.' },
  );
}

/**
 * The primary key, one user id, and the one encryption key that was checked, so that the server can pick no other
 * part than the one that was tried here. The fingerprint stays the same.
 */
function minimalKey(key: Key, { subkey, user }: UsableParts): Uint8Array {
  const packets = new PacketList<AnyPacket>();
  packets.push(key.keyPacket);
  if (user.user.userID !== null) packets.push(user.user.userID);
  packets.push(user.selfCertification);
  if (subkey !== undefined) packets.push(subkey.key.keyPacket, subkey.binding);
  return new PublicKey(packets).write();
}

/** Nothing that the flags say is believed until something was encrypted to the very bytes that the server will get. */
async function trialEncrypt(binary: Uint8Array, fingerprint: string, date: Date): Promise<void> {
  try {
    const key = await readKey({ binaryKey: binary });
    const message = await createMessage({ binary: new Uint8Array(33) });
    const sealed: unknown = await encrypt({ message, encryptionKeys: key.toPublic(), format: 'binary', date });
    if (key.getFingerprint().toUpperCase() === fingerprint && sealed instanceof Uint8Array && sealed.length > 0) return;
  } catch {
    // Why does not matter any more: everything that can be named was looked at before.
  }
  throw unusable('encrypting to it was tried and failed');
}

function unusable(why: string): QuorateError {
  return new QuorateError('key-unusable', `the key cannot be used: ${why}`, {
    hint: 'Its owner exports a current one that can encrypt, such as `gpg --quick-generate-key NAME future-default default 3y` makes.',
  });
}

async function discardedKey(): Promise<PublicKeyFacts> {
  const { privateKey, publicKey } = await generateKey({
    type: 'ecc',
    curve: 'nistP256',
    userIDs: [{ name: 'quorate: nobody holds this key' }],
    format: 'object',
  });
  // In the library, and not in its types (6.3.2).
  (privateKey as unknown as { clearPrivateParams(): void }).clearPrivateParams();
  return checkPublicKey(publicKey.write(), { now: new Date(), minimumValidityDays: 0 });
}

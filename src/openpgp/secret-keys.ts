import { decrypt, decryptKey, type PrivateKey, readMessage, readPrivateKeys } from 'openpgp';
import { QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { messageBytes } from './message.ts';

/** See `OpenPgp.isLocked`. */
export async function isLocked(keyFile: Uint8Array): Promise<boolean> {
  return !(await readSecretKey(keyFile)).isDecrypted();
}

/** See `OpenPgp.decryptWithKeyFile`. */
export async function decryptWithKeyFile(input: Uint8Array, keyFile: Uint8Array, passphrase?: Secret): Promise<Secret> {
  const binaryMessage = messageBytes(input);
  const message = await readMessage({ binaryMessage }).catch(() => {
    throw undecryptable('the message is damaged', 'Take the copy that the ceremony wrote.');
  });
  const key = await unlock(await readSecretKey(keyFile), passphrase);
  // An id of zeros hides the recipient, who may be anybody.
  const fits = message.getEncryptionKeyIDs().some((id) => /^0+$/.test(id.toHex()) || key.getKeys(id).length > 0);
  if (!fits) throw undecryptable('the message is encrypted to another key', 'Take the file that bears your own name.');
  const opened: { readonly data: unknown } = await decrypt({ message, decryptionKeys: key, format: 'binary' }).catch(
    () => {
      throw undecryptable('this key does not decrypt the message', 'The message is damaged, or for another key.');
    },
  );
  const { data } = opened;
  if (!(data instanceof Uint8Array)) throw new QuorateError('bug', 'the library gave text for bytes');
  try {
    return new Secret(data);
  } finally {
    data.fill(0);
  }
}

async function readSecretKey(keyFile: Uint8Array): Promise<PrivateKey> {
  const isBinary = (keyFile[0] ?? 0) >= 0x80;
  const keys = await (
    isBinary
      ? readPrivateKeys({ binaryKeys: keyFile })
      : readPrivateKeys({ armoredKeys: new TextDecoder().decode(keyFile).trim() })
  ).catch(() => []);
  const [key] = keys;
  if (key === undefined || keys.length > 1) {
    throw new QuorateError('key-unusable', 'the key file does not hold one OpenPGP secret key', {
      hint: 'Make it with `gpg --export-secret-keys FINGERPRINT`, or leave --key out to decrypt with gpg itself.',
    });
  }
  return key;
}

/** The library wants the passphrase as a string, which cannot be wiped. */
async function unlock(key: PrivateKey, passphrase: Secret | undefined): Promise<PrivateKey> {
  if (key.isDecrypted()) return key;
  if (passphrase === undefined) throw undecryptable('the key in the file wants a passphrase', 'Give the passphrase.');
  try {
    return await decryptKey({ privateKey: key, passphrase: passphrase.exposeText() });
  } catch {
    throw undecryptable('the passphrase does not open the key', 'Try again; nothing counts wrong tries of a key file.');
  }
}

function undecryptable(message: string, hint: string): QuorateError {
  return new QuorateError('share-undecryptable', message, { hint });
}

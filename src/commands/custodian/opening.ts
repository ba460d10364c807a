import { parseShare, type Share } from '../../ceremony/share.ts';
import { isQuorateError } from '../../errors.ts';
import type { OpenPgp } from '../../openpgp/openpgp.ts';
import type { Gpg } from '../../programs/gpg.ts';
import type { Secret } from '../../secret.ts';

/** How a custodian decrypts: with gpg (its agent, its cards), or with a secret key in a file. */
export type Opener =
  | { readonly kind: 'gpg'; readonly gpg: Gpg; readonly home?: string | undefined; readonly signal?: AbortSignal }
  | {
      readonly kind: 'file';
      readonly openpgp: OpenPgp;
      readonly key: Uint8Array;
      /** Asked only when the key has one; the result is wiped here. */
      readonly passphrase: () => Promise<Secret>;
    };

/** Decrypts a message. The caller wipes the result. @throws QuorateError as `Gpg.decrypt`, `OpenPgp.decryptWithKeyFile`. */
export async function openMessage(message: Uint8Array, opener: Opener): Promise<Secret> {
  if (opener.kind === 'gpg') {
    return await opener.gpg.decrypt(message, {
      ...(opener.home === undefined ? {} : { home: opener.home }),
      ...(opener.signal === undefined ? {} : { signal: opener.signal }),
    });
  }
  if (!(await opener.openpgp.isLocked(opener.key))) return await opener.openpgp.decryptWithKeyFile(message, opener.key);
  const passphrase = await opener.passphrase();
  try {
    return await opener.openpgp.decryptWithKeyFile(message, opener.key, passphrase);
  } finally {
    passphrase.wipe();
  }
}

/** Decrypts an issued share, of a cluster with one share or with several. The caller wipes its bytes. */
export async function openShare(message: Uint8Array, opener: Opener): Promise<Share> {
  const text = await openMessage(message, opener);
  try {
    return parseIssued(text);
  } finally {
    text.wipe();
  }
}

/** The server made the text, so its length tells whether it is the only share; a typing error is not to be feared. */
function parseIssued(text: Secret): Share {
  try {
    return parseShare(text);
  } catch (error) {
    if (!isQuorateError(error, 'share-invalid')) throw error;
    try {
      return parseShare(text, { single: true });
    } catch {
      throw error;
    }
  }
}

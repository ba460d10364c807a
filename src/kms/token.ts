import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { KeyInfo } from '../pkcs11/keys.ts';
import { openLibrary, type Pkcs11Library } from '../pkcs11/library.ts';
import type { Session } from '../pkcs11/session.ts';
import type { Secret } from '../secret.ts';
import type { WrappedShare } from './envelope.ts';
import { chooseKey, type SealKey } from './key.ts';
import { readPin } from './pin.ts';
import type { TokenSettings } from './settings.ts';

/** What may be gone at a second try, with a new session. All else would only be the same again. */
const TRANSIENT = new Set([
  ...['hsm-session-lost', 'hsm-token-missing', 'hsm-failed', 'hsm-key-missing', 'hsm-decryption-failed'],
]);

/** A library that other processes start at the same moment may refuse once. */
function started(path: string): Pkcs11Library {
  try {
    return openLibrary(path);
  } catch (error) {
    if (!isQuorateError(error, 'hsm-library-invalid')) throw error;
    return openLibrary(path);
  }
}

interface Opened {
  readonly session: Session;
  readonly serial: string;
}

/**
 * One token of a seal: finds it, logs in, finds its key, and holds that until something fails. All calls block, so this
 * runs in a thread of its own. Every method throws QuorateError; after a failure that may pass it has tried twice.
 */
export class SealToken {
  readonly #settings: TokenSettings;
  readonly #env: Readonly<Record<string, string | undefined>>;
  #library: Pkcs11Library | undefined;
  #opened: Opened | undefined;
  readonly #keys = new Map<string, SealKey>();
  /** Keys that have been seen to decrypt what they encrypted. */
  readonly #proven = new Set<string>();
  /** PINs that the token refused, by a keyed digest, with what it said. */
  readonly #refused = new Map<string, QuorateError>();
  readonly #salt = randomBytes(32);

  constructor(settings: TokenSettings, env: Readonly<Record<string, string | undefined>>) {
    this.#settings = settings;
    this.#env = env;
  }

  /** Loads and initialises the library, no more. @throws QuorateError `hsm-library-invalid`. */
  load(): void {
    this.#library ??= started(this.#settings.lib);
  }

  /** Has the token encrypt its part of a data key, with a key that has been seen to decrypt. */
  wrap(part: Uint8Array, context: Uint8Array): WrappedShare {
    return this.#twice(() => {
      const { session, serial } = this.#open();
      const key = this.#key(session);
      this.#prove(session, key);
      const { label, id } = key.decrypt;
      return {
        ...{ token: this.#settings.name, serial, key: label, id: hex(id), mechanism: key.mechanism },
        ...encrypt(session, key, part, context, this.#settings),
      };
    });
  }

  /** Has the token decrypt what `wrap` made, by the key that made it, else by the configured one. The caller wipes. */
  unwrap(share: WrappedShare, context: Uint8Array): Uint8Array {
    return this.#twice(() => {
      const { session, serial } = this.#open();
      const key = this.#keyOf(session, share);
      try {
        return decrypt(session, key, share, context);
      } catch (error) {
        if (!isQuorateError(error, 'hsm-decryption-failed')) throw error;
        const other =
          serial === share.serial
            ? 'another key bears its name, or what the server stored was changed'
            : `this token has the serial number ${serial}, and the one that encrypted had ${share.serial}`;
        throw new QuorateError('hsm-decryption-failed', `its key does not decrypt this: ${other}`);
      }
    });
  }

  /** A full round trip with the configured key. */
  prove(): void {
    this.#twice(() => {
      const { session } = this.#open();
      const key = this.#key(session);
      this.#proven.delete(nameOf(key));
      this.#prove(session, key);
    });
  }

  /** Lets go of the session and all that depends on it, as everybody must before a library is initialised again. */
  release(): void {
    this.#opened?.session.close();
    this.#opened = undefined;
    this.#keys.clear();
  }

  /** Initialises the library again, so that it sees tokens that came back. */
  reinitialise(): void {
    this.release();
    if (this.#library === undefined) this.load();
    else this.#library.reinitialise();
  }

  #twice<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isQuorateError(error) || !TRANSIENT.has(error.code)) throw error;
      this.release();
      return work();
    }
  }

  #open(): Opened {
    if (this.#opened !== undefined) return this.#opened;
    this.load();
    const library = this.#library;
    if (library === undefined) throw new QuorateError('bug', 'the library is not loaded');
    const { label, slot, serial } = this.#settings;
    const token = library.findToken({
      ...(label === undefined ? {} : { label }),
      ...(slot === undefined ? {} : { slot }),
      ...(serial === undefined ? {} : { serial }),
    });
    const { flags } = token;
    if (!flags.initialised) throw new QuorateError('hsm-token-uninitialised', 'the token was never initialised');
    const session = library.openSession(token);
    try {
      if (flags.loginRequired) {
        if (flags.userPinLocked) throw new QuorateError('pin-locked', 'the PIN is locked; nothing was tried');
        if (flags.userPinFinalTry) {
          throw new QuorateError(
            'pin-last-try',
            'one more wrong PIN would lock the token, so none was tried; log in with the right one by hand first (quorate hsm test)',
          );
        }
        this.#login(session);
      }
    } catch (error) {
      session.close();
      throw error;
    }
    this.#opened = { session, serial: token.serial };
    return this.#opened;
  }

  /** Tries a PIN once: what the token refused is not tried again until the PIN's source gives another. */
  #login(session: Session): void {
    const pin = readPin(this.#settings.pin, this.#env);
    try {
      const digest = this.#digest(pin);
      const refused = this.#refused.get(digest);
      if (refused !== undefined) {
        throw new QuorateError(refused.code, `${refused.message}; not tried again until there is another PIN`);
      }
      try {
        session.login(pin);
      } catch (error) {
        if (isQuorateError(error) && error.code.startsWith('pin-')) this.#refused.set(digest, error);
        throw error;
      }
    } finally {
      pin.wipe();
    }
  }

  #digest(pin: Secret): string {
    return pin.expose((bytes) => createHmac('sha256', this.#salt).update(bytes).digest('hex'));
  }

  #key(session: Session): SealKey {
    const { keyLabel, keyId, mechanism } = this.#settings;
    return this.#find(session, { label: keyLabel, id: keyId, mechanism });
  }

  /** The key that a share names, so that a seal decrypts with the old key after a new one was configured. */
  #keyOf(session: Session, { key, id, mechanism }: WrappedShare): SealKey {
    try {
      return this.#find(session, { label: key, id: id === '' ? undefined : id, mechanism });
    } catch (error) {
      if (!isQuorateError(error, 'hsm-key-missing')) throw error;
      return this.#find(session, { label: this.#settings.keyLabel, id: this.#settings.keyId, mechanism });
    }
  }

  #find(session: Session, query: Parameters<typeof chooseKey>[1]): SealKey {
    const name = JSON.stringify([query.label, query.id, query.mechanism]);
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    const key = chooseKey(session, query, this.#settings.allowExtractable);
    this.#keys.set(name, key);
    return key;
  }

  #prove(session: Session, key: SealKey): void {
    if (this.#proven.has(nameOf(key))) return;
    const sample = new Uint8Array(randomBytes(32));
    const context = new Uint8Array(randomBytes(16));
    const made = encrypt(session, key, sample, context, this.#settings);
    const back = decrypt(session, key, { ...made, mechanism: key.mechanism }, context);
    if (back.length !== sample.length || !timingSafeEqual(back, sample)) {
      throw new QuorateError('hsm-key-unfit', 'the token did not decrypt what it had encrypted a moment before');
    }
    this.#proven.add(nameOf(key));
  }
}

type Text = Pick<WrappedShare, 'hash' | 'iv' | 'text'>;

function encrypt(
  session: Session,
  key: SealKey,
  part: Uint8Array,
  context: Uint8Array,
  { oaepHash }: TokenSettings,
): Text {
  if (key.mechanism === 'aes-gcm') {
    const { iv, ciphertext } = session.encryptGcm(key.decrypt, part, context);
    return { iv, text: ciphertext };
  }
  if (key.encrypt === undefined) {
    throw new QuorateError('hsm-key-missing', 'the RSA key has no public key beside it on the token, to encrypt with');
  }
  return { hash: oaepHash, text: session.encryptOaep(key.encrypt, part, oaepHash) };
}

function decrypt(
  session: Session,
  key: SealKey,
  { mechanism, hash, iv, text }: Text & Pick<WrappedShare, 'mechanism'>,
  context: Uint8Array,
): Uint8Array {
  if (mechanism === 'aes-gcm') {
    return session.decryptGcm(key.decrypt, { iv: iv ?? new Uint8Array(), ciphertext: text }, context);
  }
  return session.decryptOaep(key.decrypt, text, hash ?? 'sha256');
}

const nameOf = ({ decrypt: { label, id }, mechanism }: SealKey): string => `${mechanism} ${hex(id)} ${label}`;
const hex = (bytes: KeyInfo['id']): string => Buffer.from(bytes).toString('hex');

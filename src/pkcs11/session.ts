import type { Handle, KeyPair, Mechanism, PKCS11 } from 'pkcs11js';
import { randomFillSync } from 'node:crypto';
import { QuorateError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import type { Pkcs11js } from './addon.ts';
import { deriveP256, pointP256, signP256 } from './elliptic.ts';
import { answerOf, calling, failureOf } from './failure.ts';
import { generateAes, generateP256, generateRsa, type NewKey } from './generate.ts';
import { describeKey, findKeys, findObjects, type KeyInfo, type KeyQuery, readAttribute, type Unread } from './keys.ts';
import { aesGcm, GCM_IV_BYTES, GCM_TAG_BYTES, type OaepHash, rsaOaep } from './mechanisms.ts';

export interface OpenOptions {
  /** A session that may make and destroy objects. */
  readonly write?: boolean;
}

/** What AES-GCM made. */
export interface GcmText {
  /** As the token used it, which need not be the one that was given. */
  readonly iv: Uint8Array;
  /** The ciphertext and then the 16 bytes of the tag. */
  readonly ciphertext: Uint8Array;
}

const NO_BYTES = new Uint8Array();
const SERIAL = 0x4;
const READ_WRITE = 0x2;
const USER = 1;

/** Without a copy: what the caller wipes is what the token was given. */
const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * A session with a token, opened by `Pkcs11Library.openSession` and closed by its opener. One operation at a time.
 * Every method throws QuorateError as `failureOf` describes, so `hsm-session-lost` when the session has ended.
 */
export class Session {
  readonly #pkcs11js: Pkcs11js;
  readonly #module: PKCS11;
  #session: Handle | undefined;

  private constructor(pkcs11js: Pkcs11js, module: PKCS11, session: Handle) {
    this.#pkcs11js = pkcs11js;
    this.#module = module;
    this.#session = session;
  }

  /** Use `Pkcs11Library.openSession`. */
  static open(pkcs11js: Pkcs11js, module: PKCS11, slot: Handle, { write = false }: OpenOptions): Session {
    const flags = write ? SERIAL | READ_WRITE : SERIAL;
    return new Session(
      pkcs11js,
      module,
      calling('C_OpenSession', () => module.C_OpenSession(slot, flags)),
    );
  }

  get #handle(): Handle {
    if (this.#session === undefined) throw new QuorateError('bug', 'a session was used after it had been closed');
    return this.#session;
  }

  /**
   * Logs the user in, once and for all sessions of this process with the token; nothing is tried twice. Where somebody
   * in this process is logged in already, the token does not look at the PIN and this returns 'already'.
   *
   * The PIN becomes a JavaScript string here, as pkcs11js takes nothing else; that copy cannot be wiped.
   * @throws QuorateError `pin-wrong`, `pin-locked`, `pin-unusable`: do not try the same PIN again.
   */
  login(pin: Secret): 'now' | 'already' {
    const session = this.#handle;
    try {
      this.#module.C_Login(session, USER, pin.exposeText());
      return 'now';
    } catch (error) {
      if (answerOf(error)?.name === 'CKR_USER_ALREADY_LOGGED_IN') return 'already';
      throw failureOf('C_Login', error);
    }
  }

  /** Ends the login of all sessions of this process with the token. */
  logout(): void {
    calling('C_Logout', () => {
      this.#module.C_Logout(this.#handle);
    });
  }

  /** Keys in the token's order. Secret and private ones show only after a login. */
  findKeys(query: KeyQuery = {}): KeyInfo[] {
    return findKeys(this.#pkcs11js, this.#module, this.#handle, query).map((key) =>
      describeKey(this.#pkcs11js, this.#module, this.#handle, key),
    );
  }

  /** How many objects of any kind this session sees; before a login only the public ones. */
  countObjects(): number {
    return findObjects(this.#module, this.#handle, []).length;
  }

  /** The attributes of a key as they are now. */
  describeKey(key: Pick<KeyInfo, 'handle'>): KeyInfo {
    return describeKey(this.#pkcs11js, this.#module, this.#handle, key.handle);
  }

  /**
   * Asks for the value of a secret key (CKA_VALUE) or the private exponent of an RSA key: what must never be had.
   * A value that is handed out is wiped at once; only that it was is told.
   */
  tryToReadValue(key: Pick<KeyInfo, 'handle' | 'class'>): Unread | 'readable' {
    const { CKA_VALUE, CKA_PRIVATE_EXPONENT } = this.#pkcs11js;
    const type = key.class === 'private' ? CKA_PRIVATE_EXPONENT : CKA_VALUE;
    const value = readAttribute(this.#module, this.#handle, key.handle, type);
    if (typeof value === 'string') return value;
    value.fill(0);
    return value.length === 0 ? 'absent' : 'readable';
  }

  /** The modulus of an RSA key, big-endian; undefined for other keys. Equal on both keys of a pair. */
  modulus(key: Pick<KeyInfo, 'handle'>): Uint8Array | undefined {
    const value = readAttribute(this.#module, this.#handle, key.handle, this.#pkcs11js.CKA_MODULUS);
    return typeof value === 'string' ? undefined : value;
  }

  /**
   * An AES key that stays on the token (sensitive, never extractable, private) and can encrypt and decrypt, nothing
   * else. Needs a session with `write` and a login. It does not look whether the label or id is taken.
   */
  generateAes(key: NewKey): KeyInfo {
    return this.describeKey({ handle: generateAes(this.#pkcs11js, this.#module, this.#handle, key) });
  }

  /** An RSA pair on the token: the public key only encrypts, the private one (as `generateAes`) only decrypts. */
  generateRsa(key: NewKey): { readonly public: KeyInfo; readonly private: KeyInfo } {
    return this.#pair(generateRsa(this.#pkcs11js, this.#module, this.#handle, key));
  }

  /** A pair on the curve P-256: the private key (as `generateAes`) only signs, or only agrees on secrets (ECDH). */
  generateP256(
    key: Omit<NewKey, 'bits'>,
    use: 'sign' | 'derive',
  ): { readonly public: KeyInfo; readonly private: KeyInfo } {
    return this.#pair(generateP256(this.#pkcs11js, this.#module, this.#handle, key, use));
  }

  #pair({ publicKey, privateKey }: KeyPair): { readonly public: KeyInfo; readonly private: KeyInfo } {
    return { public: this.describeKey({ handle: publicKey }), private: this.describeKey({ handle: privateKey }) };
  }

  /** The point of a public key on P-256, 65 bytes uncompressed; undefined for other keys. */
  pointP256(key: Pick<KeyInfo, 'handle'>): Uint8Array | undefined {
    return pointP256(this.#pkcs11js, this.#module, this.#handle, key.handle);
  }

  /** ECDSA with a private key on P-256. @param digest SHA-256, 32 bytes. @returns r and s, 64 bytes. */
  signP256(key: Pick<KeyInfo, 'handle'>, digest: Uint8Array): Uint8Array {
    return signP256(this.#pkcs11js, this.#module, this.#handle, key.handle, digest);
  }

  /**
   * ECDH with a private key on P-256. @param point of the other side, 65 bytes uncompressed.
   * @returns the x-coordinate of what both have in common, 32 bytes, which the caller wipes.
   */
  deriveP256(key: Pick<KeyInfo, 'handle'>, point: Uint8Array): Uint8Array {
    return deriveP256(this.#pkcs11js, this.#module, this.#handle, key.handle, point);
  }

  /** Removes a key from the token for good. */
  destroyKey(key: Pick<KeyInfo, 'handle'>): void {
    calling('C_DestroyObject', () => {
      this.#module.C_DestroyObject(this.#handle, key.handle);
    });
  }

  /**
   * AES-GCM with a fresh random IV of 96 bits, or the one that the token chooses itself, as some do in FIPS mode: use
   * the IV that is returned. @param plaintext 1 byte or more; the caller's to wipe.
   * @throws QuorateError also `hsm-failed` when what came back is not as long as AES-GCM makes it.
   */
  encryptGcm(key: Pick<KeyInfo, 'handle'>, plaintext: Uint8Array, aad: Uint8Array = NO_BYTES): GcmText {
    try {
      return this.#encryptGcm(key, plaintext, aad, randomFillSync(Buffer.alloc(GCM_IV_BYTES)));
    } catch (error) {
      // Tokens that insist on an IV of their own may refuse one that is not empty.
      if (!(error instanceof QuorateError && error.message.includes('CKR_MECHANISM_PARAM_INVALID'))) throw error;
      const text = this.#encryptGcm(key, plaintext, aad, Buffer.alloc(GCM_IV_BYTES));
      if (text.iv.some((byte) => byte !== 0)) return text;
      throw new QuorateError('hsm-mechanism-missing', 'the token neither takes an IV for AES-GCM nor returns its own');
    }
  }

  #encryptGcm(key: Pick<KeyInfo, 'handle'>, plaintext: Uint8Array, aad: Uint8Array, iv: Buffer): GcmText {
    const length = plaintext.length + GCM_TAG_BYTES;
    const ciphertext = this.#encrypt(aesGcm(this.#pkcs11js, iv, aad), key.handle, plaintext, length + GCM_TAG_BYTES);
    if (ciphertext.length !== length) {
      throw new QuorateError(
        'hsm-failed',
        `the token made ${ciphertext.length.toString()} bytes of ${plaintext.length.toString()}, where AES-GCM makes ${length.toString()}`,
      );
    }
    // Read only now: the token may have written it with the last call.
    return { iv: new Uint8Array(iv), ciphertext };
  }

  /**
   * Undoes `encryptGcm`; the caller wipes the result.
   * @throws QuorateError `hsm-decryption-failed` when text, IV, additional data or key are not those of the encryption.
   */
  decryptGcm(key: Pick<KeyInfo, 'handle'>, text: GcmText, aad: Uint8Array = NO_BYTES): Uint8Array {
    const mechanism = aesGcm(this.#pkcs11js, Buffer.from(text.iv), aad);
    return this.#decrypt(mechanism, key.handle, text.ciphertext, text.ciphertext.length);
  }

  /** RSA-OAEP with a public key. @param plaintext 1 byte or more, at most the modulus's bytes - 2 * hash - 2. */
  encryptOaep(key: KeyInfo, plaintext: Uint8Array, hash: OaepHash): Uint8Array {
    return this.#encrypt(rsaOaep(this.#pkcs11js, hash), key.handle, plaintext, (key.bits ?? 8192) / 8);
  }

  /** Undoes `encryptOaep` with the private key; the caller wipes the result. @throws as `decryptGcm`. */
  decryptOaep(key: KeyInfo, ciphertext: Uint8Array, hash: OaepHash): Uint8Array {
    return this.#decrypt(rsaOaep(this.#pkcs11js, hash), key.handle, ciphertext, ciphertext.length);
  }

  #encrypt(mechanism: Mechanism, key: Handle, plaintext: Uint8Array, room: number): Uint8Array {
    calling('C_EncryptInit', () => {
      this.#module.C_EncryptInit(this.#handle, mechanism, key);
    });
    const made = calling('C_Encrypt', () => this.#module.C_Encrypt(this.#handle, view(plaintext), Buffer.alloc(room)));
    return new Uint8Array(made);
  }

  #decrypt(mechanism: Mechanism, key: Handle, ciphertext: Uint8Array, room: number): Uint8Array {
    calling('C_DecryptInit', () => {
      this.#module.C_DecryptInit(this.#handle, mechanism, key);
    });
    const buffer = Buffer.alloc(room);
    try {
      return new Uint8Array(calling('C_Decrypt', () => this.#module.C_Decrypt(this.#handle, view(ciphertext), buffer)));
    } finally {
      buffer.fill(0);
    }
  }

  /** Closes the session; another's close, or a token that is gone, has done the same. Safe to call twice. */
  close(): void {
    const session = this.#session;
    this.#session = undefined;
    if (session === undefined) return;
    try {
      this.#module.C_CloseSession(session);
    } catch {
      // The library or the token has forgotten it already.
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

import type { PKCS11 } from 'pkcs11js';
import { QuorateError } from '../errors.ts';
import { loadPkcs11js, type Pkcs11js } from './addon.ts';
import { answerOf, calling, failureOf } from './failure.ts';
import { initialiseToken } from './initialise.ts';
import { mechanismName } from './mechanisms.ts';
import { type OpenOptions, Session } from './session.ts';
import { chooseToken, readToken, type Token, type TokenChoice } from './token.ts';
import type { Secret } from '../secret.ts';

/** What a PKCS#11 library says about itself (CK_INFO). */
export interface LibraryInfo {
  readonly manufacturer: string;
  readonly description: string;
  readonly version: string;
  /** Of the Cryptoki interface, such as `2.40`. */
  readonly cryptoki: string;
}

/** A mechanism of a token. */
export interface MechanismInfo {
  /** `CKM_AES_GCM`; one without a name here is `CKM 0x80000001`. */
  readonly name: string;
  readonly type: number;
  /** Bits or bytes, as the mechanism has it. */
  readonly minKeySize: number;
  readonly maxKeySize: number;
  /** CKF_ENCRYPT and the like. */
  readonly flags: number;
}

const OS_LOCKING = 0x2;

const padless = (text: string): string => text.replace(/[\0 ]+$/, '');

/**
 * A loaded and initialised PKCS#11 library.
 *
 * All calls are synchronous: one that hangs in the library hangs this thread, and even the end of the process. Who
 * cannot bear that calls from a worker or a child process.
 *
 * A library has one state for the whole process, however often it is opened: two `Pkcs11Library` of one path (also in
 * two workers) share its logins, and `reinitialise` or `close` in one ends the sessions of the other, whose next call
 * throws `hsm-session-lost`. The library was initialised for calls from several threads.
 */
export class Pkcs11Library {
  readonly path: string;
  readonly #pkcs11js: Pkcs11js;
  readonly #module: PKCS11;
  #open = true;
  /** Whether this object initialised the library; another that only found it so must not finalise it. */
  #owner: boolean;

  /** Use `openLibrary`. */
  constructor(path: string, pkcs11js: Pkcs11js, module: PKCS11, owner: boolean) {
    this.path = path;
    this.#pkcs11js = pkcs11js;
    this.#module = module;
    this.#owner = owner;
  }

  /** @throws QuorateError as `failureOf`. */
  info(): LibraryInfo {
    const info = calling('C_GetInfo', () => this.#module.C_GetInfo());
    const version = ({ major, minor }: { major: number; minor: number }): string =>
      `${major.toString()}.${minor.toString()}`;
    return {
      manufacturer: padless(info.manufacturerID),
      description: padless(info.libraryDescription),
      version: version(info.libraryVersion),
      cryptoki: version(info.cryptokiVersion),
    };
  }

  /**
   * Every token that is present, also those not initialised. What a library sees of tokens that came or went since it
   * was initialised differs: `reinitialise` first to be sure. A token that vanishes meanwhile is left out.
   * @throws QuorateError as `failureOf`.
   */
  tokens(): Token[] {
    const slots = calling('C_GetSlotList', () => this.#module.C_GetSlotList(true));
    return slots.flatMap((slot) => {
      try {
        return [readToken(this.#module, slot)];
      } catch (error) {
        if (error instanceof QuorateError && error.code === 'hsm-token-missing') return [];
        throw error;
      }
    });
  }

  /** @throws QuorateError `hsm-token-missing`, `hsm-token-ambiguous`, or as `failureOf`. */
  findToken(choice: TokenChoice): Token {
    return chooseToken(this.tokens(), choice);
  }

  /** The same token with its flags as they are now. @throws QuorateError as `failureOf`. */
  refresh(token: Token): Token {
    return readToken(this.#module, token.handle);
  }

  /** What the token offers, in the token's order. @throws QuorateError as `failureOf`. */
  mechanisms(token: Token): MechanismInfo[] {
    const types = calling('C_GetMechanismList', () => this.#module.C_GetMechanismList(token.handle));
    return types.map((type) => this.#mechanism(token, type));
  }

  #mechanism(token: Token, type: number): MechanismInfo {
    const info = calling('C_GetMechanismInfo', () => this.#module.C_GetMechanismInfo(token.handle, type));
    return { name: mechanismName(this.#pkcs11js, type), type, ...info };
  }

  /**
   * A session, read-only unless `write`. The caller closes it; `withSession` does that by itself.
   * @throws QuorateError `hsm-token-missing`, `hsm-failed`, and as `failureOf`.
   */
  openSession(token: Token, options: OpenOptions = {}): Session {
    return Session.open(this.#pkcs11js, this.#module, token.handle, options);
  }

  /** Opens a session for `use`, and closes it however that ends. */
  withSession<T>(token: Token, options: OpenOptions, use: (session: Session) => T): T {
    const session = this.openSession(token, options);
    try {
      return use(session);
    } finally {
      session.close();
    }
  }

  /**
   * Gives a token a label, the security officer's PIN and the user's PIN. What was on it is lost, and its slot may have
   * another number afterwards: the token that comes back is the new one.
   * @param label 1 to 32 bytes of UTF-8.
   * @throws QuorateError `usage` (label), `pin-wrong` (the SO PIN of a token that had one), `pin-unusable`,
   *   `hsm-token-ambiguous` (the new one cannot be told from another), and as `failureOf`.
   */
  initialiseToken(token: Token, label: string, pins: { readonly so: Secret; readonly user: Secret }): Token {
    return initialiseToken(this, this.#module, token, label, pins);
  }

  /**
   * Finalises the library and initialises it again, so that it sees tokens that came back. All sessions of this process
   * with this library end, those of other workers too. @throws QuorateError `hsm-library-invalid`.
   */
  reinitialise(): void {
    try {
      this.#module.C_Finalize();
    } catch (error) {
      if (answerOf(error)?.name !== 'CKR_CRYPTOKI_NOT_INITIALIZED') throw failureOf('C_Finalize', error);
    }
    this.#owner = initialise(this.#module, this.path);
  }

  /** Ends all sessions and finalises the library, if it was this object that initialised it. Safe to call twice. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (!this.#owner) return;
    try {
      this.#module.C_Finalize();
    } catch {
      // Another part of this process did it, or the device is gone: there is nothing left to end.
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Loads a PKCS#11 library and initialises it. Its code runs in this process, with all its rights: the path must be one
 * that the administrator chose. The library stays mapped until the process ends, as libraries are that start threads.
 * @throws QuorateError `hsm-library-invalid` (no such file, not a library for this machine, not PKCS#11, or its
 *   initialisation failed), `program-missing` (pkcs11js).
 */
export function openLibrary(path: string): Pkcs11Library {
  const pkcs11js = loadPkcs11js();
  const module = new pkcs11js.PKCS11();
  try {
    module.load(path);
  } catch (error) {
    throw unloadable(path, error);
  }
  return new Pkcs11Library(path, pkcs11js, module, initialise(module, path));
}

function initialise(module: PKCS11, path: string): boolean {
  try {
    module.C_Initialize({ flags: OS_LOCKING });
    return true;
  } catch (error) {
    const name = answerOf(error)?.name ?? 'no CKR value';
    if (name === 'CKR_CRYPTOKI_ALREADY_INITIALIZED') return false;
    throw new QuorateError('hsm-library-invalid', `${path} does not start (${name} from C_Initialize)`, {
      hint: "Its own configuration file or service is missing or wrong; the vendor's documentation names it.",
    });
  }
}

/** What dlopen said, by the kind of fault only: its text can quote the file. */
function unloadable(path: string, error: unknown): QuorateError {
  const text = error instanceof Error ? error.message : '';
  const hint = 'Give the path of the PKCS#11 library (.so) that came with the HSM.';
  const answer = answerOf(error);
  const why =
    answer !== undefined
      ? `its list of functions is not to be had (${answer.name} from C_GetFunctionList)`
      : /C_GetFunctionList/.test(text)
        ? 'it is a library, but not of PKCS#11'
        : /No such file or directory/.test(text) && text.startsWith(path)
          ? 'there is no such file'
          : /cannot open shared object file/.test(text)
            ? 'it, or a library that it needs, cannot be opened'
            : /invalid ELF header|file too short|wrong ELF class|Exec format/.test(text)
              ? 'it is no library for this machine'
              : 'it cannot be loaded';
  return new QuorateError('hsm-library-invalid', `${path}: ${why}`, { hint });
}

import { inspect } from 'node:util';
import { QuorateError } from './errors.ts';

const REDACTED = '[redacted]';

/**
 * Bytes that must not be printed, logged or left in memory: a share, a token, a password.
 * Every way of turning it into text gives `[redacted]`. The bytes are copied into memory of their
 * own (never a slice of Node's shared pool), so that `wipe` erases what this object holds.
 *
 * What wiping cannot do: copies that the runtime made (a string that a prompt returned, a TLS
 * buffer, what the garbage collector moved) are beyond its reach. See "Secrets in memory" in the README.
 */
export class Secret {
  #bytes: Uint8Array | undefined;

  /** Copies `bytes`; the caller keeps, and wipes, its own. */
  constructor(bytes: Uint8Array) {
    const own = new Uint8Array(bytes.length);
    own.set(bytes);
    this.#bytes = own;
  }

  /** From text that JavaScript already made a string, as UTF-8. The string itself cannot be wiped. */
  static fromText(text: string): Secret {
    const bytes = new TextEncoder().encode(text);
    try {
      return new Secret(bytes);
    } finally {
      bytes.fill(0);
    }
  }

  /** The number of bytes; 0 after `wipe`. */
  get length(): number {
    return this.#bytes?.length ?? 0;
  }

  get wiped(): boolean {
    return this.#bytes === undefined;
  }

  /**
   * Calls `use` with the bytes themselves, which it must neither keep nor change.
   * @throws QuorateError `bug` after `wipe`.
   */
  expose<T>(use: (bytes: Uint8Array) => T): T {
    if (this.#bytes === undefined) throw new QuorateError('bug', 'a secret was used after it had been wiped');
    return use(this.#bytes);
  }

  /** The secret as a string, where an interface takes nothing else (a header, C_Login). */
  exposeText(): string {
    return this.expose((bytes) => new TextDecoder('utf-8', { fatal: false }).decode(bytes));
  }

  /** Equality in time that does not depend on the bytes. */
  equals(other: Secret): boolean {
    // Loaded here, as every command loads this file, and few of them compare.
    const { timingSafeEqual } = process.getBuiltinModule('node:crypto');
    return this.expose((a) => other.expose((b) => a.length === b.length && timingSafeEqual(a, b)));
  }

  /** A second secret with the same bytes, wiped on its own. */
  clone(): Secret {
    return this.expose((bytes) => new Secret(bytes));
  }

  /** Overwrites the bytes with zeros and drops them. Safe to call twice. */
  wipe(): void {
    this.#bytes?.fill(0);
    this.#bytes = undefined;
  }

  [Symbol.dispose](): void {
    this.wipe();
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return `Secret ${REDACTED}`;
  }
}

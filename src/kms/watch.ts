import type { Log } from './log.ts';
import type { SealState } from './title.ts';

/** What the server encrypts only to see whether the seal works (OpenBao 2.7.2), and stores nowhere. */
const PROBE = /^(a|Heartbeat.*)$/;

/**
 * Tells the server's log what the administrator has to know, once per change: which tokens do not answer and why, and
 * that the seal is *degraded*: what the server stored last was encrypted by fewer than all tokens, so that fewer losses
 * make it unreadable than the configuration promises. The server encrypts it anew at its next unseal.
 */
export class Watch {
  readonly #names: readonly string[];
  readonly #log: Log;
  readonly #tell: (state: SealState) => void;
  readonly #away = new Map<string, string>();
  /** The tokens that what is stored was encrypted without. */
  #missing: readonly string[] = [];

  /** @param names of all tokens. @param tell is told the state at each change, and at the start. */
  constructor(names: readonly string[], log: Log, tell: (state: SealState) => void) {
    this.#names = names;
    this.#log = log;
    this.#tell = tell;
    this.#changed();
  }

  answered(name: string): void {
    if (!this.#away.delete(name)) return;
    this.#log('info', `token ${name} answers again`);
    this.#changed();
  }

  failed(name: string, why: string): void {
    // Seconds that count up are no news.
    const gist = why.replace(/\d+ s$/, '');
    if (this.#away.get(name) === gist) return;
    this.#away.set(name, gist);
    this.#log('warn', `token ${name} does not answer: ${why}`);
    this.#changed();
  }

  /** @param took the names of those that took part. @param reasons why the others did not. */
  encrypted(plaintext: Uint8Array, took: readonly string[], reasons: string): void {
    const missing = this.#names.filter((name) => !took.includes(name));
    if (!isProbe(plaintext)) {
      if (missing.length === 0 && this.#missing.length > 0) {
        this.#log('info', 'no longer degraded: the server has encrypted with all tokens');
      }
      this.#missing = missing;
      this.#changed();
    }
    if (missing.length > 0) {
      this.#log(
        'warn',
        `degraded: encrypted with ${took.length.toString()} of ${this.#names.length.toString()} tokens (${reasons})`,
      );
    } else if (this.#missing.length > 0) {
      this.#log(
        'warn',
        `degraded: all tokens answer, but what the server stored was encrypted without ${this.#missing.join(', ')}. It encrypts it anew at its next unseal: restart it, a peer at a time`,
      );
    }
  }

  /** @param took the tokens' names in the blob. @param tokens those that are configured. */
  decrypted(plaintext: Uint8Array, took: readonly string[], tokens: readonly { readonly name: string }[]): void {
    if (isProbe(plaintext)) return;
    const missing = this.#names.filter((_, index) => !took.includes(tokens[index]?.name ?? ''));
    if (missing.length === 0 || this.#missing.length > 0) return;
    this.#log(
      'warn',
      `degraded: what the server stored was encrypted without ${missing.join(', ')}; it encrypts it anew when it is unsealed`,
    );
    this.#missing = missing;
    this.#changed();
  }

  #changed(): void {
    this.#tell({ missing: this.#missing, away: [...this.#away.keys()] });
  }
}

function isProbe(plaintext: Uint8Array): boolean {
  return plaintext.length < 40 && PROBE.test(Buffer.from(plaintext).toString('latin1'));
}

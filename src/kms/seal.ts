import { randomBytes } from 'node:crypto';
import { isQuorateError, QuorateError } from '../errors.ts';
import { divideKey, keysFrom } from './data-key.ts';
import {
  decryptData,
  encryptData,
  type Envelope,
  KEY_BYTES,
  NONCE_BYTES,
  readEnvelope,
  shareContext,
  type WrappedShare,
  writeShares,
} from './envelope.ts';
import type { Log } from './log.ts';
import type { BlobInfo } from './messages.ts';
import { sealKeyId, type SealSettings } from './settings.ts';
import type { SealState } from './title.ts';
import type { TokenThread } from './token-thread.ts';
import { Watch } from './watch.ts';

/** One token's answer, or why there is none. */
type Answer<T> = { readonly token: TokenThread } & (
  { readonly value: T } | { readonly why: string; readonly code: string }
);

/** A configured seal: what the server calls a wrapper. */
export class Seal {
  readonly settings: SealSettings;
  /** What a blob bears that all tokens took part in. */
  readonly keyId: string;
  readonly #tokens: readonly TokenThread[];
  readonly #watch: Watch;
  readonly #log: Log;

  /** @param tell is told which tokens are missing, for whoever looks at the process. */
  constructor(settings: SealSettings, tokens: readonly TokenThread[], log: Log, tell: (state: SealState) => void) {
    this.settings = settings;
    this.#tokens = tokens;
    this.#log = log;
    this.keyId = sealKeyId(settings.threshold, settings.tokens);
    this.#watch = new Watch(
      tokens.map(({ name }) => name),
      log,
      tell,
    );
  }

  /**
   * Loads the libraries. A token that is away, or a library that hangs, is no fault of the configuration, and may be
   * well again when it is needed; a file that is no PKCS#11 library never will.
   * @throws QuorateError `hsm-library-invalid` when fewer libraries load than it takes to decrypt.
   */
  async load(): Promise<void> {
    const answers = await this.#askAll((token) => token.ask('load', {}));
    const invalid = answers.filter((answer) => 'code' in answer && answer.code !== 'hsm-failed');
    if (this.#tokens.length - invalid.length < this.settings.threshold) {
      throw new QuorateError('hsm-library-invalid', reasons(invalid));
    }
  }

  /**
   * A full round trip on every token, for the log alone: what would make sys/init fail is to be seen at the start.
   * Nothing is refused for it, since a server that is initialised opens once enough tokens are back.
   */
  async lookAhead(): Promise<void> {
    try {
      await this.prove(this.settings.encryptMin);
    } catch (error) {
      const why = isQuorateError(error) ? error.message : 'something unexpected';
      this.#log(
        'error',
        `${why}. A server that is not initialised yet must not be before this is mended: see quorate hsm doctor`,
      );
    }
  }

  /** A full round trip on the tokens. @param needed how many have to succeed. @throws QuorateError `not-ready`. */
  async prove(needed: number): Promise<void> {
    const answers = await this.#askAll((token) => token.ask('prove', {}));
    this.#enough(answers, needed, 'encryption');
  }

  /**
   * Encrypts under a fresh data key, of which each token encrypts its part.
   * @throws QuorateError `not-ready` when fewer than `encrypt_min` tokens did.
   */
  async encrypt(plaintext: Uint8Array, aad: Uint8Array): Promise<BlobInfo> {
    const { threshold, encryptMin } = this.settings;
    const key = new Uint8Array(randomBytes(KEY_BYTES));
    const nonce = new Uint8Array(randomBytes(NONCE_BYTES));
    const parts = await divideKey(key, this.#tokens.length, threshold);
    try {
      const answers = await this.#askAll<WrappedShare>((token, index) =>
        token.ask('wrap', {
          part: parts[index] ?? new Uint8Array(),
          context: shareContext(threshold, token.settings.name, nonce),
        }),
      );
      const made = this.#enough(answers, encryptMin, 'encryption');
      const wrapped = writeShares(
        threshold,
        made.map(({ value }) => value),
      );
      const took = made.map(({ token }) => token);
      this.#watch.encrypted(
        plaintext,
        took.map(({ name }) => name),
        reasons(answers),
      );
      return {
        ciphertext: encryptData(key, plaintext, { nonce, wrapped, aad }),
        iv: nonce,
        keyId: sealKeyId(
          threshold,
          took.map(({ settings }) => settings),
        ),
        wrappedKey: wrapped,
      };
    } finally {
      key.fill(0);
      for (const part of parts) part.fill(0);
    }
  }

  /**
   * Decrypts with the first tokens that answer, as many as the blob needs. The caller wipes the result.
   * @throws QuorateError `not-ready` (too few tokens), `hsm-decryption-failed` (the blob).
   */
  async decrypt(blob: BlobInfo, aad: Uint8Array): Promise<Uint8Array> {
    const envelope = readEnvelope(blob);
    const plaintext = await this.#collect(envelope, aad);
    this.#watch.decrypted(
      plaintext,
      envelope.shares.map(({ token }) => token),
      this.settings.tokens,
    );
    return plaintext;
  }

  close(): void {
    for (const token of this.#tokens) token.close();
  }

  /** Settles as soon as the answers suffice; what comes later is wiped. */
  #collect(envelope: Envelope, aad: Uint8Array): Promise<Uint8Array> {
    const { threshold, nonce } = envelope;
    return new Promise((resolve, reject) => {
      const parts: Uint8Array[] = [];
      let done = false;
      const settle = (): void => {
        done = true;
        for (const part of parts.splice(0)) part.fill(0);
      };
      let trying = Promise.resolve();
      const answers = this.#askAll(async (token) => {
        const part = await unwrapAny(token, candidates(envelope, token, this.#tokens), threshold, nonce);
        trying = trying.then(async () => {
          if (done) {
            part.fill(0);
            return;
          }
          parts.push(part);
          const plaintext = parts.length < threshold ? undefined : await openWith(parts, envelope, aad);
          if (plaintext === undefined) return;
          settle();
          resolve(plaintext);
        });
        return trying;
      });
      answers
        .then((all) => {
          if (done) return;
          const got = parts.length;
          settle();
          this.#enough(all, threshold, 'decryption');
          throw new QuorateError(
            'hsm-decryption-failed',
            got === 1
              ? 'the token decrypted its part, and that is not the key: what the server stored was changed'
              : `${got.toString()} tokens decrypted their parts, and these do not make the key: what the server stored was changed`,
          );
        })
        .catch((error: unknown) => {
          reject(error instanceof Error ? error : new QuorateError('bug', 'a failure without an error'));
        });
    });
  }

  async #askAll<T>(ask: (token: TokenThread, index: number) => Promise<T>): Promise<Answer<T>[]> {
    return Promise.all(
      this.#tokens.map(async (token, index): Promise<Answer<T>> => {
        try {
          const value = await ask(token, index);
          this.#watch.answered(token.name);
          return { token, value };
        } catch (error) {
          const { code, message } = isQuorateError(error) ? error : { code: 'bug', message: 'something unexpected' };
          this.#watch.failed(token.name, message);
          return { token, code, why: message };
        }
      }),
    );
  }

  #enough<T>(
    answers: readonly Answer<T>[],
    needed: number,
    what: string,
  ): { readonly token: TokenThread; readonly value: T }[] {
    const good = answers.filter((answer) => 'value' in answer);
    if (good.length >= needed) return good;
    const all = this.#tokens.length;
    const [token] = this.#tokens;
    const lead =
      all === 1 && token !== undefined
        ? `${what} needs the token`
        : `${what} needs ${needed.toString()} of ${all.toString()} tokens, ${good.length.toString()} answered`;
    throw new QuorateError('not-ready', `${lead} (${reasons(answers)})`);
  }
}

/** `hsm-a/seal: why; hsm-b/seal: why` of those that failed. */
function reasons(answers: readonly Answer<unknown>[]): string {
  return answers.flatMap((answer) => ('why' in answer ? [`${answer.token.name}: ${answer.why}`] : [])).join('; ');
}

/**
 * The shares of a blob that may be a token's: the one that bears its name or serial number, else those that belong to
 * no other token of the seal, as after a token was given another name in the configuration.
 */
function candidates({ shares }: Envelope, token: TokenThread, all: readonly TokenThread[]): readonly WrappedShare[] {
  const { name, serial } = token.settings;
  const own = shares.filter((share) => share.token === name || (serial !== undefined && share.serial === serial));
  if (own.length > 0) return own;
  const names = new Set(all.map(({ settings }) => settings.name));
  return shares.filter((share) => !names.has(share.token));
}

async function unwrapAny(
  token: TokenThread,
  shares: readonly WrappedShare[],
  threshold: number,
  nonce: Uint8Array,
): Promise<Uint8Array> {
  let last = new QuorateError('hsm-decryption-failed', 'it took no part when this was encrypted');
  for (const share of shares) {
    try {
      return await token.ask('unwrap', { share, context: shareContext(threshold, share.token, nonce) });
    } catch (error) {
      if (!isQuorateError(error, 'hsm-decryption-failed')) throw error;
      last = error;
    }
  }
  throw last;
}

async function openWith(
  parts: readonly Uint8Array[],
  envelope: Envelope,
  aad: Uint8Array,
): Promise<Uint8Array | undefined> {
  for await (const key of keysFrom(parts, envelope.threshold)) {
    try {
      if (key.length !== KEY_BYTES) continue;
      const plaintext = decryptData(key, envelope, aad);
      if (plaintext !== undefined) return plaintext;
    } finally {
      key.fill(0);
    }
  }
  return undefined;
}

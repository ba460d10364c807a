import { realpathSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import { QuorateError } from '../errors.ts';
import { gateOf, type LibraryGate, type Member } from './library-gate.ts';
import { nameOf, type TokenSettings } from './settings.ts';
import type { Operation, Operations, Reply, ThreadData } from './thread-work.ts';

/** After these the library is initialised again and the token asked once more: it may be back, or be another one. */
const WORTH_RENEWING = new Set([
  'hsm-session-lost',
  'hsm-token-missing',
  'hsm-failed',
  'hsm-key-missing',
  'hsm-decryption-failed',
]);

/** Threads hold little; the bounds keep their heaps from growing to what a server's worker would be allowed. */
const HEAP = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 32, stackSizeMb: 2 };

const LOAD_TIMEOUT = 10_000;

let alive = 0;

/** How many threads have not ended: one that hangs in its library never does, and would hold up the end of the process. */
export function threadsAlive(): number {
  return alive;
}

interface Waiting {
  readonly settle: (reply: Reply) => void;
}

/**
 * A token in a thread of its own, so that a library that hangs stops neither the server's other calls nor the other
 * tokens. Who waits is let go after the time-out; the thread is asked nothing more until it has answered.
 */
export class TokenThread implements Member {
  readonly settings: TokenSettings;
  /** `hsm-a/seal` */
  readonly name: string;
  readonly #worker: Worker;
  readonly #gate: LibraryGate;
  readonly #timeout: number;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #hangsSince: number | undefined;
  #ended = false;

  /**
   * @param code the program of the thread.
   * @param timeout ms for one operation.
   */
  constructor(settings: TokenSettings, code: string, { timeout, addon }: { timeout: number; addon: string }) {
    this.settings = settings;
    this.name = nameOf(settings);
    this.#timeout = timeout;
    this.#gate = gateOf(resolved(settings.lib));
    const workerData: ThreadData = { settings, addon };
    // Loaded only now: the server waits for the handshake, and for this it does not.
    const { Worker } = process.getBuiltinModule('node:worker_threads');
    this.#worker = new Worker(code, { eval: true, workerData, resourceLimits: HEAP, trackUnmanagedFds: false });
    alive += 1;
    this.#worker.unref();
    this.#worker.on('message', (reply: Reply) => {
      this.#hangsSince = undefined;
      this.#waiting.get(reply.id)?.settle(reply);
    });
    this.#worker.on('error', () => {
      this.#end();
    });
    this.#worker.on('exit', () => {
      alive -= 1;
      this.#end();
    });
    this.#gate.join(this);
  }

  /**
   * Asks the token; where it may help, once more after the library was initialised again.
   * @throws QuorateError what the token or its library said; `hsm-failed` when it does not answer in time.
   */
  async ask<O extends Operation>(operation: O, details: Operations[O]['ask']): Promise<Operations[O]['answer']> {
    const { generation } = this.#gate;
    try {
      return await this.#through(operation, details);
    } catch (error) {
      if (!(error instanceof QuorateError) || !WORTH_RENEWING.has(error.code) || this.#hangsSince !== undefined)
        throw error;
      if (!(await this.#gate.renew(generation, this, this.#timeout))) throw error;
      return await this.#through(operation, details);
    }
  }

  async release(): Promise<void> {
    if (this.#ended) return;
    await this.#post('release', {}, () => undefined);
  }

  async reinitialise(): Promise<void> {
    await this.#post('reinitialise', {}, () => undefined);
  }

  /** Ends the thread, if it can be: one that hangs in a call does not, and neither would `Worker.terminate` return. */
  close(): void {
    this.#gate.leave(this);
    if (this.#hangsSince !== undefined || this.#ended) return;
    void this.release()
      .catch(() => undefined)
      .then(() => this.#worker.terminate());
  }

  async #through<O extends Operation>(operation: O, details: Operations[O]['ask']): Promise<Operations[O]['answer']> {
    this.#refuseHanging();
    const post = async (): Promise<Operations[O]['answer']> =>
      this.#post(operation, details, await this.#gate.enter(this.#timeout));
    return operation === 'load' ? this.#gate.startInTurn(post) : post();
  }

  #refuseHanging(): void {
    if (this.#ended) throw new QuorateError('hsm-failed', 'its thread has ended; the plugin has to be started again');
    if (this.#hangsSince === undefined) return;
    const seconds = Math.round((Date.now() - this.#hangsSince) / 1000);
    throw new QuorateError('hsm-failed', `its library hangs, and has not answered for ${seconds.toString()} s`);
  }

  /** @param ended is called when the answer is there, be it late; or never. */
  #post<O extends Operation>(
    operation: O,
    details: Operations[O]['ask'],
    ended: () => void,
  ): Promise<Operations[O]['answer']> {
    // The first answer takes a thread to start, and a library to load.
    const timeout = operation === 'load' ? Math.max(this.#timeout, LOAD_TIMEOUT) : this.#timeout;
    return new Promise((resolve, reject) => {
      const id = (this.#next += 1);
      const asked = Date.now();
      const timer = setTimeout(() => {
        this.#hangsSince ??= asked;
        reject(new QuorateError('hsm-failed', `no answer within ${(timeout / 1000).toString()} s: its library hangs`));
      }, timeout);
      this.#waiting.set(id, {
        settle: (reply) => {
          clearTimeout(timer);
          this.#waiting.delete(id);
          ended();
          if ('failure' in reply) reject(new QuorateError(reply.failure.code, reply.failure.message));
          else resolve(reply.answer);
        },
      });
      this.#worker.postMessage({ id, operation, ...details });
    });
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const [id, { settle }] of this.#waiting) {
      settle({ id, failure: { code: 'hsm-failed', message: 'its thread has ended unexpectedly' } });
    }
  }
}

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

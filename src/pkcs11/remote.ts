import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { QuorateError } from '../errors.ts';
import type { OpenOptions } from './session.ts';
import type { Pkcs11Library } from './library.ts';
import type { Token } from './token.ts';
import {
  type LibraryMethod,
  packed,
  type RemoteSession,
  type Reply,
  type Request,
  type SessionMethod,
} from './wire.ts';

/** A PKCS#11 library in a process of its own; methods as `Pkcs11Library` has them, with promises. */
export type RemoteLibrary = {
  readonly [K in LibraryMethod]: (...args: Parameters<Pkcs11Library[K]>) => Promise<ReturnType<Pkcs11Library[K]>>;
} & {
  readonly path: string;
  /** Opens a session for `use`, and closes it however that ends. */
  withSession<T>(token: Token, options: OpenOptions, use: (session: RemoteSession) => Promise<T>): Promise<T>;
  /** The milliseconds that the last answer took in the library, without the way to its process and back. */
  lastDuration(): number;
  /** Ends the process. Safe to call twice. */
  close(): void;
};

export interface RemoteOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** Milliseconds that one answer may take; opening, and making keys and tokens, may take five times as long. Default 60 000. */
  readonly timeout?: number;
}

/** What `context.pkcs11` gives. */
export interface Pkcs11 {
  /**
   * Loads a library in a process of its own, so that one that hangs or crashes fails the call and nothing else.
   * Every method throws as the one of `Pkcs11Library` or `Session`, and QuorateError `hsm-timeout` when no answer came
   * in time, `hsm-failed` when the process died in the call, `cancelled` when `signal` was aborted; after these the
   * process is gone. The PIN goes to it through a pipe.
   * @throws QuorateError as `openLibrary`.
   */
  open(
    path: string,
    options?: { readonly timeout?: number; readonly env?: Readonly<Record<string, string>> },
  ): Promise<RemoteLibrary>;
  /** See `token.ts`. */
  parseSlot(text: string): bigint | undefined;
}

const LIBRARY_METHODS: readonly LibraryMethod[] = [
  'info',
  'tokens',
  'findToken',
  'refresh',
  'mechanisms',
  'initialiseToken',
  'reinitialise',
];

const SESSION_METHODS: readonly SessionMethod[] = [
  'login',
  'logout',
  'findKeys',
  'countObjects',
  'describeKey',
  'tryToReadValue',
  'modulus',
  'generateAes',
  'generateRsa',
  'generateP256',
  'pointP256',
  'signP256',
  'deriveP256',
  'destroyKey',
  'encryptGcm',
  'decryptGcm',
  'encryptOaep',
  'decryptOaep',
];

const SLOW: ReadonlySet<string> = new Set([
  'openLibrary',
  'initialiseToken',
  'generateAes',
  'generateRsa',
  'generateP256',
]);
const DEFAULT_TIMEOUT = 60_000;
const SLOW_FACTOR = 5;

/** Variables that a vendor's library has no business with: logins, and what changes how Node runs. */
const KEPT_BACK = /^(?:VAULT|BAO)_|^NODE_|^LD_(?:PRELOAD|AUDIT)$/;

/** See `Pkcs11`. */
export async function openRemote(path: string, options: RemoteOptions): Promise<RemoteLibrary> {
  const host = new Host(path, options);
  try {
    await host.ask('process', 'openLibrary', [path]);
  } catch (error) {
    host.end();
    throw error;
  }
  const methods = Object.fromEntries(
    LIBRARY_METHODS.map((method) => [method, (...args: unknown[]) => host.ask('library', method, args)]),
  ) as Pick<RemoteLibrary, LibraryMethod>;
  return {
    ...methods,
    path,
    async withSession(token, open, use) {
      const id = (await host.ask('library', 'openSession', [token, open])) as number;
      const session = Object.fromEntries(
        SESSION_METHODS.map((method) => [method, (...args: unknown[]) => host.ask(id, method, args)]),
      ) as RemoteSession;
      try {
        return await use(session);
      } finally {
        // Where the process is gone, so is the session.
        await host.ask(id, 'close', []).catch(() => undefined);
      }
    },
    lastDuration: () => host.lastDuration,
    close: () => {
      host.end();
    },
  };
}

interface Waiting {
  readonly method: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: QuorateError) => void;
}

class Host {
  readonly #path: string;
  readonly #timeout: number;
  readonly #signal: AbortSignal;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  lastDuration = 0;
  #last = 0;
  #ended: QuorateError | undefined;

  constructor(path: string, { env, signal, timeout = DEFAULT_TIMEOUT }: RemoteOptions) {
    this.#path = path;
    this.#timeout = timeout;
    this.#signal = signal;
    const file = import.meta.filename.endsWith('.ts') ? 'host.ts' : 'pkcs11-host.cjs';
    this.#child = fork(join(import.meta.dirname, file), [path], {
      env: Object.fromEntries(Object.entries(env).filter(([name]) => !KEPT_BACK.test(name))),
      execArgv: [],
      serialization: 'advanced',
      // What libraries print is no result of ours.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#child.on('message', (reply: Reply) => {
      this.#settle(reply);
    });
    this.#child.on('error', () => {
      this.#fail(new QuorateError('program-failed', 'the process for the PKCS#11 library cannot be started'));
    });
    this.#child.on('exit', (_status, by) => {
      const method = [...this.#waiting.values()][0]?.method ?? 'nothing';
      const how = by === null ? 'ended' : `crashed (${by})`;
      this.#fail(
        new QuorateError('hsm-failed', `${path}: the library ${how} in ${method}`, {
          hint: "The vendor's log may say why. Try again; if it stays, another version of the library may do.",
        }),
      );
    });
    signal.addEventListener('abort', this.#abort, { once: true });
  }

  readonly #abort = (): void => {
    this.#fail(new QuorateError('cancelled', 'cancelled'));
  };

  ask(on: Request['on'], method: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#signal.aborted) this.#abort();
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = (this.#last += 1);
    return new Promise((resolve, reject) => {
      const limit = SLOW.has(method) ? this.#timeout * SLOW_FACTOR : this.#timeout;
      const timer = setTimeout(() => {
        this.#fail(
          new QuorateError(
            'hsm-timeout',
            `${this.#path}: no answer from the library for ${(limit / 1000).toString()} s (${method})`,
            { hint: 'Is the HSM reachable and powered? quorate has ended the process that waited for it.' },
          ),
        );
      }, limit);
      this.#waiting.set(id, { method, timer, resolve, reject });
      const bytes: Uint8Array[] = [];
      const request: Request = { id, on, method, args: args.map((arg) => packed(arg, bytes)) };
      // The message is serialised when this returns.
      this.#child.send(request, () => undefined);
      for (const one of bytes) one.fill(0);
    });
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    if (waiting === undefined) return;
    this.#waiting.delete(reply.id);
    this.lastDuration = reply.ms;
    clearTimeout(waiting.timer);
    if ('value' in reply) {
      waiting.resolve(reply.value);
      return;
    }
    const { code, message, hint } = reply.error;
    waiting.reject(new QuorateError(code, message, hint === undefined ? {} : { hint }));
  }

  #fail(error: QuorateError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#rejectWaiting(error);
    this.#signal.removeEventListener('abort', this.#abort);
    // It may be stuck in the library, where no other signal is looked at.
    this.#child.kill('SIGKILL');
  }

  /** A timer that is left would keep this process alive. */
  #rejectWaiting(error: QuorateError): void {
    for (const { timer, reject } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
  }

  end(): void {
    if (this.#ended !== undefined) return;
    this.#ended = new QuorateError('bug', 'the library was used after it had been closed');
    this.#signal.removeEventListener('abort', this.#abort);
    if (this.#waiting.size > 0 || !this.#child.connected) this.#child.kill('SIGKILL');
    else this.#child.disconnect();
    this.#rejectWaiting(this.#ended);
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { isAbsolute } from 'node:path';
import { QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface RunRequest {
  /** A name that is looked up on PATH, or an absolute path. Never a line for a shell. */
  readonly program: string;
  /** One element an argument. No secret: everybody on the machine can read them. */
  readonly args: readonly string[];
  /** What it reads from standard input; nothing without. */
  readonly stdin?: Uint8Array | Secret;
  /** Variables it gets besides the usual few. */
  readonly env?: Environment;
  readonly cwd?: string;
  /** Statuses that are no failure; `any` leaves the judgement to the caller. Default: 0 only. */
  readonly statuses?: readonly number[] | 'any';
  /** The most bytes it may write to standard output. Default 1 MiB. */
  readonly limit?: number;
  /** Milliseconds until it is ended. Without it, it may take as long as a person needs. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  /** Lets its standard error through to the terminal (a prompt to touch a key), and captures none of it. */
  readonly showErrors?: boolean;
  /** What to do when it is missing or fails. */
  readonly hint?: string;
}

export interface RunResult {
  readonly status: number;
  /** In memory of its own: who gets it wipes it where it can be secret. */
  readonly stdout: Uint8Array;
  /** The first 16 KiB, without control characters but newlines. Can quote what the program was given: never print it unread. */
  readonly stderr: string;
}

/**
 * Runs another program to its end: no shell, arguments as a list, an environment of a few harmless variables.
 * @throws QuorateError `program-missing`, `program-failed` (a status that is not accepted, too much output, too long),
 *   `cancelled` (the signal), `bug` (a variable that must not be passed on). None quotes what it read or wrote.
 */
export type RunProgram = (request: RunRequest) => Promise<RunResult>;

/** What every program gets, where it is set: enough for locales, gpg, ssh-agent and prompts for a passphrase. */
const PASSED_ON = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'TMPDIR',
  'TERM',
  'GPG_TTY',
  'GNUPGHOME',
  'SSH_AUTH_SOCK',
  'SSH_ASKPASS',
  'SSH_ASKPASS_REQUIRE',
  'SSH_SK_PROVIDER',
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XAUTHORITY',
  'XDG_RUNTIME_DIR',
  'DBUS_SESSION_BUS_ADDRESS',
] as const;

/** Never passed on, whoever asks: they change how Node runs, or are themselves the secret. */
const NEVER = /^NODE_|^LD_|_TOKEN$|^(?:VAULT|BAO)_.*(?:SECRET|PASSWORD|KEY)/;

const STDERR_LIMIT = 16 << 10;
const STDOUT_LIMIT = 1 << 20;
/** How long a program that was asked to end may take before it is killed. */
const GRACE = 2_000;

const INSTALL: Readonly<Record<string, string>> = {
  'gpg': 'Install GnuPG (Debian: apt-get install gnupg).',
  'ssh-keygen': 'Install OpenSSH 8.2 or later (Debian: apt-get install openssh-client).',
  'bao': 'Install OpenBao, or name its binary in QUORATE_BAO.',
};

/** A `RunProgram` whose programs see the named part of `env` only. */
export function programRunner(env: Environment): RunProgram {
  return async (request) => await run(request, env);
}

/** Runs `request` and takes its output as a secret; the captured bytes are wiped. Throws as `run` does. */
export async function runForSecret(run: RunProgram, request: RunRequest): Promise<Secret> {
  const { stdout } = await run(request);
  try {
    return new Secret(stdout);
  } finally {
    stdout.fill(0);
  }
}

function run(request: RunRequest, env: Environment): Promise<RunResult> {
  const name = request.program;
  if (request.signal?.aborted === true) return Promise.reject(cancelled(name));
  const environment = childEnvironment(env, request.env ?? {});
  const input = inputBytes(request.stdin);
  const output = new Capture(request.limit ?? STDOUT_LIMIT);
  const errors = new Capture(STDERR_LIMIT);

  return new Promise<RunResult>((resolve, reject) => {
    let failure: QuorateError | undefined;
    const child = start(request, environment);
    let killer: NodeJS.Timeout | undefined;
    const end = (reason: QuorateError): void => {
      if (failure !== undefined) return;
      failure = reason;
      child.kill('SIGTERM');
      killer = setTimeout(() => child.kill('SIGKILL'), GRACE);
    };
    const timer =
      request.timeout === undefined
        ? undefined
        : setTimeout(() => {
            end(failed(name, `did not end within ${(request.timeout ?? 0).toString()} ms`, request.hint));
          }, request.timeout);
    const abort = (): void => {
      end(cancelled(name));
    };
    request.signal?.addEventListener('abort', abort, { once: true });

    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      clearTimeout(killer);
      request.signal?.removeEventListener('abort', abort);
      input.fill(0);
      finish();
      output.wipe();
      errors.wipe();
    };

    child.stdout?.on('data', (chunk: Buffer) => {
      if (!output.add(chunk)) end(failed(name, 'wrote more than it may', request.hint));
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      errors.add(chunk);
    });
    // A program may end without reading what it is given (EPIPE); its status says whether that was right.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);

    child.on('error', (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return;
      settle(() => {
        reject(missing(name, error.code, request));
      });
    });
    child.on('close', (status, signal) => {
      settle(() => {
        if (failure !== undefined) reject(failure);
        else if (status === null)
          reject(failed(name, `was ended by ${signal ?? 'a signal'} from elsewhere`, request.hint));
        else if (!accepted(request.statuses, status))
          reject(failed(name, `failed with status ${status.toString()}`, request.hint));
        else resolve({ status, stdout: output.bytes(), stderr: printable(errors) });
      });
    });
  });
}

function start(request: RunRequest, env: Record<string, string>): ChildProcess {
  try {
    return spawn(request.program, request.args, {
      shell: false,
      env,
      ...(request.cwd === undefined ? {} : { cwd: request.cwd }),
      stdio: ['pipe', 'pipe', request.showErrors === true ? 'inherit' : 'pipe'],
    });
  } catch {
    // Node quotes the argument that it could not pass on (one with a NUL in it).
    throw failed(request.program, 'could not be started: an argument has a NUL in it, or is too long', request.hint);
  }
}

function accepted(statuses: RunRequest['statuses'], status: number): boolean {
  return statuses === 'any' || (statuses ?? [0]).includes(status);
}

function childEnvironment(env: Environment, named: Environment): Record<string, string> {
  const result: Record<string, string> = {};
  for (const name of PASSED_ON) {
    const value = env[name];
    if (value !== undefined) result[name] = value;
  }
  for (const [name, value] of Object.entries(named)) {
    if (NEVER.test(name)) throw new QuorateError('bug', `the variable ${name} must not be given to another program`);
    if (value !== undefined) result[name] = value;
  }
  return result;
}

/** A copy, so that wiping by the caller while the pipe still drains cannot change what is sent. */
function inputBytes(stdin: RunRequest['stdin']): Uint8Array {
  const copy = (bytes: Uint8Array): Uint8Array => {
    const own = Buffer.allocUnsafeSlow(bytes.length);
    own.set(bytes);
    return own;
  };
  if (stdin === undefined) return new Uint8Array(0);
  return stdin instanceof Secret ? stdin.expose(copy) : copy(stdin);
}

/** Collects up to `limit` bytes of a stream and wipes the chunks that it copied. */
class Capture {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** False when there was no room for all of `chunk`. */
  add(chunk: Buffer): boolean {
    const room = this.#limit - this.#size;
    const part = chunk.subarray(0, room);
    this.#chunks.push(part);
    this.#size += part.length;
    return chunk.length <= room;
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.#size);
    let offset = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, offset);
      offset += chunk.length;
    }
    return all;
  }

  wipe(): void {
    for (const chunk of this.#chunks) chunk.fill(0);
    this.#chunks = [];
    this.#size = 0;
  }
}

function printable(errors: Capture): string {
  const bytes = errors.bytes();
  try {
    return new TextDecoder().decode(bytes).replaceAll(/[^\P{Cc}\n]/gu, '');
  } finally {
    bytes.fill(0);
  }
}

function cancelled(name: string): QuorateError {
  return new QuorateError('cancelled', `${name} was cancelled`);
}

function failed(name: string, what: string, hint: string | undefined): QuorateError {
  return new QuorateError('program-failed', `${name} ${what}`, hint === undefined ? {} : { hint });
}

function missing(name: string, code: string | undefined, request: RunRequest): QuorateError {
  // spawn says ENOENT for a missing folder too, and would blame the program.
  const place = request.cwd === undefined || code !== 'ENOENT' ? '' : `, or the folder ${request.cwd} is missing`;
  const what = code === 'ENOENT' ? (isAbsolute(name) ? 'does not exist' : 'is not on PATH') : 'cannot be run';
  const hint = request.hint ?? INSTALL[name];
  return new QuorateError('program-missing', `${name} ${what}${place}`, hint === undefined ? {} : { hint });
}

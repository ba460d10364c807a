import { spawn, type StdioOptions } from 'node:child_process';
import type { Writable } from 'node:stream';
import { QuorateError } from '../errors.ts';
import type { Secret } from '../secret.ts';

export interface JobRequest {
  /** The program, looked up on its own PATH, and its arguments. Never a line for a shell. */
  readonly command: readonly string[];
  /** All that it gets. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Given on a descriptor of its own, which it may read once. */
  readonly input?: { readonly descriptor: number; readonly text: Secret };
}

/** How a job ended: with a status, or by a signal. */
export interface JobEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program that runs with this one's standard streams. */
export interface Job {
  readonly pid: number;
  /** Passes a signal on; a job that has ended gets none. */
  kill(signal: NodeJS.Signals): void;
  /** Resolves when the program itself has ended, whatever it left running. */
  readonly ended: Promise<JobEnd>;
}

/**
 * @throws QuorateError `program-missing`, with the exit status that env(1) has for it: 127 not found, 126 cannot be run.
 */
export async function startJob({ command, env, cwd, input }: JobRequest): Promise<Job> {
  const [program = '', ...args] = command;
  const stdio: StdioOptions = ['inherit', 'inherit', 'inherit'];
  if (input !== undefined) {
    while (stdio.length < input.descriptor) stdio.push('ignore');
    stdio.push('pipe');
  }
  const child = (() => {
    try {
      return spawn(program, args, { env, cwd, stdio, shell: false });
    } catch {
      // Node's error would quote the argument or variable that cannot be passed on.
      throw missing(program, 'cannot be run: an argument or variable has a NUL in it', 126);
    }
  })();
  const ended = new Promise<JobEnd>((resolve) => {
    // Not `close`: what it left running in the background may hold the standard streams open.
    child.once('exit', (status, signal) => {
      resolve({ status, signal });
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ENOENT' ? missing(program, 'is not found', 127) : missing(program, 'cannot be run', 126));
    });
  });
  child.on('error', () => undefined);
  if (input !== undefined) give(child.stdio[input.descriptor] as Writable | null, input.text);
  return {
    pid: child.pid ?? 0,
    ended,
    kill(signal) {
      child.kill(signal);
    },
  };
}

/** A job that never reads it, or closes it, is none the worse for it. */
function give(pipe: Writable | null, text: Secret): void {
  if (pipe === null) return;
  pipe.on('error', () => undefined);
  const copy = text.expose((bytes) => Uint8Array.from(bytes));
  pipe.end(copy, () => copy.fill(0));
}

function missing(program: string, what: string, exit: number): QuorateError {
  return new QuorateError('program-missing', `${program} ${what}`, {
    hint: 'What follows -- is a program and its arguments, not a line for a shell.',
    exit,
  });
}

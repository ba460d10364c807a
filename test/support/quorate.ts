import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { PassThrough, type Writable } from 'node:stream';
import type { Streams } from '../../src/context.ts';
import { atEnd } from './at-end.ts';

/** The program from its source. */
export const MAIN = join(import.meta.dirname, '../../src/main.ts');
/** The launcher, which runs the bundle. */
export const LAUNCHER = join(import.meta.dirname, '../../bin/quorate');

export interface QuorateOptions {
  readonly cwd: string;
  /** All variables but PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input, which ends after it; with `undefined` it is empty. */
  readonly input?: string | Uint8Array;
  /** How many pipes are open from descriptor 3 on; see `Running.give`. */
  readonly pipes?: number;
  /** Runs the bundle by its launcher. */
  readonly launcher?: boolean;
}

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  readonly child: ChildProcess;
  /** Writes to a descriptor from 3 on, and closes it. */
  give(descriptor: number, text: string): void;
}

const running: ChildProcess[] = [];

atEnd(() => {
  for (const child of running.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
});

/** Starts `quorate ARGS` as a process of its own, without a terminal. */
export function startQuorate(args: readonly string[], options: QuorateOptions): Running {
  const { PATH = '', HOME = '' } = process.env;
  const pipes = Array.from({ length: options.pipes ?? 0 }, () => 'pipe' as const);
  const [command, first] = options.launcher === true ? [LAUNCHER, []] : [process.execPath, [MAIN]];
  const child = spawn(command, [...first, ...args], {
    cwd: options.cwd,
    env: { PATH, HOME, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe', ...pipes],
  });
  running.push(child);
  const ended = new Promise<Ended>((resolve, reject) => {
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (status) => {
      resolve({ status, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    });
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  return {
    pid: child.pid ?? 0,
    ended,
    child,
    give(descriptor, text) {
      const pipe = child.stdio[descriptor] as Writable | null | undefined;
      if (pipe === null || pipe === undefined) throw new Error(`descriptor ${descriptor.toString()} is no pipe`);
      pipe.on('error', () => undefined);
      pipe.end(text);
    },
  };
}

/** Runs it in this process, which takes a fraction of the time: for what kills nothing and writes no secret to stdout. */
export async function quorateHere(args: readonly string[], { cwd, env = {} }: QuorateOptions): Promise<Ended> {
  const { main } = await import('../../src/cli.ts');
  const { PATH = '', HOME = '' } = process.env;
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end();
  const streams = { stdin, stdout, stderr } as unknown as Pick<Streams, 'stdin' | 'stdout' | 'stderr'>;
  const signal = new AbortController().signal;
  const status = await main(args, { ...streams, cwd, env: { PATH, HOME, ...env }, signal });
  const text = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { status, stdout: text(stdout), stderr: text(stderr) };
}

/** Runs it to its end. */
export function quorate(args: readonly string[], options: QuorateOptions): Promise<Ended> {
  return startQuorate(args, options).ended;
}

/** The code of the error that was printed, undefined when none was. */
export function errorCode({ stderr }: Ended): string | undefined {
  return /^error {2}([a-z-]+):/m.exec(stderr)?.[1] ?? (/^cancelled {2}/m.test(stderr) ? 'cancelled' : undefined);
}

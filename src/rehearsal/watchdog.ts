import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { QuorateError } from '../errors.ts';

/**
 * Reads lines until its parent ends, in whatever way: then the other end of its input closes, also by SIGKILL.
 * What was announced last is then killed and removed. `quit` means that all is in order.
 */
const SCRIPT = `
pids=
while read -r word value; do
  case $word in
    pids) pids=$value ;;
    home) set -- "$@" "$value" ;;
    quit) exit 0 ;;
  esac
done
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
for home do
  gpgconf --homedir "$home" --kill all >/dev/null 2>&1
  rm -rf -- "$home"
done
exit 0
`;

/**
 * A small process that outlives this one by a moment, to end what this one started: servers by their process ids,
 * and GnuPG homes with the agents that run in them. It has a session of its own, so that Ctrl-C does not end it first.
 */
export class Watchdog {
  #process: ChildProcess;
  #input: Writable;

  private constructor(process: ChildProcess, input: Writable) {
    this.#process = process;
    this.#input = input;
  }

  /** @throws QuorateError `program-failed` when `/bin/sh` cannot be run. */
  static async start(): Promise<Watchdog> {
    const child = spawn('/bin/sh', ['-c', SCRIPT, 'quorate-watchdog'], {
      cwd: '/',
      env: environment(),
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    await once(child, 'spawn').catch(() => {
      throw new QuorateError('program-failed', 'cannot run /bin/sh, which watches over the throwaway servers');
    });
    child.unref();
    const input = child.stdin;
    // A pipe is a socket to Node; it must not keep this process alive.
    if (input instanceof Socket) input.unref();
    input.on('error', () => undefined);
    return new Watchdog(child, input);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** From now on exactly these processes are killed when this one ends. */
  async guard(pids: readonly number[]): Promise<void> {
    await this.#tell(`pids ${pids.join(' ')}`);
  }

  /** From now on this GnuPG home too is removed, and its agent ended, when this process ends. */
  async guardHome(home: string): Promise<void> {
    if (/[\n\r]|^\s|\s$/.test(home))
      throw new QuorateError('usage', 'a folder for keys has blanks or newlines at its ends');
    await this.#tell(`home ${home}`);
  }

  /** Ends the watchdog and lets live what it guarded. */
  async release(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.ref();
    const exited = once(this.#process, 'exit');
    this.#input.end('quit\n');
    await exited;
  }

  /** Resolves when the kernel has the line: it is read even if this process dies right after. */
  #tell(line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#input.write(`${line}\n`, (error) => {
        if (error == null) resolve();
        else reject(new QuorateError('program-failed', 'the process that watches over the throwaway servers is gone'));
      });
    });
  }
}

function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin' };
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { QuorateError } from '../errors.ts';
import { readText } from '../files.ts';
import { PEER_FILES } from './server-config.ts';

// Waits for a line before it becomes the server: by then the watchdog knows the process id, which exec keeps.
// Should this process die before that, `read` ends and the server never starts.
const START = 'ulimit -c 0; read -r go && exec "$@" </dev/null';
const POLL = 40;
const START_LIMIT = 30_000;
const STOP_LIMIT = 15_000;
const LOG_LINES = 6;

export interface ServerPlace {
  readonly name: string;
  readonly binary: string;
  readonly folder: string;
  readonly port: number;
  readonly caFile: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** One server process of a throwaway cluster. */
export class ServerProcess {
  readonly place: ServerPlace;
  #child: ChildProcess | undefined;

  constructor(place: ServerPlace) {
    this.place = place;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number | undefined {
    return this.running ? this.#child?.pid : undefined;
  }

  /**
   * Starts the server; `guarded` is awaited with its process id known and before its program runs.
   * @throws QuorateError `program-failed` when no process can be made.
   */
  async spawn(guarded: () => Promise<void>): Promise<void> {
    if (this.running) throw new QuorateError('bug', `${this.place.name} is running already`);
    const { folder, binary, environment } = this.place;
    const log = await open(join(folder, PEER_FILES.log), 'a', 0o600);
    try {
      const child = spawn(
        '/bin/sh',
        ['-c', START, 'quorate-server', binary, 'server', `-config=${join(folder, PEER_FILES.config)}`],
        {
          cwd: folder,
          // Nothing of ours is passed on: BAO_* and VAULT_* variables change what a server does.
          env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: folder, ...environment },
          detached: true,
          stdio: ['pipe', log.fd, log.fd],
        },
      );
      await once(child, 'spawn').catch(() => {
        throw new QuorateError('program-failed', `cannot start ${this.place.name}`);
      });
      this.#child = child;
      child.unref();
      const input = child.stdin;
      input?.on('error', () => undefined);
      await guarded();
      input?.end('go\n');
    } finally {
      await log.close();
    }
  }

  /**
   * Waits until the server answers on its port with a certificate of its own CA.
   * @throws QuorateError `program-failed` with the end of its log when it exited or takes over 30 s; `cancelled`.
   */
  async listening(signal?: AbortSignal): Promise<void> {
    const ca = await readText(this.place.caFile);
    const limit = Date.now() + START_LIMIT;
    for (;;) {
      if (signal?.aborted === true) throw new QuorateError('cancelled', 'interrupted while the servers were starting');
      if (!this.running) throw await this.#failure('ended when it should have started');
      if (await answers(this.place.port, ca)) return;
      if (Date.now() > limit) throw await this.#failure('does not listen after 30 s');
      await sleep(POLL);
    }
  }

  /**
   * Sends `signal`. For those that end a process this resolves once it has ended; a server that does not end
   * within 15 s is killed. Does nothing when it is not running.
   */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.running) return;
    const ends = signal === 'SIGKILL' || signal === 'SIGTERM' || signal === 'SIGINT';
    if (!ends) {
      child.kill(signal);
      return;
    }
    child.ref();
    const exited = once(child, 'exit');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT);
    child.kill(signal);
    await exited;
    clearTimeout(timer);
  }

  async #failure(what: string): Promise<QuorateError> {
    const lines = await lastLines(join(this.place.folder, PEER_FILES.log));
    return new QuorateError('program-failed', `${this.place.name} ${what}`, {
      hint: lines.length === 0 ? 'Its log is empty.' : `The end of its log:\n${lines.join('\n')}`,
    });
  }
}

async function lastLines(file: string): Promise<readonly string[]> {
  const text = await readText(file, 16 << 20).catch(() => '');
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  // A server's log must not steer the terminal.
  return lines.slice(-LOG_LINES).map((line) => line.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').slice(0, 300));
}

/** Whether a TLS handshake with 127.0.0.1:port succeeds: the server's accept loop is running, and it is ours. */
function answers(port: number, ca: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ca, timeout: 2_000 });
    const done = (result: boolean) => () => {
      socket.destroy();
      resolve(result);
    };
    socket.once('secureConnect', done(true));
    socket.once('error', done(false));
    socket.once('timeout', done(false));
  });
}

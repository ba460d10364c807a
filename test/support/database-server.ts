import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { atEnd } from './at-end.ts';
import { makeCertificates } from '../../src/rehearsal/certificates.ts';
import { Watchdog } from '../../src/rehearsal/watchdog.ts';

/** Who a database server runs as: neither PostgreSQL nor MariaDB wants to be root. */
export interface Runner {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

export interface DatabaseFolder {
  /** Short: a socket's path must not exceed 107 bytes. */
  readonly folder: string;
  readonly runner: Runner;
  /** Certificates for 127.0.0.1 and localhost, readable by the server; the authority's is `ca.pem`. */
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

interface Started {
  readonly child: ChildProcess;
  readonly watchdog: Watchdog;
}

const started: Started[] = [];
const folders: string[] = [];

// Whatever a test file started is gone when it ends; the watchdog sees to it when the test is killed.
atEnd(async () => {
  for (const { child, watchdog } of started.splice(0)) {
    await endServer(child);
    await watchdog.release();
  }
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
});

/** The user that Debian's package made where this is root, else this user. */
export function runnerFor(name: string): Runner {
  const own = userInfo();
  if (own.uid !== 0) return { uid: own.uid, gid: own.gid, name: own.username };
  const id = (flag: string): number => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g'), name };
}

/** A folder of the runner's own, with certificates. */
export async function databaseFolder(prefix: string, runner: Runner): Promise<DatabaseFolder> {
  const folder = await mkdtemp(`/tmp/${prefix}-`);
  folders.push(folder);
  const { ca, peers } = await makeCertificates(['database']);
  const [peer] = peers;
  if (peer === undefined) throw new Error('no certificate was made');
  const files = { 'ca.pem': ca, 'server.pem': peer.certificate, 'server.key': peer.key.exposeText() };
  peer.key.wipe();
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, name), text, { mode: 0o600 });
    chownSync(join(folder, name), runner.uid, runner.gid);
  }
  chownSync(folder, runner.uid, runner.gid);
  return {
    folder,
    runner,
    caFile: join(folder, 'ca.pem'),
    certificateFile: join(folder, 'server.pem'),
    keyFile: join(folder, 'server.key'),
  };
}

/** Runs a program of the server's package to its end. */
export function runAs({ uid, gid }: Runner, program: string, args: readonly string[], input = ''): string {
  return execFileSync(program, args, {
    uid,
    gid,
    input,
    cwd: '/',
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin', HOME: '/', LC_ALL: 'C.UTF-8' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** Starts a server's process, which ends with this one, in whatever way this one ends. */
export async function startServer(
  { runner, folder }: DatabaseFolder,
  program: string,
  args: readonly string[],
): Promise<ChildProcess> {
  const child = spawn(program, args, {
    uid: runner.uid,
    gid: runner.gid,
    cwd: folder,
    env: { PATH: '/usr/bin:/bin', HOME: folder, LC_ALL: 'C.UTF-8' },
    stdio: 'ignore',
  });
  await once(child, 'spawn');
  const watchdog = await Watchdog.start();
  await watchdog.guard([child.pid ?? 0]);
  await watchdog.guardHome(folder);
  started.push({ child, watchdog });
  return child;
}

/** SIGINT is PostgreSQL's fast shutdown; MariaDB ends at SIGTERM only. */
export async function endServer(
  child: ChildProcess,
  signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'],
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  for (const signal of signals) child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(timer);
}

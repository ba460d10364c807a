import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { beforeAll } from 'vitest';
import { makeCertificates } from '../../src/rehearsal/certificates.ts';
import { Watchdog } from '../../src/rehearsal/watchdog.ts';
import { atEnd } from './at-end.ts';
import { waitUntil } from './wait.ts';

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

export type Row = Readonly<Record<string, unknown>>;

export interface DatabaseUser {
  readonly user: string;
  readonly password: string;
}

/** A real server on loopback, whose first superuser is `root`; passwords by SCRAM, TLS offered. */
export interface TestDatabase {
  readonly host: string;
  readonly port: number;
  /** A database for the tests, called `app`. */
  readonly database: string;
  readonly socketFolder: string;
  readonly caFile: string;
  readonly root: DatabaseUser;
  /** Several statements, as `root` or somebody else; the last one's rows. Rejects with the driver's error. */
  readonly sql: (text: string, as?: DatabaseUser) => Promise<readonly Row[]>;
  /** Whether this user can log in. */
  canLogIn(as: DatabaseUser): Promise<boolean>;
  /** Ends the server; `start` brings it back on the same port. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** How a server is started, asked and stopped. */
export interface Serving {
  readonly place: DatabaseFolder;
  readonly port: number;
  readonly root: DatabaseUser;
  readonly program: string;
  readonly args: readonly string[];
  /** Several statements in a new session, in the database for the tests or before there is one; the last one's rows. */
  readonly run: (text: string, as: DatabaseUser, database?: string) => Promise<readonly Row[]>;
  /** What ends it quickly and in order. */
  readonly stopSignal: NodeJS.Signals;
  /** Made once it answers: users, and the database `app`. */
  readonly prepare: () => Promise<unknown>;
  /** Who can log in before that. */
  readonly first?: DatabaseUser;
}

/** Starts what `serving` says, and makes a test's database of it. */
export async function serve(serving: Serving): Promise<TestDatabase> {
  const { place, port, root, program, args, run, stopSignal } = serving;
  const answers = (as: DatabaseUser): Promise<boolean> =>
    run('SELECT 1', as).then(
      () => true,
      () => false,
    );
  const ready = (as: DatabaseUser): Promise<unknown> => waitUntil('the database answers', () => answers(as));
  let child = await startServer(place, program, args);
  await ready(serving.first ?? root);
  await serving.prepare();
  return {
    host: '127.0.0.1',
    port,
    database: 'app',
    socketFolder: place.folder,
    caFile: place.caFile,
    root,
    sql: (text, as = root) => run(text, as, 'app'),
    canLogIn: answers,
    stop: () => endServer(child, [stopSignal]),
    async start() {
      child = await startServer(place, program, args);
      await ready(root);
    },
  };
}

/** One server for all tests of a file. */
export function sharedServer(start: () => Promise<TestDatabase>): () => TestDatabase {
  let server: TestDatabase | undefined;
  beforeAll(async () => {
    server = await start();
  });
  return () => {
    if (server === undefined) throw new Error('the shared database exists only while tests run');
    return server;
  };
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

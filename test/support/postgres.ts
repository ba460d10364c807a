import { readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { beforeAll } from 'vitest';
import { freePorts } from '../../src/rehearsal/ports.ts';
import { databaseFolder, endServer, runAs, runnerFor, startServer } from './database-server.ts';
import { waitUntil } from './wait.ts';

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

/** Starts PostgreSQL. About 2 s. One server a test file is enough: give tests databases of their own. */
export async function startPostgres(): Promise<TestDatabase> {
  const binaries = newestBinaries();
  const runner = runnerFor('postgres');
  const place = await databaseFolder('qpg', runner);
  const [port = 0] = await freePorts(1);
  const root = { user: 'root', password: 'pw of root' };
  const passwordFile = join(place.folder, 'pw');
  await writeFile(passwordFile, root.password, { mode: 0o600 });
  chownSync(passwordFile, runner.uid, runner.gid);
  const data = join(place.folder, 'data');
  runAs(runner, join(binaries, 'initdb'), [
    ...['-D', data, '-U', root.user, '--pwfile', passwordFile, '-A', 'scram-sha-256'],
    ...['-E', 'UTF8', '--locale', 'C.UTF-8', '--no-sync'],
  ]);
  const settings = {
    port: port.toString(),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: place.folder,
    fsync: 'off',
    ssl: 'on',
    ssl_cert_file: place.certificateFile,
    ssl_key_file: place.keyFile,
  };
  const args = ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const connect = async (database: string, as: DatabaseUser): Promise<pg.Client> => {
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      database,
      ...as,
      connectionTimeoutMillis: 5000,
      ssl: false,
    });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const run = async (database: string, text: string, as: DatabaseUser): Promise<readonly Row[]> => {
    const client = await connect(database, as);
    try {
      const result: unknown = await client.query(text);
      const last = (Array.isArray(result) ? result.at(-1) : result) as { readonly rows: readonly Row[] };
      return last.rows;
    } finally {
      await client.end();
    }
  };
  const ready = (): Promise<unknown> =>
    waitUntil('PostgreSQL answers', () =>
      run('postgres', 'SELECT 1', root).then(
        () => true,
        () => false,
      ),
    );
  let child = await startServer(place, join(binaries, 'postgres'), args);
  await ready();
  await run('postgres', 'CREATE DATABASE app', root);
  return {
    host: '127.0.0.1',
    port,
    database: 'app',
    socketFolder: place.folder,
    caFile: place.caFile,
    root,
    sql: (text, as = root) => run('app', text, as),
    canLogIn: (as) =>
      connect('app', as).then(
        async (client) => {
          await client.end();
          return true;
        },
        () => false,
      ),
    stop: () => endServer(child, ['SIGINT']),
    async start() {
      child = await startServer(place, join(binaries, 'postgres'), args);
      await ready();
    },
  };
}

/** One server for all tests of a file: call it there, and the function that it returns inside tests. */
export function sharedPostgres(): () => TestDatabase {
  let server: TestDatabase | undefined;
  beforeAll(async () => {
    server = await startPostgres();
  });
  return () => {
    if (server === undefined) throw new Error('the shared database exists only while tests run');
    return server;
  };
}

/** Debian keeps the server's programs off PATH, by version. */
function newestBinaries(): string {
  const base = '/usr/lib/postgresql';
  const [newest] = readdirSync(base)
    .filter((name) => /^\d+$/.test(name))
    .sort((a, b) => Number(b) - Number(a));
  if (newest === undefined) throw new Error('there is no PostgreSQL: sh bin/setup --tests');
  return join(base, newest, 'bin');
}

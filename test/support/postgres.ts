import { readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { freePorts } from '../../src/rehearsal/ports.ts';
import {
  databaseFolder,
  type DatabaseUser,
  type Row,
  runAs,
  runnerFor,
  serve,
  sharedServer,
  type TestDatabase,
} from './database-server.ts';

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
  const run = async (text: string, as: DatabaseUser, database = 'postgres'): Promise<readonly Row[]> => {
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
    try {
      const result: unknown = await client.query(text);
      const last = (Array.isArray(result) ? result.at(-1) : result) as { readonly rows: readonly Row[] };
      return last.rows;
    } finally {
      await client.end();
    }
  };
  return serve({
    ...{ place, port, root, program: join(binaries, 'postgres'), args, run, stopSignal: 'SIGINT' },
    prepare: () => run('CREATE DATABASE app', root),
  });
}

/** Call it in a test file; the function that it returns is for inside tests. */
export const sharedPostgres = (): (() => TestDatabase) => sharedServer(startPostgres);

/** Debian keeps the server's programs off PATH, by version. */
function newestBinaries(): string {
  const base = '/usr/lib/postgresql';
  const [newest] = readdirSync(base)
    .filter((name) => /^\d+$/.test(name))
    .sort((a, b) => Number(b) - Number(a));
  if (newest === undefined) throw new Error('there is no PostgreSQL: sh bin/setup --tests');
  return join(base, newest, 'bin');
}

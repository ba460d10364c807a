import { join } from 'node:path';
import mysql from 'mysql2/promise';
import { beforeAll } from 'vitest';
import { freePorts } from '../../src/rehearsal/ports.ts';
import { databaseFolder, endServer, runAs, runnerFor, startServer } from './database-server.ts';
import type { DatabaseUser, Row, TestDatabase } from './postgres.ts';
import { waitUntil } from './wait.ts';

/** Starts MariaDB. About 4 s. One server a test file is enough: give tests databases of their own. */
export async function startMariadb(): Promise<TestDatabase> {
  const runner = runnerFor('mysql');
  const place = await databaseFolder('qmy', runner);
  const [port = 0] = await freePorts(1);
  const data = join(place.folder, 'data');
  const socket = join(place.folder, 's');
  const root = { user: 'root', password: "pw'of root" };
  runAs(runner, '/usr/bin/mariadb-install-db', [
    ...['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db'],
    ...(runner.uid === 0 ? [`--user=${runner.name}`] : []),
  ]);
  const args = [
    ...['--no-defaults', `--datadir=${data}`, `--socket=${socket}`, `--port=${port.toString()}`],
    ...['--bind-address=127.0.0.1', `--pid-file=${join(place.folder, 'pid')}`, '--skip-name-resolve'],
    ...['--innodb-flush-log-at-trx-commit=0', '--innodb-buffer-pool-size=16M', '--skip-log-bin'],
    ...[`--ssl-cert=${place.certificateFile}`, `--ssl-key=${place.keyFile}`, '--character-set-server=utf8mb4'],
  ];
  const connect = (as: DatabaseUser, database?: string): Promise<mysql.Connection> =>
    mysql.createConnection({
      host: '127.0.0.1',
      port,
      ...as,
      ...(database === undefined ? {} : { database }),
      multipleStatements: true,
      // Accounts may require it; the tests of quorate's own TLS are elsewhere.
      ssl: { rejectUnauthorized: false },
      connectTimeout: 5000,
    });
  const run = async (text: string, as: DatabaseUser, database?: string): Promise<readonly Row[]> => {
    const connection = await connect(as, database);
    try {
      const [rows] = await connection.query(text);
      return rows as unknown as readonly Row[];
    } finally {
      await connection.end();
    }
  };
  const ready = (as: DatabaseUser): Promise<unknown> =>
    waitUntil('MariaDB answers', () =>
      run('SELECT 1', as).then(
        () => true,
        () => false,
      ),
    );
  let child = await startServer(place, '/usr/sbin/mariadbd', args);
  const fresh = { user: 'root', password: '' };
  await ready(fresh);
  const password = root.password.replaceAll("'", "''");
  await run(
    `SET PASSWORD FOR root@localhost = PASSWORD('${password}');
     CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY '${password}';
     GRANT ALL PRIVILEGES ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
     SET PASSWORD FOR root@'127.0.0.1' = PASSWORD('${password}');
     DELETE FROM mysql.global_priv WHERE user = ''; FLUSH PRIVILEGES; CREATE DATABASE app`,
    fresh,
  );
  return {
    host: '127.0.0.1',
    port,
    database: 'app',
    socketFolder: place.folder,
    caFile: place.caFile,
    root,
    sql: (text, as = root) => run(text, as, 'app'),
    canLogIn: (as) =>
      connect(as).then(
        async (connection) => {
          await connection.end();
          return true;
        },
        () => false,
      ),
    stop: () => endServer(child, ['SIGTERM']),
    async start() {
      child = await startServer(place, '/usr/sbin/mariadbd', args);
      await ready(root);
    },
  };
}

/** One server for all tests of a file: call it there, and the function that it returns inside tests. */
export function sharedMariadb(): () => TestDatabase {
  let server: TestDatabase | undefined;
  beforeAll(async () => {
    server = await startMariadb();
  });
  return () => {
    if (server === undefined) throw new Error('the shared database exists only while tests run');
    return server;
  };
}

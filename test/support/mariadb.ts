import { join } from 'node:path';
import mysql from 'mysql2/promise';
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
  const run = async (text: string, as: DatabaseUser, database?: string): Promise<readonly Row[]> => {
    const connection = await mysql.createConnection({
      host: '127.0.0.1',
      port,
      ...as,
      ...(database === undefined ? {} : { database }),
      multipleStatements: true,
      // Accounts may require it; the tests of quorate's own TLS are elsewhere.
      ssl: { rejectUnauthorized: false },
      connectTimeout: 5000,
    });
    try {
      const [rows] = await connection.query(text);
      return rows as unknown as readonly Row[];
    } finally {
      await connection.end();
    }
  };
  const first = { user: 'root', password: '' };
  const password = root.password.replaceAll("'", "''");
  const prepare = (): Promise<unknown> =>
    run(
      `SET PASSWORD FOR root@localhost = PASSWORD('${password}');
     CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY '${password}';
     GRANT ALL PRIVILEGES ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
     SET PASSWORD FOR root@'127.0.0.1' = PASSWORD('${password}');
     DELETE FROM mysql.global_priv WHERE user = ''; FLUSH PRIVILEGES; CREATE DATABASE app`,
      first,
    );
  return serve({
    ...{ place, port, root, program: '/usr/sbin/mariadbd', args, run, stopSignal: 'SIGTERM' },
    ...{ prepare, first },
  });
}

/** Call it in a test file; the function that it returns is for inside tests. */
export const sharedMariadb = (): (() => TestDatabase) => sharedServer(startMariadb);

import { describe, expect, it } from 'vitest';
import type { DatabaseTarget } from '../../src/database/database.ts';
import { databases } from '../../src/database/open.ts';
import { Secret } from '../../src/secret.ts';
import { startDatabaseProxy } from '../support/database-proxy.ts';
import { codeOf } from '../support/errors.ts';
import { sharedMariadb } from '../support/mariadb.ts';
import { sharedPostgres } from '../support/postgres.ts';

const postgres = sharedPostgres();
const mariadb = sharedMariadb();

describe.each([
  ['postgresql', postgres],
  ['mysql', mariadb],
] as const)('%s', (engine, server) => {
  const target = (more: Partial<DatabaseTarget> = {}): DatabaseTarget => {
    const { host, port, database } = server();
    return { engine, host, port, database, tls: 'disable', ...more };
  };
  const open = (at: DatabaseTarget, user = server().root.user, password = server().root.password) =>
    databases.open(at, user, Secret.fromText(password), { timeout: 3000 });
  const isEncrypted = async (at: DatabaseTarget): Promise<boolean> => {
    const session = await open(at);
    const [row] = await session.query(
      engine === 'postgresql'
        ? 'SELECT ssl AS it FROM pg_stat_ssl WHERE pid = pg_backend_pid()'
        : `SELECT (SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher') <> '' AS it`,
    );
    await session.close();
    return row?.['it'] === true || row?.['it'] === 1;
  };

  it('logs in and asks', async () => {
    const session = await open(target());
    expect(await session.query(`SELECT 'x' AS it`)).toEqual([{ it: 'x' }]);
    const values = engine === 'postgresql' ? 'SELECT $1::text AS it' : 'SELECT ? AS it';
    expect(await session.query(values, [`a'"\\ü`])).toEqual([{ it: `a'"\\ü` }]);
    expect(await codeOf(session.query('SELECT nothing FROM nowhere'))).toBe('database-failed');
    await session.close();
  });

  it('tells a refused login from a database that is away', async () => {
    expect(await codeOf(open(target(), 'root', 'wrong'))).toBe('database-denied');
    expect(await codeOf(open(target(), 'nobody', 'wrong'))).toBe('database-denied');
    expect(await codeOf(open(target({ database: 'nowhere' })))).toBe('database-failed');
    expect(await codeOf(open(target({ port: 1 })))).toBe('database-unreachable');
    const proxy = await startDatabaseProxy(server());
    const session = await open(target({ port: proxy.port }));
    proxy.down();
    expect(await codeOf(session.query('SELECT 1'))).toBe('database-unreachable');
    expect(await codeOf(open(target({ port: proxy.port })))).toBe('database-unreachable');
    proxy.freeze();
    expect(await codeOf(open(target({ port: proxy.port })))).toBe('database-unreachable');
  });

  it('checks the certificate as far as it was told to', async () => {
    const { caFile } = server();
    expect(await isEncrypted(target())).toBe(false);
    expect(await isEncrypted(target({ tls: 'prefer' }))).toBe(true);
    expect(await isEncrypted(target({ tls: 'require' }))).toBe(true);
    expect(await isEncrypted(target({ tls: 'verify-full', caFile }))).toBe(true);
    expect(await isEncrypted(target({ tls: 'verify-full', host: 'localhost', caFile }))).toBe(true);
    // The certificate is for 127.0.0.1, and not for its neighbour.
    const proxied = { host: '127.0.0.2', port: await neighbour(server().port) };
    expect(await isEncrypted(target({ tls: 'verify-ca', ...proxied, caFile }))).toBe(true);
    expect(await codeOf(open(target({ tls: 'verify-full', ...proxied, caFile })))).toBe('database-unreachable');
    expect(await codeOf(open(target({ tls: 'verify-full' })))).toBe('database-unreachable');
    expect(await codeOf(open(target({ tls: 'verify-ca', caFile: '/nowhere' })))).toBe('file-missing');
  });
});

/** A port on 127.0.0.2 that leads to `port`. */
async function neighbour(port: number): Promise<number> {
  return (await startDatabaseProxy({ port }, '127.0.0.2')).port;
}

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Fields, PRESETS } from '../../../src/broker/output/fields.ts';
import { render } from '../../../src/broker/output/formats.ts';
import { temporaryFolder } from '../../support/cluster.ts';
import { sharedMariadb } from '../../support/mariadb.ts';
import { sharedPostgres } from '../../support/postgres.ts';

/** Quotes, blanks, newlines, percent signs, non-ASCII: none ends with a blank, which one format cannot hold. */
const PASSWORDS = [`plain-Ax7`, `it's "two" \\ words`, `a:b\\:c%2F@/?#&=;`, `ünïcödé 密码 😀`, `$HOME \`id\` !! {}[]`];
const ONLY_ENV = [`two\nlines\tand tab`];

const run = (program: string, args: readonly string[], env: Readonly<Record<string, string>>): string =>
  execFileSync(program, args, { env: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8', ...env }, encoding: 'utf8' }).trim();

describe('psql', () => {
  const postgres = sharedPostgres();

  it('logs in with what is written', async () => {
    const { sql, host, port, database } = postgres();
    const folder = await temporaryFolder();
    const target = { engine: 'postgresql', host, port, database, tls: 'require' } as const;
    for (const [index, password] of [...PASSWORDS, ...ONLY_ENV].entries()) {
      const username = `user ${index.toString()}'ü`;
      await sql(`CREATE ROLE "${username}" LOGIN PASSWORD '${password.replaceAll("'", "''")}'`);
      const fields: Fields = { username, password, target };
      const ask = ['-X', '-w', '-A', '-t', '-c', 'SELECT current_user'];
      const script = `${render('env', fields, PRESETS.pg)}psql -X -w -A -t -c "SELECT current_user"`;
      expect(run('sh', ['-c', script], {}), 'env').toBe(username);
      expect(run('psql', [...ask, render('url', fields, {}).trim()], {}), 'url').toBe(username);
      if (ONLY_ENV.includes(password)) continue;
      const file = join(folder, index.toString());
      writeFileSync(file, render('pgpass', fields, {}), { mode: 0o600 });
      const place = { PGHOST: host, PGPORT: port.toString(), PGDATABASE: database, PGUSER: username };
      expect(run('psql', ask, { PGPASSFILE: file, ...place }), 'pgpass').toBe(username);
      writeFileSync(`${file}.service`, render('pg-service', fields, {}), { mode: 0o600 });
      expect(run('psql', ask, { PGSERVICEFILE: `${file}.service`, PGSERVICE: 'quorate' }), 'service').toBe(username);
    }
  });
});

describe('mariadb', () => {
  const mariadb = sharedMariadb();

  it('logs in with what is written', async () => {
    const { sql, host, port, database } = mariadb();
    const folder = await temporaryFolder();
    const target = { engine: 'mysql', host, port, database, tls: 'require' } as const;
    for (const [index, password] of [...PASSWORDS, ...ONLY_ENV].entries()) {
      const username = `user ${index.toString()}ü`;
      const quoted = password.replaceAll('\\', '\\\\').replaceAll("'", "''");
      await sql(`CREATE USER '${username}'@'%' IDENTIFIED BY '${quoted}' REQUIRE SSL`);
      const file = join(folder, index.toString());
      writeFileSync(file, render('my.cnf', { username, password, target }, {}), { mode: 0o600 });
      const args = [`--defaults-file=${file}`, '--default-character-set=utf8mb4', '-N', '-e', 'SELECT USER()'];
      expect(run('mariadb', args, {})).toBe(`${username}@127.0.0.1`);
    }
  });
});

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../../src/finding.ts';
import { sharedBroker } from '../../support/broker.ts';
import { callPeer } from '../../support/cluster.ts';
import { at } from '../../support/http.ts';
import { MAIN } from '../../support/quorate.ts';
import { openTerminal } from '../../support/terminal.ts';
import { waitUntil } from '../../support/wait.ts';

describe.each(['postgresql', 'mariadb'] as const)('db doctor on %s', (engine) => {
  const shared = sharedBroker({ engine });
  const isPg = engine === 'postgresql';
  const admin = ['--admin', 'root', '--admin-password-file', 'root.password'];

  const ask = (method: string, path: string, body?: object) =>
    callPeer(shared().live.cluster, 0, method, path, {
      token: shared().live.rootToken,
      ...(body === undefined ? {} : { body }),
    });
  /** What is not as it should be, as `level code`. */
  const doctorAs = async (
    env: Readonly<Record<string, string>>,
    ...args: readonly string[]
  ): Promise<{ status: number | null; bad: string[]; findings: Finding[] }> => {
    const ended = await shared().runHere(['db', 'doctor', ...args, '--format', 'json'], env);
    if (ended.stdout === '') throw new Error(ended.stderr);
    const { findings } = JSON.parse(ended.stdout) as { findings: Finding[] };
    const bad = findings.filter(({ level }) => level !== 'ok').map(({ level, code }) => `${level} ${code}`);
    return { status: ended.status, bad, findings };
  };
  const doctor = (...args: readonly string[]): ReturnType<typeof doctorAs> => doctorAs(shared().root, ...args);
  const users = async (): Promise<string[]> => {
    const sql = isPg
      ? "SELECT rolname AS name FROM pg_roles WHERE rolname LIKE 'app-%'"
      : "SELECT user AS name FROM mysql.user WHERE user LIKE 'app-%'";
    return (await shared().database.sql(sql)).map((row) => String(row['name']));
  };
  const role = (name: string, fields: object) =>
    ask('POST', `database/roles/${name}`, {
      db_name: 'app',
      // MySQL's plugin would revoke what the account may not.
      ...(isPg ? {} : { revocation_statements: ["DROP USER IF EXISTS '{{name}}'@'%';"] }),
      ...fields,
    });

  beforeAll(async () => {
    const { folder, database } = shared();
    await writeFile(join(folder, 'root.password'), database.root.password, { mode: 0o600 });
    const allowed = {
      allowed_roles: ['*'],
      plugin_name: isPg ? 'postgresql-database-plugin' : 'mysql-database-plugin',
    };
    expect((await ask('POST', 'database/config/app', allowed)).status).toBe(204);
  });

  it('finds nothing wrong with the roles of the setup, and leaves nothing behind', async () => {
    for (const name of ['read', 'write', 'migrate']) {
      const env = await shared().withPolicies('quorate-db-database-operator', `quorate-db-${name}-login`);
      const { status, bad, findings } = await doctorAs(
        env,
        name,
        '--setup',
        'setup.yaml',
        '--job-length',
        '2m',
        ...admin,
      );
      expect([name, bad, status]).toEqual([name, [], 0]);
      const codes = findings.map(({ code }) => code);
      for (const code of ['ttl', 'issue', 'login', 'rights', 'revoke', 'gone', 'lease', 'user'])
        expect(codes).toContain(code);
    }
    expect(await users()).toEqual([]);
    const tables = await shared().database.sql(
      "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'quorate%'",
    );
    expect(tables).toEqual([]);
  });

  it('tells by trying what a role can do and should not, and the other way round', async () => {
    expect((await doctor('read', '--expect', 'read-write', ...admin)).bad).toEqual(['fault write']);
    expect((await doctor('read', '--expect', 'migration', ...admin)).bad).toEqual(['fault ddl']);
    expect((await doctor('write', '--expect', 'read-only', ...admin)).bad).toEqual(['fault write']);
    const migrating = await doctor('migrate', '--expect', 'read-only', ...admin);
    expect(migrating.bad).toEqual(expect.arrayContaining(['fault ddl']));
    expect(migrating.status).toBe(5);
    expect((await doctor('read', ...admin)).bad).toEqual(['warning rights']);
    await shared().database.sql(isPg ? 'CREATE ROLE app_power SUPERUSER; GRANT app_power TO app_read' : 'SELECT 1');
    if (isPg) {
      expect((await doctor('read', '--expect', 'read-only')).bad).toContain('fault power');
      await shared().database.sql('DROP ROLE app_power');
    }
  });

  it('finds SQL that fails half-way, of which nothing is left', async () => {
    const half = isPg
      ? [`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}';`, 'GRANT nothing_there TO "{{name}}";']
      : [
          `CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}';`,
          "GRANT SELECT ON nowhere.nothing TO '{{name}}'@'%';",
        ];
    await role('half', { creation_statements: half, default_ttl: 60, max_ttl: 60 });
    const { bad, status, findings } = await doctor('half', ...admin);
    expect([bad[0], status]).toEqual(['fault issue', 5]);
    expect(findings.find(({ code }) => code === 'issue')?.mend).toContain('SQL of the role');
    // MariaDB's statements cannot be undone: the user that is left has no lease, for which see below.
    if (isPg) expect(await users()).toEqual([]);
    else await Promise.all((await users()).map((name) => shared().database.sql(`DROP USER '${name}'@'%'`)));
    const closed = isPg
      ? [`CREATE ROLE "{{name}}" NOLOGIN PASSWORD '{{password}}';`]
      : [`CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' ACCOUNT LOCK;`];
    await role('closed', { creation_statements: closed, default_ttl: 60, max_ttl: 60 });
    expect((await doctor('closed', ...admin)).bad).toEqual(['fault login']);
    expect(await users()).toEqual([]);
  });

  // MariaDB and MySQL have no owners.
  if (isPg)
    it('finds revocation that fails because the user owns something, and cleans up after itself', async () => {
      await role('owning', {
        creation_statements: [`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' IN ROLE "app_owner";`],
        revocation_statements: ['DROP ROLE "{{name}}";'],
        default_ttl: 60,
        max_ttl: 60,
      });
      const { bad, findings } = await doctor('owning', '--expect', 'migration');
      expect(bad).toContain('fault revocation');
      expect(findings.find(({ code }) => code === 'revocation')?.mend).toContain('REASSIGN OWNED');
      expect(bad).not.toContain('warning probe');
      expect(await users()).toEqual([]);
    });

  it('finds users that no lease belongs to, and drops none by itself', async () => {
    const { database } = shared();
    const [orphan, busy] = isPg
      ? ['app-read-abcdefghij12-1700000000', 'app-read-abcdefghij34-1700000000']
      : ['app-abcdefghij-1700000000', 'app-klmnopqrst-1700000000'];
    for (const name of [orphan, busy]) {
      await database.sql(
        isPg
          ? `CREATE ROLE "${name}" LOGIN PASSWORD 'x'`
          : `CREATE USER '${name}'@'%' IDENTIFIED BY 'x'; GRANT SELECT ON app.* TO '${name}'@'%'`,
      );
    }
    const open = database
      .sql(isPg ? 'SELECT pg_sleep(60)' : 'SELECT SLEEP(60)', { user: busy, password: 'x' })
      .catch(() => undefined);
    const living = await shared().runHere(['db', 'doctor', 'read', ...admin, '--format', 'json'], shared().root);
    const { findings } = JSON.parse(living.stdout) as { findings: Finding[] };
    const found = findings.filter(({ code }) => code === 'user').map(({ about, level }) => `${level} ${about}`);
    expect(found.sort()).toEqual([`fault user "${orphan}"`, `fault user "${busy}"`].sort());
    expect(findings.find(({ about }) => about.includes(busy))?.text).toContain('somebody is logged in');
    expect((await users()).sort()).toEqual([orphan, busy].sort());
    const kill = isPg
      ? `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${busy}'`
      : `KILL USER '${busy}'`;
    await database.sql(kill);
    await open;
    for (const name of [orphan, busy]) await database.sql(isPg ? `DROP ROLE "${name}"` : `DROP USER '${name}'@'%'`);
  });

  // The same words on both.
  if (isPg)
    it('drops one at a terminal, by its typed name', async () => {
      const { database, folder, root } = shared();
      const [one, two] = ['app-read-abcdefghij56-1700000000', 'app-read-abcdefghij78-1700000000'];
      for (const name of [one, two])
        await database.sql(`CREATE ROLE "${name}" LOGIN; GRANT SELECT ON item TO "${name}"`);
      const line = [MAIN, 'db', 'doctor', 'read', '--expect', 'read-only', ...admin];
      const terminal = openTerminal(process.execPath, line, { cwd: folder, env: root, columns: 160, rows: 60 });
      await terminal.waitFor(`belongs to ${one}`);
      await terminal.waitFor('Type its name');
      terminal.clear();
      terminal.enter(one);
      await terminal.waitFor(`belongs to ${two}`);
      await terminal.waitFor('Type its name');
      terminal.press('enter');
      expect((await terminal.exit).code).toBe(5);
      expect(await users()).toEqual([two]);
      await database.sql(`DROP OWNED BY "${two}"; DROP ROLE "${two}"`);
    });

  it('finds leases that are stuck on a dead database', async () => {
    await role('brief', {
      creation_statements: isPg
        ? [`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}';`]
        : [`CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}';`],
      default_ttl: 2,
      max_ttl: 2,
    });
    const lease = String(at((await ask('GET', 'database/creds/brief')).body, 'lease_id'));
    shared().proxy.down();
    try {
      await waitUntil('it is overdue', async () => {
        const { body } = await ask('POST', 'sys/leases/lookup', { lease_id: lease });
        return Number(at(body, 'data', 'ttl')) < 0;
      });
      const { bad, status } = await doctor('read', '--expect', 'read-only');
      expect([bad, status]).toEqual([['fault issue', 'fault lease', 'warning user'], 5]);
    } finally {
      shared().proxy.up();
    }
    await ask('POST', 'sys/leases/revoke', { lease_id: lease, sync: true });
    expect(await users()).toEqual([]);
  });
});

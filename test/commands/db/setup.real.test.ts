import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderYaml } from '../../../src/document.ts';
import { sharedBroker, setupOf, type TestBroker } from '../../support/broker.ts';
import { callPeer } from '../../support/cluster.ts';
import { at } from '../../support/http.ts';
import { makeIssuer, startService } from '../../support/issuer.ts';
import { errorCode } from '../../support/quorate.ts';
import { waitUntil } from '../../support/wait.ts';

const asRoot = (broker: TestBroker, method: string, path: string, body?: unknown) =>
  callPeer(broker.live.cluster, 0, method, path, {
    token: broker.live.rootToken,
    ...(body === undefined ? {} : { body }),
  });

describe.each(['postgresql', 'mariadb'] as const)('db setup for %s', (engine) => {
  const shared = sharedBroker({ engine, apply: false, tls: 'verify-full' });
  const setup = (...args: readonly string[]) => shared().run(['db', 'setup', 'setup.yaml', ...args], shared().root);

  it('refuses a superuser that is alone, says what makes another account, and changes nothing', async () => {
    const { folder, proxy, database, run, root } = shared();
    const mine = setupOf({ engine, tls: 'verify-full' }, proxy.port, folder) as { connection: object };
    const connection = { ...mine.connection, 'admin': 'root', 'admin-password-file': 'root.password' };
    await writeFile(join(folder, 'root.password'), database.root.password, { mode: 0o600 });
    await writeFile(join(folder, 'super.yaml'), renderYaml({ ...mine, connection }));
    const ended = await run(['db', 'setup', 'super.yaml', '--yes'], root);
    expect(errorCode(ended), ended.stderr).toBe('database-account-unfit');
    expect(ended.stderr).toContain('--account-sql');
    expect((await asRoot(shared(), 'GET', 'sys/mounts/database')).status).toBe(400);
    const sql = await run(['db', 'setup', 'super.yaml', '--account-sql'], {});
    expect(sql.stdout).toContain('CREATE');
  });

  it('shows what would change, and asks', async () => {
    const ended = await setup();
    expect(errorCode(ended)).toBe('terminal-needed');
    expect(ended.stderr).toContain('database/config/app (new)');
    expect(ended.stderr).toContain('+ policy:');
    expect(ended.stderr).not.toContain(await readFile(join(shared().folder, 'admin.password'), 'utf8'));
    expect((await asRoot(shared(), 'GET', 'sys/mounts/database')).status).toBe(400);
    expect((await setup('--check')).status).toBe(5);
  });

  it('makes it so, and finds nothing to do afterwards', async () => {
    const first = await setup('--yes');
    expect(first.status, first.stderr).toBe(0);
    const second = await setup('--yes', '--format', 'json');
    const { changes } = JSON.parse(second.stdout) as { changes: { state: string; path: string; lines: string[] }[] };
    expect(changes.filter(({ state }) => state !== 'same')).toEqual([]);
    expect((await setup('--check')).status).toBe(0);
  });

  it('finds what somebody changed, mends it, and needs no password for that', async () => {
    await asRoot(shared(), 'POST', 'database/config/app', { allowed_roles: ['*'] });
    await asRoot(shared(), 'POST', 'database/roles/read', {
      db_name: 'app',
      creation_statements: ['x'],
      default_ttl: 60,
    });
    await asRoot(shared(), 'POST', 'sys/policies/acl/quorate-db-read', {
      policy: 'path "*" { capabilities = ["read"] }',
    });
    const check = await setup('--check');
    expect(check.status).toBe(5);
    expect(check.stderr).toContain('- allowed_roles: ["*"]');
    expect(check.stderr).toContain('path "*" { capabilities = ["read"] }');
    await writeFile(join(shared().folder, 'admin.password'), 'not the password any more', { mode: 0o600 });
    expect((await setup('--yes')).status).toBe(0);
    expect((await setup('--check')).status).toBe(0);
    expect((await setup('--yes', '--new-password')).stderr).toContain('database-denied');
  });

  it('makes a login by the tokens of an issuer whose keys the server asks for', async () => {
    const { folder, proxy, run, root, live } = shared();
    const [peer] = live.cluster.peers;
    const [cert = '', key = ''] = await Promise.all(
      [peer?.certificateFile, peer?.keyFile].map((file) => readFile(file ?? '', 'utf8')),
    );
    const issuer = makeIssuer();
    const service = await startService(
      ({ url }) => ({
        body: url.pathname.endsWith('/jwks')
          ? { keys: [issuer.jwk] }
          : {
              issuer: service.address,
              jwks_uri: `${service.address}/jwks`,
              authorization_endpoint: `${service.address}/authorize`,
              id_token_signing_alg_values_supported: ['ES256'],
            },
      }),
      { cert, key },
    );
    const audience = 'https://vault.example';
    const claims = { project_path: 'octo/app' };
    const login = { name: 'job', method: 'jwt', mount: 'gitlab', issuer: service.address, audience, claims };
    const mine = setupOf({ engine, tls: 'verify-full' }, proxy.port, folder);
    const logins = [{ ...login, 'issuer-ca': live.cluster.caFile, 'roles': ['read'] }];
    await writeFile(join(folder, 'issuer.yaml'), renderYaml({ ...mine, login: logins }));
    const made = await run(['db', 'setup', 'issuer.yaml', '--yes'], root);
    expect(made.status, made.stderr).toBe(0);
    expect((await run(['db', 'setup', 'issuer.yaml', '--check'], root)).status).toBe(0);
    const jwt = issuer.token({ iss: service.address, aud: audience, sub: 'x', ...claims });
    const entered = await asRoot(shared(), 'POST', 'auth/gitlab/login', { role: 'job', jwt });
    expect(at(entered.body, 'auth', 'policies')).toEqual(['quorate-db-read-login']);
  });

  it('makes roles whose credentials do what the template says, and leave nothing behind', async () => {
    const { database } = shared();
    const issued: [string, { user: string; password: string }, string][] = [];
    for (const role of ['read', 'write', 'migrate']) {
      const { body } = await asRoot(shared(), 'GET', `database/creds/${role}`);
      const as = { user: String(at(body, 'data', 'username')), password: String(at(body, 'data', 'password')) };
      issued.push([role, as, String(at(body, 'lease_id'))]);
    }
    const can = (role: string, sql: string): Promise<boolean> => {
      const as = issued.find(([name]) => name === role)?.[1];
      return database.sql(sql, as).then(
        () => true,
        () => false,
      );
    };
    expect(await can('read', 'SELECT * FROM item')).toBe(true);
    expect(await can('read', 'INSERT INTO item VALUES (1)')).toBe(false);
    expect(await can('write', 'INSERT INTO item VALUES (1)')).toBe(true);
    expect(await can('write', 'CREATE TABLE mine (id int)')).toBe(false);
    expect(await can('migrate', 'CREATE TABLE made (id int)')).toBe(true);
    if (engine === 'postgresql') {
      expect(await can('migrate', 'RESET role; CREATE SCHEMA AUTHORIZATION CURRENT_USER')).toBe(false);
      const [row] = await database.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'made'");
      expect(row).toEqual({ tableowner: 'app_owner' });
      // A table that the role owns itself, without taking its group's part.
      expect(await can('migrate', 'RESET role; CREATE TABLE own_made (id int)')).toBe(true);
      const until = await database.sql(
        "SELECT rolvaliduntil FROM pg_roles WHERE rolname LIKE 'app-%' AND rolvaliduntil IS NULL",
      );
      expect(until).toEqual([]);
    }
    for (const [role, as, lease] of issued) {
      const open = database.sql(engine === 'postgresql' ? 'SELECT pg_sleep(60)' : 'SELECT SLEEP(60)', as).then(
        (rows) => JSON.stringify(rows),
        () => 'ended',
      );
      const asleep =
        engine === 'postgresql'
          ? "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
          : "SELECT 1 FROM information_schema.processlist WHERE info = 'SELECT SLEEP(60)'";
      await waitUntil('a session is open', async () => (await database.sql(asleep)).length > 0);
      const revoked = await asRoot(shared(), 'POST', 'sys/leases/revoke', { lease_id: lease, sync: true });
      expect(revoked.status, `${role} ${JSON.stringify(revoked.body)}`).toBe(204);
      expect(await open).toBe('ended');
      expect(await database.canLogIn(as)).toBe(false);
    }
  });

  it('serves a job, with proof over TLS', async () => {
    const { ciToken, ci, proxy, folder, run } = shared();
    const env = { ...ci, BAO_TOKEN: await ciToken() };
    const isPg = engine === 'postgresql';
    const authority = `sslmode=verify-full&sslrootcert=${join(folder, 'ca.pem')}`;
    const target = `${isPg ? 'postgresql' : 'mysql'}://localhost:${proxy.port.toString()}/app?${authority}`;
    const client = isPg ? 'psql -X -A -t -c "SELECT 1"' : 'mariadb -N -e "SELECT 1"';
    const file = ['--file', isPg ? 'pg-service' : 'my.cnf'];
    const ended = await run(
      ['db', 'exec', 'read', '--prove', '--target', target, ...file, '--', 'sh', '-c', client],
      env,
    );
    expect([ended.stdout.trim(), ended.status], ended.stderr).toEqual(['1', 0]);
  });

  it('says every fault of a file at once', async () => {
    const { folder, run, root } = shared();
    await writeFile(
      join(folder, 'bad.yaml'),
      'mount: "a b"\nconnection:\n  name: App\nroles: []\nlogin: []\nextra: 1\n',
    );
    const ended = await run(['db', 'setup', 'bad.yaml'], root);
    expect(errorCode(ended)).toBe('document-invalid');
    for (const place of ['line 1', 'line 3', 'line 4', 'line 6']) expect(ended.stderr).toContain(place);
  });
});

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { sharedBroker } from '../../support/broker.ts';
import { callPeer } from '../../support/cluster.ts';
import { startCuttingProxy } from '../../support/cutting-proxy.ts';
import { errorCode } from '../../support/quorate.ts';
import { waitUntil } from '../../support/wait.ts';

const TODAY = 'live-today-Bx4';

describe.each(['postgresql', 'mariadb'] as const)('db rotate-root on %s', (engine) => {
  const shared = sharedBroker({ engine });
  const isPg = engine === 'postgresql';
  /** What the server's plugin sends last for a rotation; the account's new password is in force once it was answered. */
  const commit = isPg ? 'commit' : 'COMMIT';
  const common = ['--second-admin', 'root', '--second-admin-password-file', 'second.password'];
  const old = ['--old-password-file', 'old.password'];
  const rotate = (options: readonly string[], env = shared().root) =>
    shared().runHere(['db', 'rotate-root', 'app', ...common, '--format', 'json', ...options], env);

  const setAccount = (password: string, account = 'quorate_admin') =>
    shared().database.sql(
      isPg ? `ALTER ROLE ${account} PASSWORD '${password}'` : `ALTER USER '${account}'@'%' IDENTIFIED BY '${password}'`,
    );
  const configure = (fields: object) =>
    callPeer(shared().live.cluster, 0, 'POST', 'database/config/app', { token: shared().live.rootToken, body: fields });
  /** A password that the server and this test know. */
  const begin = async (): Promise<void> => {
    await setAccount(TODAY);
    expect((await configure({ password: TODAY })).status).toBe(204);
  };
  const opens = (): Promise<boolean> => shared().database.canLogIn({ user: 'quorate_admin', password: TODAY });
  const serves = async (): Promise<boolean> =>
    (await callPeer(shared().live.cluster, 0, 'GET', 'database/creds/read', { token: shared().live.rootToken }))
      .status === 200;

  beforeAll(async () => {
    const { folder, database } = shared();
    await writeFile(join(folder, 'second.password'), database.root.password, { mode: 0o600 });
    await writeFile(join(folder, 'old.password'), `${TODAY}\n`, { mode: 0o600 });
    await writeFile(join(folder, 'wrong.password'), 'something else', { mode: 0o600 });
  });

  it('rotates, and proves it by logins; any number of times', async () => {
    await begin();
    const env = await shared().withPolicies('quorate-db-database-app-admin');
    const first = await rotate(['--yes', ...old], env);
    expect(first.status, first.stderr).toBe(0);
    expect(JSON.parse(first.stdout)).toEqual({
      connection: 'database/app',
      account: 'quorate_admin',
      outcome: 'rotated',
      proof: { server: 'logs-in', oldPassword: 'refused' },
    });
    expect(await opens()).toBe(false);
    const again = await rotate(['--yes', ...old]);
    expect(JSON.parse(again.stdout)).toMatchObject({ proof: { oldPassword: 'refused-before' } });
    expect(await serves()).toBe(true);
  });

  it('changes nothing before everything is in place', async () => {
    await begin();
    const unchanged = async (ended: Awaited<ReturnType<typeof rotate>>, code: string): Promise<void> => {
      expect(errorCode(ended), ended.stderr).toBe(code);
      expect(await opens()).toBe(true);
    };
    await unchanged(await rotate([]), 'terminal-needed');
    await unchanged(await rotate(['--yes', '--second-admin', 'quorate_admin']), 'database-account-unfit');
    await unchanged(await rotate(['--yes', '--second-admin-password-file', 'wrong.password']), 'database-denied');
    await unchanged(await rotate(['--yes'], shared().ci), 'denied');
    await unchanged(await shared().runHere(['db', 'rotate-root', 'app', '--yes'], shared().root), 'usage');
    await unchanged(
      await shared().runHere(['db', 'rotate-root', 'nothing', ...common, '--yes'], shared().root),
      'server-error',
    );
    // An administrator without the right to alter the account.
    await shared().database.sql(
      isPg
        ? "CREATE ROLE weak LOGIN PASSWORD 'w'"
        : "CREATE USER weak@'%' IDENTIFIED BY 'w'; GRANT SELECT ON mysql.* TO weak@'%'",
    );
    await writeFile(join(shared().folder, 'weak.password'), 'w', { mode: 0o600 });
    const weak = ['--second-admin', 'weak', '--second-admin-password-file', 'weak.password'];
    const target = isPg
      ? ['--target', `postgresql://127.0.0.1:${shared().database.port.toString()}/app?sslmode=disable`]
      : ['--target', `mysql://127.0.0.1:${shared().database.port.toString()}/mysql?sslmode=disable`];
    await unchanged(await rotate(['--yes', ...weak, ...target]), 'database-account-unfit');
    shared().proxy.down();
    try {
      await unchanged(await rotate(['--yes']), 'database-unreachable');
    } finally {
      shared().proxy.up();
    }
  });

  it('refuses the only superuser', async () => {
    const { database } = shared();
    const root = database.root.password.replaceAll("'", "''");
    await database.sql(
      isPg
        ? "CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'm'"
        : "CREATE USER maker@'%' IDENTIFIED BY 'm'; GRANT CREATE USER, PROCESS, SELECT ON *.* TO maker@'%'",
    );
    await writeFile(join(shared().folder, 'maker.password'), 'm', { mode: 0o600 });
    // MariaDB's own account for its socket is a superuser too.
    if (!isPg) await database.sql('DROP USER IF EXISTS mysql@localhost');
    expect((await configure({ username: 'root', password: database.root.password })).status).toBe(204);
    try {
      const ended = await rotate([
        '--yes',
        '--second-admin',
        'maker',
        '--second-admin-password-file',
        'maker.password',
      ]);
      expect(errorCode(ended), ended.stderr).toBe('database-account-unfit');
      expect(ended.stderr).toContain('only superuser');
      expect(await database.canLogIn(database.root), root).toBe(true);
    } finally {
      await configure({ username: 'quorate_admin', password: TODAY });
    }
  });

  it('refuses while somebody else is logged in with the account, unless that is accepted', async () => {
    await begin();
    const other = shared()
      .database.sql(isPg ? 'SELECT pg_sleep(60)' : 'SELECT SLEEP(60)', { user: 'quorate_admin', password: TODAY })
      .catch(() => undefined);
    const ids = isPg
      ? "SELECT pid AS id FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
      : "SELECT id FROM information_schema.processlist WHERE info = 'SELECT SLEEP(60)'";
    const [row] = await waitUntil('it is logged in', async () => {
      const rows = await shared().database.sql(ids);
      return rows.length > 0 && rows;
    });
    const refused = await rotate(['--yes', ...old]);
    expect(errorCode(refused), refused.stderr).toBe('preflight-failed');
    expect(await opens()).toBe(true);
    const accepted = await rotate(['--yes', ...old, '--accept-sessions']);
    expect(accepted.status, accepted.stderr).toBe(0);
    const id = String(row?.['id']);
    await shared().database.sql(isPg ? `SELECT pg_terminate_backend(${id})` : `KILL ${id}`);
    await other;
  });

  it('finds out what became of it when its answer was lost', async () => {
    await begin();
    const wire = await startCuttingProxy(shared().live.cluster);
    const env = { ...shared().root, BAO_ADDR: wire.address };
    const struck = wire.cut({ path: 'database/rotate-root/app', fault: { kind: 'before-reply' } });
    const ended = await rotate(['--yes', ...old], env);
    await struck;
    expect(ended.status, ended.stderr).toBe(0);
    expect(JSON.parse(ended.stdout)).toMatchObject({ outcome: 'rotated', proof: { oldPassword: 'refused' } });
    await begin();
    // It never arrived: nothing has changed, and that is said.
    void wire.cut({ path: 'database/rotate-root/app', fault: { kind: 'before-request' } });
    const lost = await rotate(['--yes', ...old], env);
    expect(errorCode(lost), lost.stderr).toBe('server-error');
    expect(await opens()).toBe(true);
    // Without the old password nobody can tell; the connection works.
    void wire.cut({ path: 'database/rotate-root/app', fault: { kind: 'before-reply' } });
    const unknown = await rotate(['--yes'], env);
    expect(errorCode(unknown), unknown.stderr).toBe('outcome-unknown');
    expect(await serves()).toBe(true);
  });

  it('mends what was cut at COMMIT, in the same run or in a later one', async () => {
    await begin();
    const wire = await startCuttingProxy(shared().live.cluster);
    const env = { ...shared().root, BAO_ADDR: wire.address };
    const cutAtCommit = (): { readonly struck: () => boolean } => {
      let struck = false;
      const before = (): Promise<void> => {
        void shared()
          .proxy.cutAfter(commit)
          .then(() => {
            struck = true;
          });
        return Promise.resolve();
      };
      void wire.cut({ path: 'database/rotate-root/app', fault: { kind: 'around', before } });
      return { struck: () => struck };
    };
    const first = cutAtCommit();
    const lost = await rotate(['--yes', ...old], env);
    expect(first.struck()).toBe(true);
    expect(errorCode(lost), lost.stderr).toBe('database-password-lost');
    expect([await opens(), await serves()]).toEqual([false, false]);
    const mender = await shared().withPolicies('quorate-db-database-app-admin');
    const mended = await rotate(['--yes', '--repair', ...old], mender);
    expect(mended.status, mended.stderr).toBe(0);
    expect(JSON.parse(mended.stdout)).toMatchObject({ outcome: 'repaired' });
    expect(await serves()).toBe(true);
    await begin();
    const second = cutAtCommit();
    const atOnce = await rotate(['--yes', '--repair', ...old], env);
    expect(second.struck()).toBe(true);
    expect(JSON.parse(atOnce.stdout)).toMatchObject({ outcome: 'repaired', proof: { oldPassword: 'refused' } });
    expect(await serves()).toBe(true);
  });

  it('goes on after a SIGKILL at any of its requests that change something', async () => {
    const wire = await startCuttingProxy(shared().live.cluster);
    const env = { ...shared().root, BAO_ADDR: wire.address };
    const kill = async (path: string, kind: 'before-request' | 'freeze', options: readonly string[]): Promise<void> => {
      const struck = wire.cut({ path, fault: { kind }, skip: 0 });
      const running = shared().start(['db', 'rotate-root', 'app', ...common, '--yes', ...options], env);
      await struck;
      running.child.kill('SIGKILL');
      await running.ended;
    };
    await begin();
    await kill('database/rotate-root/app', 'freeze', []);
    expect((await rotate(['--yes'])).status).toBe(0);
    // The server has a wrong password, and the repair dies before and after the server got the right one.
    for (const kind of ['before-request', 'freeze'] as const) {
      await setAccount('lost');
      await kill('database/config/app', kind, ['--repair']);
      await setAccount('lost again');
      const ended = await rotate(['--yes', '--repair']);
      expect(JSON.parse(ended.stdout), ended.stderr).toMatchObject({ outcome: 'repaired' });
      expect(await serves()).toBe(true);
    }
  });
});

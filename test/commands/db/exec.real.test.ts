import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Receipt } from '../../../src/broker/exec/receipt.ts';
import { sharedBroker } from '../../support/broker.ts';
import { callPeer } from '../../support/cluster.ts';
import { startCuttingProxy } from '../../support/cutting-proxy.ts';
import { errorCode, MAIN } from '../../support/quorate.ts';
import { waitUntil } from '../../support/wait.ts';

const shared = sharedBroker({ engine: 'postgresql' });
const exec = (options: readonly string[], script: string) =>
  shared().run(['db', 'exec', ...options, '--', 'sh', '-c', script]);
const start = (options: readonly string[], script: string) =>
  shared().start(['db', 'exec', ...options, '--', 'sh', '-c', script]);

/** Logins of this setup that are left in the database. */
const left = async (): Promise<number> =>
  (await shared().database.sql("SELECT 1 FROM pg_roles WHERE rolname LIKE 'app-%'")).length;
const allGone = (timeout?: number): Promise<true> =>
  waitUntil('every login is gone', async () => (await left()) === 0, timeout);

/** The role whose credentials end soon. */
const BRIEF = 'migrate';

beforeAll(async () => {
  const { live } = shared();
  const call = (method: string, body?: unknown) =>
    callPeer(live.cluster, 0, method, `database/roles/${BRIEF}`, { token: live.rootToken, body });
  const role = (await call('GET')).body as { readonly data: object };
  const reply = await call('POST', { ...role.data, default_ttl: 6, max_ttl: 12 });
  if (reply.status >= 300) throw new Error(`the role is not changed: ${reply.status.toString()}`);
});

let number = 0;
async function receiptOf(
  options: readonly string[],
  script: string,
): Promise<{ readonly status: number | null; readonly receipt: Receipt; readonly stderr: string }> {
  const file = `receipt-${(number += 1).toString()}.json`;
  const { status, stderr } = await exec([...options, '--receipt', file], script);
  return { status, stderr, receipt: JSON.parse(await readFile(join(shared().folder, file), 'utf8')) as Receipt };
}

describe('db exec', () => {
  it('runs a program with a login of its own, which is gone afterwards, with proof', async () => {
    const script = 'psql -X -A -t -c "SELECT session_user" > who; env > env; echo out; exit 7';
    const { status, receipt } = await receiptOf(['read', '--prove'], script);
    expect(status).toBe(7);
    expect(receipt).toMatchObject({
      program: { status: 7, signal: null },
      proof: { lease: 'gone', token: 'gone', database: { login: 'refused', session: 'ended' } },
      proved: true,
    });
    expect(readFileSync(join(shared().folder, 'who'), 'utf8').trim()).toBe(receipt.username);
    const env = readFileSync(join(shared().folder, 'env'), 'utf8');
    expect(env).toContain(`PGUSER=${receipt.username}`);
    expect(env).not.toMatch(/^(BAO|VAULT)_TOKEN=/m);
    expect(await left()).toBe(0);
  });

  it('ends the sessions that the program left running', async () => {
    const { status } = await exec(
      ['read'],
      '(psql -X -c "SELECT pg_sleep(120)" >/dev/null 2>&1 </dev/null &)\n' +
        "until psql -X -A -t -c \"SELECT 'open' FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(120)'\" | grep open\n" +
        'do sleep 0.1; done',
    );
    expect(status).toBe(0);
    const open = await shared().database.sql(
      "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(120)%' AND pid <> pg_backend_pid()",
    );
    expect(open).toEqual([]);
  });

  it('has the exit statuses of env(1), and leaves nothing behind in each case', async () => {
    const run = (...command: string[]) => shared().run(['db', 'exec', 'read', '--', ...command]);
    expect((await run('no-such-program')).status).toBe(127);
    expect((await run('/etc/passwd')).status).toBe(126);
    expect((await run('sh', '-c', 'kill -TERM $$')).status).toBe(143);
    expect((await shared().run(['db', 'exec', 'nothing', '--', 'true'])).status).toBe(125);
    expect((await shared().run(['db', 'exec', 'read', '--nothing', '--', 'true'])).status).toBe(125);
    expect(await left()).toBe(0);
  });

  it('gives the password by a file or a descriptor, and not in the environment', async () => {
    const file = await exec(
      ['read', '--file', 'pgpass'],
      'psql -X -A -t -c "SELECT 1"; env; stat -c %a "$PGPASSFILE"; echo "$PGPASSFILE" > where',
    );
    expect(file.stdout).toMatch(/^1$/m);
    expect(file.stdout).toMatch(/^600$/m);
    expect(file.stdout).not.toContain('PGPASSWORD');
    expect(existsSync(readFileSync(join(shared().folder, 'where'), 'utf8').trim())).toBe(false);
    const descriptor = await exec(['read', '--fd', '4'], 'cat <&4; env >&2');
    const { password } = JSON.parse(descriptor.stdout) as { password: string };
    expect(descriptor.stderr).not.toContain(password);
    // One that closes everything it was given is none the worse for it.
    expect((await exec(['read', '--fd', '4'], 'exec 0<&- 1>&- 2>&- 4<&-; exit 3')).status).toBe(3);
  });

  it('passes signals on, twice if need be, and revokes afterwards', async () => {
    const running = start(
      ['read'],
      `trap 'echo got; n=1$n; [ "$n" = 11 ] && exit 9' TERM; echo ready; while :; do sleep 0.1; done`,
    );
    let out = '';
    running.child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    await waitUntil('the program runs', () => out.includes('ready'));
    running.child.kill('SIGTERM');
    await waitUntil('the first arrived', () => out.includes('got'));
    running.child.kill('SIGTERM');
    expect((await running.ended).status).toBe(9);
    expect(await left()).toBe(0);
  });

  it('renews as long as it can, tells the program before the end, and kills one that does not listen', async () => {
    // 12 s in all: at 9 s less than was asked for is left. What it leaves running must not hold its output open.
    const { status, receipt, stderr } = await receiptOf(
      [BRIEF, '--drain', '30s'],
      'trap "" TERM; while :; do sleep 1; done',
    );
    expect(stderr).toContain('told to end');
    expect(receipt.renewals).toBeGreaterThan(0);
    expect(receipt.program.signal).toBe('SIGKILL');
    expect(status).toBe(137);
    expect(await left()).toBe(0);
  });

  it('ends the credential by itself when everything is killed', async () => {
    const running = start(['read', '--token-ttl', '5s'], 'echo $$; exec sleep 300');
    let out = '';
    running.child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    await waitUntil('the program runs', () => out.includes('\n'));
    running.child.kill('SIGKILL');
    process.kill(Number(out), 'SIGKILL');
    expect(await left()).toBe(1);
    await allGone(15_000);
  });
});

describe('bad weather', () => {
  it('says what it could not prove when the database is away at the end, and the server ends it later', async () => {
    const { proxy } = shared();
    const running = start(['read', '--revoke-timeout', '2s', '--receipt', 'down.json'], 'echo up; sleep 1');
    let out = '';
    running.child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    await waitUntil('the program runs', () => out.includes('up'));
    proxy.down();
    try {
      const ended = await running.ended;
      expect(ended.status).toBe(125);
      const receipt = JSON.parse(await readFile(join(shared().folder, 'down.json'), 'utf8')) as Receipt;
      expect(receipt).toMatchObject({ revoked: null, proved: false, program: { status: 0 } });
      const issued = await shared().run(['db', 'creds', 'read']);
      expect(errorCode(issued)).toBe('database-unreachable');
      const stuck = await shared().run(['db', 'leases', 'read', '--format', 'json'], shared().root);
      expect(stuck.stdout).toContain(receipt.lease);
    } finally {
      proxy.up();
    }
    const lease = (JSON.parse(await readFile(join(shared().folder, 'down.json'), 'utf8')) as Receipt).lease;
    const revoked = await shared().run(['db', 'revoke', lease]);
    expect(revoked.status, revoked.stderr).toBe(0);
    await allGone();
  });

  it('comes through a lost reply with one credential, and no other left', async () => {
    const { live, ci } = shared();
    const wire = await startCuttingProxy(live.cluster);
    const env = { ...ci, BAO_ADDR: wire.address };
    const struck = wire.cut({ method: 'GET', path: 'database/creds/read', fault: { kind: 'before-reply' } });
    const ended = await shared().run(['db', 'exec', 'read', '--', 'sh', '-c', 'psql -X -A -t -c "SELECT 1"'], env);
    await struck;
    expect(ended.stdout.trim()).toBe('1');
    await allGone();
    void wire.cut({ method: 'GET', path: `database/creds/${BRIEF}`, fault: { kind: 'before-reply' } });
    expect(errorCode(await shared().run(['db', 'creds', BRIEF], env))).toBe('credential-reply-lost');
    // The same for a revocation whose first answer is lost.
    const again = wire.cut({ path: 'sys/leases/revoke', fault: { kind: 'before-reply' } });
    expect((await shared().run(['db', 'exec', 'read', '--', 'true'], env)).status).toBe(0);
    await again;
    await allGone(60_000);
  });

  it('takes back what it could not write', async () => {
    await allGone(60_000);
    const { run } = shared();
    expect((await run(['db', 'creds', 'read', '--output', 'setup.yaml'])).stderr).toContain('file-exists');
    // A disk that is full: the credential was made, and nobody can have it.
    const { PATH = '', HOME = '' } = process.env;
    const line = `exec "${process.execPath}" "${MAIN}" db creds read > /dev/full`;
    // Not synchronously: the database's proxy is in this process.
    const full = await new Promise<string>((resolve) => {
      execFile(
        'sh',
        ['-c', line],
        { cwd: shared().folder, env: { PATH, HOME, ...shared().ci } },
        (_error, _out, stderr) => {
          resolve(stderr);
        },
      );
    });
    expect(full).toContain('file-invalid');
    expect(await left()).toBe(0);
    const ended = await run(['db', 'creds', 'read', '--output', 'nowhere/file']);
    expect(errorCode(ended)).toBe('file-missing');
    expect((await run(['db', 'creds', 'read', '--fd', '77'])).stderr).toContain('file-invalid');
    expect(await left()).toBe(0);
  });
});

describe('db creds with an idempotency key', () => {
  interface Written {
    readonly username: string;
    readonly password: string;
    readonly lease: { readonly id: string };
  }
  const creds = async (key: string, env = shared().ci): Promise<Written> => {
    const ended = await shared().run(['db', 'creds', 'write', '--idempotency-key', key], env);
    if (ended.status !== 0) throw new Error(ended.stderr);
    return JSON.parse(ended.stdout) as Written;
  };
  const end = (key: string) => shared().run(['db', 'revoke', '--role', 'write', '--idempotency-key', key]);

  it('gives the same again to the same login, also in a race, and another to another key', async () => {
    const again = { ...shared().ci, BAO_TOKEN: await shared().ciToken() };
    const [one, two, three] = await Promise.all([creds('k'), creds('k', again), creds('other')]);
    expect(two).toMatchObject({ username: one.username, password: one.password });
    expect(three.username).not.toBe(one.username);
    expect(await left()).toBe(2);
    expect((await end('k')).status).toBe(0);
    expect((await end('other')).status).toBe(0);
    expect(await left()).toBe(0);
    expect(errorCode(await end('k'))).toBe('lease-unknown');
    const fresh = await creds('k');
    expect(fresh.username).not.toBe(one.username);
    expect((await end('k')).status).toBe(0);
  });

  it.each([
    { method: 'GET', path: 'database/creds/write' },
    { method: 'POST', path: /^quorate-db\/data\// },
    { method: 'POST', path: /^quorate-db\/data\//, skip: 1 },
    { method: 'POST', path: /^quorate-transit\/encrypt\//, skip: 1 },
  ] as const)('never makes a second one when a reply is lost: %o', async (cut) => {
    const { live, ci } = shared();
    const wire = await startCuttingProxy(live.cluster);
    const env = { ...ci, BAO_ADDR: wire.address };
    const struck = wire.cut({ ...cut, fault: { kind: 'before-reply' } });
    await creds('cut', env).catch(() => undefined);
    await struck;
    const written = await creds('cut', env);
    await waitUntil('there is one', async () => (await left()) === 1);
    expect((await creds('cut')).username).toBe(written.username);
    expect((await end('cut')).status).toBe(0);
    await allGone();
  });

  it('belongs to a login with an identity', async () => {
    const ended = await shared().run(['db', 'creds', 'write', '--idempotency-key', 'k'], shared().root);
    expect(errorCode(ended)).toBe('usage');
  });
});

describe('db renew, leases', () => {
  it('renews up to the maximum, and no longer', async () => {
    const { run } = shared();
    const { lease } = JSON.parse((await run(['db', 'creds', 'read'])).stdout) as { lease: { id: string } };
    const renewed = await run(['db', 'renew', lease.id, '--by', '10m', '--format', 'json']);
    expect(renewed.stdout).toContain('"atMaximum": true');
    const listed = await run(['db', 'leases', 'read'], shared().root);
    expect(listed.stdout).toContain(lease.id);
    expect(errorCode(await run(['db', 'leases']))).toBe('denied');
    expect((await run(['db', 'revoke', lease.id])).status).toBe(0);
    expect(errorCode(await run(['db', 'renew', lease.id]))).toBe('lease-unknown');
  });
});

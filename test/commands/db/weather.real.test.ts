import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Receipt } from '../../../src/broker/exec/receipt.ts';
import { sharedBroker } from '../../support/broker.ts';
import {
  callPeer,
  leaderIndex,
  startAll,
  unsealAll,
  unsealPeer,
  waitForAll,
  waitForVoters,
} from '../../support/cluster.ts';
import { at } from '../../support/http.ts';
import { type Ended, errorCode, type Running } from '../../support/quorate.ts';
import { waitUntil } from '../../support/wait.ts';

/** A role whose credentials have to be renewed every few seconds, on a cluster that survives the loss of a peer. */
const shared = sharedBroker({ engine: 'postgresql', peers: 3, ttl: '12s' });
let login: readonly string[] = [];

const leader = (): Promise<number> => waitUntil('there is a leader', () => leaderIndex(shared().live.cluster), 60_000);

const asRoot = async (method: string, path: string, body?: unknown) =>
  callPeer(shared().live.cluster, await leader(), method, path, { token: shared().live.rootToken, body });

beforeAll(async () => {
  await waitForVoters(shared().live);
  const roleId = at((await asRoot('GET', 'auth/approle/role/ci/role-id')).body, 'data', 'role_id');
  const secretId = at((await asRoot('POST', 'auth/approle/role/ci/secret-id', {})).body, 'data', 'secret_id');
  await writeFile(join(shared().folder, 'secret-id'), String(secretId), { mode: 0o600 });
  login = ['--login', `approle,role-id=${String(roleId)},secret-id-file=secret-id`];
}, 180_000);

// Also after a test that failed half-way.
afterEach(async () => {
  await startAll(shared().live.cluster);
  await unsealAll(shared().live);
  await waitForVoters(shared().live);
}, 120_000);

/** On the whole cluster, without a token in the environment. */
const options = (): readonly string[] => ['--config', shared().live.cluster.configFile, '--cluster', 'rehearsal'];
const run = (...words: readonly string[]): Promise<Ended> => shared().run(words, {});

const logins = (): Promise<readonly Readonly<Record<string, unknown>>[]> =>
  shared().database.sql("SELECT extract(epoch FROM rolvaliduntil) AS until FROM pg_roles WHERE rolname LIKE 'app-%'");
const allGone = (): Promise<true> =>
  waitUntil('every login is gone', async () => (await logins()).length === 0, 60_000);

/** A job that runs until `finish`. */
interface Held {
  readonly running: Running;
  /** Seconds since 1970 at which the database ends its login. */
  until(): Promise<number>;
  finish(): Promise<{ readonly ended: Ended; readonly receipt: Receipt }>;
}

let number = 0;
async function hold(...more: readonly string[]): Promise<Held> {
  const { folder } = shared();
  const name = `job-${(number += 1).toString()}`;
  const script = `echo > ${name}.up; while ! [ -e ${name}.go ]; do sleep 0.1; done`;
  const words = ['db', 'exec', 'read', ...options(), ...more, '--receipt', `${name}.json`, '--', 'sh', '-c', script];
  const running = shared().start(words, {});
  await waitUntil('the job runs', () => existsSync(join(folder, `${name}.up`)));
  return {
    running,
    until: async () => Number((await logins())[0]?.['until']),
    async finish() {
      await writeFile(join(folder, `${name}.go`), '');
      const ended = await running.ended;
      return { ended, receipt: JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8')) as Receipt };
    },
  };
}

describe('a login', () => {
  it('is made at another peer where one is sealed, and where one is away', async () => {
    const { cluster } = shared().live;
    const first = (await leader()) === 0 ? 1 : 0;
    // quorate.yaml names it before the one that leads.
    await cluster.kill(first);
    await cluster.start(first);
    const sealed = await run('db', 'exec', 'read', ...options(), ...login, '--', 'true');
    expect(sealed.status, sealed.stderr).toBe(0);
    await cluster.kill(first);
    const away = await run('db', 'exec', 'read', ...options(), ...login, '--', 'true');
    expect(away.status, away.stderr).toBe(0);
    await cluster.start(first);
    await unsealAll(shared().live);
    await allGone();
  });

  it('waits while the cluster has no leader', async () => {
    const { live } = shared();
    const leads = await leader();
    const others = [0, 1, 2].filter((index) => index !== leads);
    for (const index of [leads, others[0] ?? 0]) await live.cluster.kill(index);
    const job = shared().start(['db', 'exec', 'read', ...options(), ...login, '--', 'true'], {});
    await live.cluster.start(leads);
    await unsealPeer(live, leads);
    const ended = await job.ended;
    expect(ended.status, ended.stderr).toBe(0);
    await startAll(live.cluster);
    await unsealAll(live);
    await waitForVoters(live);
    await allGone();
  });

  it('that ends before the job ends the job in time, and the credential with it', async () => {
    const policies = ['quorate-db-read-login'];
    const token = { policies, ttl: '15s', explicit_max_ttl: '15s', no_default_policy: true };
    const made = await asRoot('POST', 'auth/token/create', token);
    const file = join(shared().folder, 'short-token');
    await writeFile(file, String(at(made.body, 'auth', 'client_token')), { mode: 0o600 });
    const job = await hold('--drain', '6s', '--login', `token-file,file=${file}`);
    const ended = await job.running.ended;
    expect(ended.stderr).toContain('told to end');
    // It listened: there was time to revoke it, and to prove that.
    expect(ended.status, ended.stderr).toBe(143);
    await allGone();
  });
});

describe('a fail-over in the middle of a job', () => {
  it.each(['a leader that steps down', 'a leader that is killed'])('by %s', async (how) => {
    const { live } = shared();
    const before = await leader();
    const job = await hold('--prove', ...login);
    const first = await job.until();
    if (how.endsWith('killed')) await live.cluster.kill(before);
    else expect((await asRoot('PUT', 'sys/step-down')).status).toBe(204);
    await waitUntil('another one leads', async () => (await leader()) !== before, 60_000);
    const since = Date.now() / 1000;
    // What was renewed by the old leader is no proof.
    await waitUntil('it is renewed', async () => (await job.until()) > Math.max(first, since + 9), 60_000);
    const { ended, receipt } = await job.finish();
    expect(ended.status, ended.stderr).toBe(0);
    expect(receipt).toMatchObject({
      proved: true,
      proof: { lease: 'gone', token: 'gone', database: { login: 'refused', session: 'ended' } },
    });
    expect(receipt.renewals).toBeGreaterThan(0);
    expect(await logins()).toEqual([]);
    await startAll(live.cluster);
    await unsealAll(live);
    await waitForVoters(live);
  });
});

describe('a cluster that is sealed', () => {
  it('in the middle of a job leaves the credential to its short time, and that is said', async () => {
    const { live, folder } = shared();
    const job = await hold('--revoke-timeout', '2s', '--on-expiry', 'ignore', ...login);
    await live.cluster.stop();
    await startAll(live.cluster);
    await waitForAll(live.cluster, 'is sealed', (status) => status['sealed'] === true);
    const { ended, receipt } = await job.finish();
    expect(ended.status).toBe(125);
    expect(ended.stderr).toContain(`left to its time, ${receipt.expires}`);
    expect(receipt).toMatchObject({
      revoked: null,
      proved: false,
      program: { status: 0 },
      proof: { lease: 'unknown' },
    });
    const last = Date.parse(receipt.expires);
    expect(last).toBeLessThan(Date.now() + 13_000);
    // The database itself lets nobody in any more by then, sealed or not.
    const [left] = await logins();
    expect(Number(left?.['until'])).toBeLessThanOrEqual(last / 1000 + 10);
    const issued = await run('db', 'creds', 'read', ...options(), ...login);
    expect([errorCode(issued), issued.status]).toEqual(['sealed', 3]);
    const refused = await run('db', 'exec', 'read', ...options(), ...login, '--', 'touch', 'ran');
    expect([refused.status, existsSync(join(folder, 'ran'))]).toEqual([125, false]);
    await unsealAll(live);
    await allGone();
    await rm(join(folder, 'secret-id'));
  });
});

import { beforeAll, describe, expect, it } from 'vitest';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { callPeer, leaderIndex, sharedCluster } from '../../support/cluster.ts';
import { at } from '../../support/http.ts';
import { codeOf, prepareRotation, rosterOf, underWay } from '../../support/rotation.ts';
import { vaultBinary } from '../../support/vault-binary.ts';
import { waitUntil } from '../../support/wait.ts';

const SCRIPT = { ceremony: 'drill' };
const HOLDERS = ['Alice', 'Bo', 'Cleo'];
const OTHER = 'ab'.repeat(32);

describe('drill on three peers of OpenBao', () => {
  const live = sharedCluster({ voters: true });
  let roster: Roster;
  beforeAll(async () => {
    roster = await rosterOf(live(), HOLDERS);
  });

  it('proves who opens the cluster, writes it on the roster, and changes nothing', async () => {
    const ceremony = await prepareRotation({ live: live(), script: SCRIPT, roster });
    const { folder } = await ceremony.start();
    expect(await faultsOf(folder)).toEqual([]);
    const events = await eventsOf(folder);
    expect(events.filter((one) => one.event === 'check' && !one.ok)).toEqual([]);
    expect(events.find((one) => one.event === 'check' && one.code === 'drill')).toMatchObject({
      facts: { givers: 'Alice, Bo' },
    });
    const written = await ceremony.roster();
    expect(written.shares.map((one) => one['proved-at'] === '2026-01-01T00:00:00.000Z')).toEqual([false, false, true]);
    expect(await underWay(live())).toEqual([]);
  });

  it('refuses a mistyped share, a duplicate, and then takes the right ones; the lock tells the nonce', async () => {
    const [one = ''] = live().shares;
    const given = [`${OTHER}01`, undefined, one];
    const nonces: unknown[] = [];
    const ceremony = await prepareRotation({
      live: live(),
      script: SCRIPT,
      roster,
      onShare: async (_request, number) => {
        const leader = (await leaderIndex(live().cluster)) ?? 0;
        const ask = { token: live().rootToken };
        const lock = await callPeer(live().cluster, leader, 'GET', 'quorate/data/ceremony-lock', ask);
        const status = await callPeer(live().cluster, leader, 'GET', 'sys/rotate/root/init', ask);
        nonces.push([at(lock.body, 'data', 'data', 'nonce'), at(status.body, 'data', 'nonce')]);
        return given[number - 1];
      },
    });
    await ceremony.start();
    for (const [told, own] of nonces as [unknown, unknown][]) expect(told).toBe(own);
    expect(nonces).toHaveLength(4);
    expect(ceremony.refused.map(({ code }) => code)).toEqual(['share-unknown', 'share-duplicate']);
  });

  it('starts again when the leader steps down in the middle, and leaves no ghost (L4)', async () => {
    const step = async (): Promise<undefined> => {
      const before = (await leaderIndex(live().cluster)) ?? 0;
      await callPeer(live().cluster, before, 'PUT', 'sys/step-down', { token: live().rootToken });
      await waitUntil('another peer leads', async () => {
        const now = await leaderIndex(live().cluster);
        return now !== undefined && now !== before;
      });
      return undefined;
    };
    const ceremony = await prepareRotation({
      live: live(),
      script: SCRIPT,
      roster,
      onShare: (_request, number) => (number === 2 ? step() : Promise.resolve(undefined)),
    });
    const { folder } = await ceremony.start();
    expect((await eventsOf(folder)).some((one) => one.event === 'exception')).toBe(true);
    expect(await underWay(live())).toEqual([]);
  });

  it('stops before anybody is asked when something is under way on a standby, and cancels it only when told to', async () => {
    const leader = (await leaderIndex(live().cluster)) ?? 0;
    const standby = (leader + 1) % 3;
    await waitUntil('the standby answers for itself', async () => {
      const { body } = await callPeer(live().cluster, standby, 'GET', 'sys/health');
      return at(body, 'replication_performance_mode') !== 'unknown';
    });
    const body = { secret_shares: 1, secret_threshold: 1, require_verification: true };
    const planted = await callPeer(live().cluster, standby, 'PUT', 'sys/rotate/root/init', {
      token: live().rootToken,
      body,
    });
    expect(planted.status).toBe(200);
    expect(await underWay(live())).toEqual([live().cluster.peers[standby]?.name]);
    const refusing = await prepareRotation({ live: live(), script: SCRIPT, roster });
    expect(await codeOf(refusing.start())).toBe('preflight-failed');
    const accepted = new Map([['under-way', 'nobody is at it']]);
    const unasked = await prepareRotation({
      live: live(),
      script: SCRIPT,
      roster,
      setting: { accepted },
      people: { acceptException: () => Promise.resolve(false) },
    });
    expect(await codeOf(unasked.start())).toBe('ceremony-locked');
    expect(await underWay(live())).not.toEqual([]);
    const told = await prepareRotation({ live: live(), script: SCRIPT, roster, setting: { accepted } });
    await told.start();
    expect(await underWay(live())).toEqual([]);
  });

  it('cancels what it started when nobody gives another share, and can be resumed', async () => {
    let there = false;
    const ceremony = await prepareRotation({
      live: live(),
      script: SCRIPT,
      roster,
      onShare: (_request, number) => Promise.resolve(number === 2 && !there ? null : undefined),
    });
    expect(await codeOf(ceremony.start())).toBe('ceremony-interrupted');
    expect(await underWay(live())).toEqual([]);
    there = true;
    await ceremony.resume();
  });

  it('does not begin with a sealed peer (L6)', async () => {
    const standby = (((await leaderIndex(live().cluster)) ?? 0) + 1) % 3;
    await live().cluster.restart(standby);
    const ceremony = await prepareRotation({ live: live(), script: SCRIPT, roster });
    await expect(ceremony.start()).rejects.toMatchObject({ code: 'preflight-failed' });
    const events = await eventsOf(ceremony.folder);
    expect(events.some((one) => one.event === 'check' && one.code === 'unsealed' && !one.ok)).toBe(true);
  });
});

describe.skipIf(vaultBinary() === undefined)('drill on HashiCorp Vault', () => {
  const live = sharedCluster({ flavour: 'vault', peers: 1 });

  it('proves who opens the cluster, when the missing audit device is accepted', async () => {
    const roster = await rosterOf(live(), HOLDERS);
    const accepted = new Map([['audit', 'a test']]);
    const ceremony = await prepareRotation({ live: live(), script: SCRIPT, roster, setting: { accepted } });
    const { folder } = await ceremony.start();
    const events = await eventsOf(folder);
    expect(events.some((one) => one.event === 'check' && one.code === 'drill' && one.ok)).toBe(true);
    const { body } = await callPeer(live().cluster, 0, 'GET', 'sys/rekey/init');
    expect(at(body, 'started')).toBe(false);
  });
});

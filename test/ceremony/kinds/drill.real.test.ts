import { beforeAll, describe, expect, it } from 'vitest';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { callPeer, leaderIndex, sharedCluster } from '../../support/cluster.ts';
import { at } from '../../support/http.ts';
import { attemptOf } from '../../support/quorum.ts';
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

  async function answersForItself(index: number): Promise<void> {
    await waitUntil('the standby answers for itself', async () => {
      const { body } = await callPeer(live().cluster, index, 'GET', 'sys/health');
      return at(body, 'replication_performance_mode') !== 'unknown';
    });
  }

  it('proves who opens the cluster, writes it on the roster, and changes nothing', async () => {
    const ceremony = await prepareRotation({ live: live(), script: SCRIPT, roster });
    const { folder, signers } = await ceremony.start();
    expect(await faultsOf(folder)).toEqual([]);
    expect(signers).toEqual(expect.arrayContaining(['Alice', 'Bo']));
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

  it('stops when something is under way on any peer, and cancels it only when told to (L4)', async () => {
    const leader = (await leaderIndex(live().cluster)) ?? 0;
    const [one, other] = [(leader + 1) % 3, (leader + 2) % 3];
    const names = live().cluster.peers.map(({ name }) => name);
    const put = (index: number, path: string, body: unknown): ReturnType<typeof callPeer> =>
      callPeer(live().cluster, index, 'PUT', path, { token: live().rootToken, body });
    const rotation = { secret_shares: 1, secret_threshold: 1, require_verification: true };
    await Promise.all([one, other].map((index) => answersForItself(index)));
    expect(await put(one, 'sys/rotate/root/init', rotation)).toMatchObject({ status: 200 });
    // The other one is in its verification: whoever has that share could make it take effect.
    const { body } = await put(other, 'sys/rotate/root/init', rotation);
    for (const key of live().shares.slice(0, live().threshold)) {
      const given = { key, nonce: at(body, 'data', 'nonce') };
      expect(await put(other, 'sys/rotate/root/update', given)).toMatchObject({ status: 200 });
    }
    await put(leader, 'sys/generate-root-token/attempt', {});
    const nothing = { live: live(), script: SCRIPT, roster };

    // As where nobody can be asked.
    const refusing = await prepareRotation({ ...nothing, people: { acceptException: () => Promise.resolve(false) } });
    const fault = await refusing.start().catch((error: unknown) => error);
    expect(fault).toMatchObject({ code: 'preflight-failed', faults: { length: 3 } });
    const accepted = new Map([['under-way', 'nobody is at it']]);
    const unasked = await prepareRotation({
      ...nothing,
      setting: { accepted },
      people: { acceptException: () => Promise.resolve(false) },
    });
    expect(await codeOf(unasked.start())).toBe('ceremony-locked');
    expect((await underWay(live())).toSorted()).toEqual([names[one], names[other]].toSorted());

    const asked: string[] = [];
    const told = await prepareRotation({
      ...nothing,
      people: {
        acceptException: (question, typed) => {
          asked.push(`${question} ${typed}`);
          return Promise.resolve(true);
        },
      },
    });
    const { folder } = await told.start();
    expect(asked).toHaveLength(3);
    for (const [index, what] of [
      [one, 'rotation of the root key (nonce'],
      [other, 'wait for their verification (nonce'],
      [leader, 'generation of a root token (nonce'],
    ] as const)
      expect(asked.some((line) => line.startsWith(names[index] ?? '-') && line.includes(what))).toBe(true);
    expect(await underWay(live())).toEqual([]);
    expect(at(await attemptOf(live()), 'started')).toBe(false);
    const kept = (await eventsOf(folder)).filter((event) => event.event === 'exception');
    expect(kept.map(({ decision }) => decision)).toEqual(Array(3).fill('cancelled after asking'));
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

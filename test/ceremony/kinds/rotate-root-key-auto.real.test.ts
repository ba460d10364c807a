import { beforeAll, describe, expect, it } from 'vitest';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import { autoUnsealed } from '../../support/auto-unseal.ts';
import { callPeer, type LiveCluster, waitForAll } from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { at } from '../../support/http.ts';
import {
  codeOf,
  prepareRotation,
  restarting,
  type RotationCeremony,
  rosterOf,
  type RotationTest,
  underWay,
} from '../../support/rotation.ts';
import { leader, withProxy } from '../../support/rotation-faults.ts';
import { waitUntil } from '../../support/wait.ts';

const SCRIPT = { ceremony: 'rotate-root-key', seal: 'auto' };

/** Judged by a restart of every peer: all unseal themselves, and what was written is there. */
async function opensItself(live: LiveCluster): Promise<void> {
  const { cluster, rootToken } = live;
  await cluster.stop();
  await Promise.all(cluster.peers.map((_, index) => cluster.start(index)));
  await waitForAll(cluster, 'is unsealed', (status) => status['sealed'] === false);
  const { body } = await callPeer(cluster, await leader(live), 'GET', 'quorate/data/kept', { token: rootToken });
  expect(at(body, 'data', 'data', 'written')).toBe('before');
}

describe('rotate-root-key of a cluster that unseals itself', () => {
  let live: LiveCluster;
  let roster: Roster;
  beforeAll(async () => {
    live = await autoUnsealed(3);
    roster = await rosterOf(live, ['Alice', 'Bo', 'Cleo']);
    const leading = await leader(live);
    const body = { data: { written: 'before' } };
    await waitUntil('it is written', async () => {
      const reply = await callPeer(live.cluster, leading, 'POST', 'quorate/data/kept', { token: live.rootToken, body });
      return reply.status === 200;
    });
  });

  const prepare = (changes: Partial<RotationTest> = {}): Promise<RotationCeremony> =>
    prepareRotation({ live, roster, script: SCRIPT, onAct: restarting(live), ...changes });

  it('is authorised by recovery shares, issues none, and is proved by a restart', async () => {
    const ceremony = await prepare({
      // One share of another cluster first: the server refuses nothing of it, the roster does.
      onShare: (_request, number) => Promise.resolve(number === 1 ? `${'ab'.repeat(32)}01` : undefined),
    });
    const { folder } = await ceremony.start();
    expect(ceremony.refused.map(({ code }) => code)).toEqual(['share-unknown']);
    expect(await faultsOf(folder)).toEqual([]);
    const events = await eventsOf(folder);
    expect(events.findLast((one) => one.event === 'check' && one.code === 'live-set')).toMatchObject({
      facts: { set: 'new', by: 'the reply' },
    });
    expect(events.some((one) => one.event === 'share.issued')).toBe(false);
    expect(events.filter((one) => one.event === 'snapshot')).toHaveLength(1);
    expect(events.some((one) => one.event === 'check' && one.code === 'cold' && one.ok)).toBe(true);
    expect(await underWay(live)).toEqual([]);
    await opensItself(live);
  });

  it.each(['before-reply', 'internal-error'] as const)('is written once more after %s to the last call', async () => {
    const { proxy, peers } = await withProxy(live);
    void proxy.cut({ path: 'sys/rotate/root/update', skip: 1, fault: { kind: 'before-reply' } });
    const ceremony = await prepare({ peers });
    const { folder } = await ceremony.start();
    expect(ceremony.said.join('\n')).toContain('Do not restart, seal or upgrade any peer of test');
    const events = await eventsOf(folder);
    expect(events.findLast((one) => one.event === 'check' && one.code === 'live-set')).toMatchObject({
      facts: { set: 'new', by: 'rotating the root key once more' },
    });
    expect(await underWay(live)).toEqual([]);
    await proxy.close();
    await opensItself(live);
  });

  it('is repaired when the followers freeze in the last call, and resumed after a kill (L3)', async () => {
    const { proxy, peers } = await withProxy(live);
    const leading = await leader(live);
    const followers = [0, 1, 2].filter((index) => index !== leading);
    const freeze = async (signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> => {
      for (const index of followers) await live.cluster.kill(index, signal);
    };
    void proxy.cut({
      path: 'sys/rotate/root/update',
      skip: 1,
      fault: { kind: 'around', before: () => freeze('SIGSTOP'), after: () => freeze('SIGCONT') },
    });
    let dead = false;
    const ceremony = await prepare({
      peers,
      people: {
        // As dead as a killed process: nothing more reaches the servers.
        say: (line) => {
          if (!dead && line.startsWith('!!')) {
            dead = true;
            throw new Error('killed');
          }
        },
      },
    });
    await expect(ceremony.start()).rejects.toThrow('killed');
    await ceremony.resume();
    const events = await eventsOf(ceremony.folder);
    expect(events.findLast((one) => one.event === 'check' && one.code === 'live-set')).toMatchObject({
      facts: { set: 'new', by: 'rotating the root key once more' },
    });
    await proxy.close();
    await opensItself(live);
  });

  it('is not for a script that says nothing of who gets shares', async () => {
    const ceremony = await prepare({ script: { ceremony: 'rotate-root-key' } });
    expect(await codeOf(ceremony.start())).toBe('document-invalid');
  });
});

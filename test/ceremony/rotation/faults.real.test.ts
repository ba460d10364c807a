import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RecordLine } from '../../../src/ceremony/record/events.ts';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import type { MadeUpCustodian } from '../../../src/rehearsal/custodians.ts';
import { Secret } from '../../../src/secret.ts';
import { peersOf } from '../../support/ceremony.ts';
import { callPeer, type LiveCluster, sharedCluster, waitForVoters } from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { madeUpCustodians } from '../../support/custodians.ts';
import { auditDisk } from '../../support/full-disk.ts';
import { atNewShare, isNew, leadAgain, leader, stepDown, withProxy } from '../../support/rotation-faults.ts';
import { mortalSitting } from '../../support/mortal.ts';
import {
  codeOf,
  opensCold,
  prepareRotation,
  restarting,
  type RotationCeremony,
  rosterOf,
  rotationScript,
  type RotationTest,
  underWay,
} from '../../support/rotation.ts';

const shared = sharedCluster({ voters: true });
const HOLDERS = ['Alice', 'Bo', 'Cleo'];
let crew: readonly MadeUpCustodian[];
/** The shares that open the cluster, as far as the last record says. */
let live: LiveCluster;
let roster: Roster;

beforeAll(async () => {
  crew = await madeUpCustodians('Dora', 'Eve', 'Fay');
  live = shared();
  roster = await rosterOf(live, HOLDERS);
});

async function prepare(changes: Partial<RotationTest> = {}): Promise<RotationCeremony> {
  await waitForVoters(live);
  return prepareRotation({ live, roster, crew, script: rotationScript(crew, 2), onAct: restarting(live), ...changes });
}

/** What the record says is live, judged by a cold unseal of all peers; the next test goes on from there. */
async function judge(ceremony: RotationCeremony): Promise<readonly RecordLine[]> {
  expect(await underWay(live)).toEqual([]);
  const events = await eventsOf(ceremony.folder);
  const said = events.findLast((one) => one.event === 'check' && one.code === 'live-set');
  if (said?.event !== 'check') throw new Error('the record does not say which set is live');
  const fresh = { ...live, shares: [...ceremony.newShares().values()], threshold: 2 };
  if (said.facts?.['set'] === 'new') {
    await opensCold(live, fresh, live);
    roster = await ceremony.roster();
    live = fresh;
    expect(await faultsOf(ceremony.folder)).toEqual([]);
  } else await opensCold(live, live, fresh);
  return events;
}

const liveBy = (events: readonly RecordLine[]): unknown =>
  events.flatMap((one) => (one.event === 'check' && one.code === 'live-set' ? [one.facts?.['by']] : [])).at(-1);

describe('a rotation of the root key', () => {
  it('reads the new shares from the backup when the reply of the quorum is lost (L1)', async () => {
    const { proxy, peers } = await withProxy(live);
    void proxy.cut({ path: 'sys/rotate/root/update', skip: 1, fault: { kind: 'before-reply' } });
    const ceremony = await prepare({ peers });
    await ceremony.start();
    const events = await judge(ceremony);
    expect(events.some((one) => one.event === 'exception' && one.decision.includes('encrypted copy'))).toBe(true);
  });

  it.each(['internal-error'] as const)(
    'finds by a drill that the new shares are live after %s to the last call (L2)',
    async (kind) => {
      const { proxy, peers } = await withProxy(live);
      void proxy.cut({ path: 'sys/rotate/root/verify', method: 'PUT', skip: 1, fault: { kind } });
      const ceremony = await prepare({ peers });
      await ceremony.start();
      expect(ceremony.said.join('\n')).toContain('Do not restart, seal or upgrade any peer of test');
      expect(liveBy(await judge(ceremony))).toBe('a share drill');
    },
  );

  it('settles a last call during which the disk of the audit device was full (L2)', async () => {
    const { proxy, peers } = await withProxy(live);
    const disk = auditDisk(live.cluster, await leader(live));
    const full = async (): Promise<void> => {
      disk.fill();
      const { status } = await callPeer(live.cluster, await leader(live), 'GET', 'sys/mounts', {
        token: live.rootToken,
      });
      refused = status;
    };
    let refused = 0;
    const later = async (): Promise<void> => {
      await sleep(3000);
      disk.free();
    };
    const fault = { kind: 'around', before: full, after: later } as const;
    void proxy.cut({ path: 'sys/rotate/root/verify', method: 'PUT', skip: 1, fault });
    const ceremony = await prepare({ peers });
    await ceremony.start();
    disk.leave();
    expect(refused).toBe(500);
    expect(ceremony.said.join('\n')).toContain('Do not restart, seal or upgrade any peer of test');
    await judge(ceremony);
  });

  it('does not send a new share twice whose reply was lost, and takes only the right ones in each phase', async () => {
    const { proxy, peers } = await withProxy(live);
    void proxy.cut({ path: 'sys/rotate/root/update', fault: { kind: 'before-reply' } });
    void proxy.cut({ path: 'sys/rotate/root/verify', method: 'PUT', fault: { kind: 'before-reply' } });
    const [one = ''] = live.shares;
    let asked = 0;
    const ceremony = await prepare({
      peers,
      // A mistyped, and an old share where a new one is wanted.
      onShare: (request) => {
        asked += 1;
        if (asked === 1) return Promise.resolve(`${'ab'.repeat(32)}01`);
        return Promise.resolve(isNew(request) && asked < 7 && asked % 2 === 0 ? one : undefined);
      },
    });
    await ceremony.start();
    const verified = proxy.requests.filter((request) => request === 'PUT sys/rotate/root/verify');
    expect(verified).toHaveLength(2);
    expect(new Set(ceremony.refused.map(({ code }) => code))).toEqual(new Set(['share-unknown', 'share-generation']));
    expect(liveBy(await judge(ceremony))).toBe('the reply');
  });

  it('starts over when the leader steps down while shares are collected', async () => {
    let asked = 0;
    const ceremony = await prepare({
      onShare: async () => {
        asked += 1;
        if (asked === 2) await stepDown(live);
        return undefined;
      },
    });
    await ceremony.start();
    await judge(ceremony);
  });

  it('starts over, and leaves no ghost, when the leader steps down in the verification and leads again (L4)', async () => {
    const before = await leader(live);
    let back = false;
    const ceremony = await prepare({
      onShare: atNewShare(2, () => stepDown(live)),
      onAct: async (say) => {
        if (!say.includes('Restart')) return;
        // The first leader leads again, where the ghost would be.
        await leadAgain(live, before);
        back = (await leader(live)) === before;
        await waitForVoters(live);
        await restarting(live)(say);
      },
    });
    await ceremony.start();
    expect(back).toBe(true);
    await judge(ceremony);
  });

  /** Stops both followers, for longer than a leader leads without them. */
  async function freezeFollowers(): Promise<void> {
    const leading = await leader(live);
    const followers = [0, 1, 2].filter((index) => index !== leading);
    await Promise.all(followers.map((index) => live.cluster.kill(index, 'SIGSTOP')));
    setTimeout(() => {
      for (const index of followers) void live.cluster.kill(index, 'SIGCONT');
    }, 9000);
  }

  it('repairs the torn write of a quorum that is frozen in the last call (L3)', async () => {
    const ceremony = await prepare({ onShare: atNewShare(2, freezeFollowers) });
    const code = await codeOf(ceremony.start());
    expect([undefined, 'ceremony-interrupted']).toContain(code);
    expect(liveBy(await judge(ceremony))).not.toBe('the reply');
  });

  it('rotates back to the old shares when the write is torn and the verification is lost too (L3)', async () => {
    const freeze = atNewShare(2, freezeFollowers);
    const cancel = atNewShare(3, async () => {
      const token = live.rootToken;
      await callPeer(live.cluster, await leader(live), 'DELETE', 'sys/rotate/root/init', { token });
    });
    const ceremony = await prepare({
      onShare: async (request, number, text) => {
        await freeze(request, number, text);
        await cancel(request, number, text);
        return undefined;
      },
    });
    const code = await codeOf(ceremony.start());
    expect([undefined, 'ceremony-interrupted']).toContain(code);
    const by = liveBy(await judge(ceremony));
    expect(['a share drill', 'rotating the root key back']).toContain(by);
  });

  it('settles what a kill leaves open between the last reply and its line in the record', async () => {
    const peers = peersOf(live.cluster);
    let sitting = mortalSitting(peers, login, 1000);
    const ceremony = await prepareRotation({
      live,
      roster,
      crew,
      script: rotationScript(crew, 2),
      onAct: restarting(live),
      get peers() {
        return sitting.peers;
      },
      now: () => sitting.now(),
      setting: { login: (peer) => sitting.login(peer) },
      // Three more lines: who leads, that it is the last call, and whose share it takes; not that of the reply.
      onShare: atNewShare(2, () => {
        sitting.dieIn(3);
        return Promise.resolve();
      }),
    });
    await waitForVoters(live);
    await codeOf(ceremony.start()).catch(() => 'dead');
    expect(sitting.dead).toBe(true);
    sitting = mortalSitting(peers, login, 1000);
    await ceremony.resume();
    expect(liveBy(await judge(ceremony))).toBe('a share drill');
  });

  it('is resumed after any number of kills, and never gives a share twice that may have counted', async () => {
    const peers = peersOf(live.cluster);
    let lines = 6;
    let sitting = mortalSitting(peers, login, lines);
    await waitForVoters(live);
    const ceremony = await prepareRotation({
      live,
      roster,
      crew,
      script: rotationScript(crew, 2),
      onAct: restarting(live),
      get peers() {
        return sitting.peers;
      },
      now: () => sitting.now(),
      setting: { login: (peer) => sitting.login(peer) },
    });
    let work: Promise<unknown> = ceremony.start();
    let kills = 0;
    for (; kills < 40; kills += 1) {
      const code = await codeOf(work).catch(() => 'dead');
      if (code === undefined && !sitting.dead) break;
      expect(sitting.dead, `ended by ${code ?? 'itself'}`).toBe(true);
      lines += 3;
      sitting = mortalSitting(peers, login, lines);
      work = ceremony.resume();
    }
    expect(kills).toBeGreaterThan(3);
    await judge(ceremony);
  });
});

function login(peer: ReturnType<typeof peersOf>[number]) {
  return Promise.resolve({
    session: peer.session(Secret.fromText(live.rootToken)),
    accessor: 'test',
    policies: ['root'],
  });
}

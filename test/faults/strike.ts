import { setTimeout as sleep } from 'node:timers/promises';
import { callPeer, leaderIndex } from '../support/cluster.ts';
import type { Fault as WireFault } from '../support/cutting-proxy.ts';
import { at } from '../support/http.ts';
import { putBack, writesOn } from '../support/torn-disk.ts';
import { waitUntil } from '../support/wait.ts';
import { changes, type Fault } from './cells.ts';
import type { Lab } from './lab.ts';
import type { Chance } from './random.ts';

/** One fault that strikes one call. */
export interface Strike {
  /** The call that was struck; undefined until then. */
  request: string | undefined;
  /** How many calls that change something there were in all. */
  calls: number;
  /** To be told of each quorate that is started. */
  quorate: (pid: number) => void;
  /** Resolves when what it set going is over: nothing stands still any more. */
  over: () => Promise<void>;
}

/** A call takes some milliseconds on an idle machine, and tenths of a second on a busy one: each order is as likely. */
const LONGEST = 300;
const moment = (chance: Chance): number => LONGEST ** chance.fraction();
/** In multiples of what the call before it took: the last call of a rotation takes longer, and writes at its end. */
const EARLIEST = 0.3;
const LATEST = 2.5;

/** Has `fault` strike the call that `hits` says yes to. */
export function arm(
  lab: Lab,
  fault: Fault,
  chance: Chance,
  hits: (request: string, number: number) => boolean,
): Strike {
  let pid = 0;
  const going: Promise<unknown>[] = [];
  /** Milliseconds of the last call of the kind that may be the last of a rotation. */
  let took = 0;
  const kill = (signal: NodeJS.Signals): Promise<void> => {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended.
    }
    return Promise.resolve();
  };
  const strike: Strike = {
    request: undefined,
    calls: 0,
    quorate: (id) => {
      pid = id;
    },
    over: async () => {
      await Promise.all(going);
      lab.watcher = () => undefined;
    },
  };
  const later = (delay: number, act: () => unknown): void => {
    going.push(sleep(delay).then(act));
  };
  const wire = (): WireFault => {
    switch (fault) {
      case 'before send':
        return { kind: 'before-request' };
      case 'before reply':
        return chance.pick<WireFault>([
          { kind: 'before-reply' },
          { kind: 'within-reply', bytes: chance.below(60) },
          { kind: 'internal-error' },
        ]);
      case 'before sync':
        return {
          kind: 'around',
          before: () => kill('SIGSTOP'),
          after: () => kill('SIGKILL'),
        };
      case 'quorate killed': {
        const delay = moment(chance);
        return {
          kind: 'around',
          meanwhile: () => {
            later(delay, () => kill('SIGKILL'));
          },
        };
      }
      case 'leader steps down': {
        const delay = moment(chance);
        return {
          kind: 'around',
          meanwhile: () => {
            later(delay, () => stepDown(lab));
          },
        };
      }
      case 'leader killed': {
        const fraction = chance.fraction();
        const like = took;
        const delay = like === 0 ? LONGEST ** fraction : like * (EARLIEST + (LATEST - EARLIEST) * fraction);
        let leader = 0;
        return {
          kind: 'around',
          before: async () => {
            leader = (await leaderIndex(lab.cluster)) ?? 0;
          },
          meanwhile: () => {
            later(delay, () => lab.cluster.kill(leader));
          },
        };
      }
      case 'followers frozen': {
        const length = 1500 + chance.below(7500);
        return {
          kind: 'around',
          before: async () => {
            const leader = (await leaderIndex(lab.cluster)) ?? 0;
            const others = lab.cluster.peers.flatMap((peer, index) =>
              index === leader || peer.pid === undefined ? [] : [peer.pid],
            );
            for (const other of others) process.kill(other, 'SIGSTOP');
            later(length, () => {
              for (const other of others) process.kill(other, 'SIGCONT');
            });
          },
        };
      }
    }
  };
  lab.watcher = (request) => {
    if (!changes(request)) return undefined;
    strike.calls += 1;
    if (strike.request !== undefined) return undefined;
    if (!hits(request, strike.calls - 1)) {
      if (!request.endsWith('/verify')) return undefined;
      let start = 0;
      return {
        kind: 'around',
        meanwhile: () => {
          start = performance.now();
        },
        after: () => {
          took = performance.now() - start;
          return Promise.resolve();
        },
      };
    }
    strike.request = request;
    return wire();
  };
  return strike;
}

/** Where nobody may ask for it (no root token yet, nobody leads), the peer stands still until it no longer leads. */
async function stepDown(lab: Lab): Promise<void> {
  const leader = await leaderIndex(lab.cluster);
  if (leader !== undefined && lab.rootToken !== '') {
    await callPeer(lab.cluster, leader, 'PUT', 'sys/step-down', { token: lab.rootToken });
    return;
  }
  const pid = lab.cluster.peers[leader ?? 0]?.pid;
  if (pid === undefined) return;
  process.kill(pid, 'SIGSTOP');
  await sleep(4000);
  process.kill(pid, 'SIGCONT');
}

/**
 * Has all servers killed when they have made `written` of the writes of a rotation, and none of the others: these are
 * taken back on their disks. With `stale` the server's own copy of the shares' key is of the generation before, as a
 * torn rotation that nobody settled leaves it behind.
 */
export function armTear(
  lab: Lab,
  written: number,
  { stale = false, threshold = lab.threshold }: { readonly stale?: boolean; readonly threshold?: number },
): Strike {
  const { cluster } = lab;
  let verifications = 0;
  let before: readonly ReturnType<typeof writesOn>[] = [];
  const strike: Strike = {
    request: undefined,
    calls: 0,
    quorate: () => undefined,
    over: () => {
      lab.watcher = () => undefined;
      return Promise.resolve();
    },
  };
  lab.watcher = (request) => {
    if (!changes(request)) return undefined;
    strike.calls += 1;
    if (request === 'PUT sys/rotate/root/verify') verifications += 1;
    if (strike.request !== undefined || verifications < threshold) return undefined;
    strike.request = request;
    return {
      kind: 'before-reply',
      before: () => {
        before = cluster.peers.map(({ dataFolder }) => writesOn(dataFolder));
        return Promise.resolve();
      },
      after: async () => {
        await caughtUp(lab);
        await cluster.stop();
        for (const [index, { dataFolder }] of cluster.peers.entries()) {
          const back = new Map([...(before[index] ?? [])].slice(written));
          if (stale && lab.formerKek !== undefined) back.set(KEK, lab.formerKek);
          putBack(dataFolder, back);
        }
        lab.formerKek = before[0]?.get(KEK);
      },
    };
  };
  return strike;
}

const KEK = 'core/shamir-kek';

/** All peers have applied what the rotation wrote. */
async function caughtUp({ cluster }: Lab): Promise<void> {
  await waitUntil('all have caught up', async () => {
    const replies = await Promise.all(cluster.peers.map((_, index) => callPeer(cluster, index, 'GET', 'sys/leader')));
    const indexes = new Set(replies.map(({ body }) => at(body, 'raft_applied_index')));
    return indexes.size === 1;
  });
}

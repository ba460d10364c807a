import { setTimeout as sleep } from 'node:timers/promises';
import type { Peer, SealStatus } from '../../vault/peer.ts';
import type { Run } from '../kind.ts';
import { sealOf } from '../survey.ts';
import type { GiveOptions } from './giving.ts';
import { type Absent, names, newTarget, type Target } from './target.ts';

const POLL = 250;
const LOOK_AGAIN_TIMEOUT = 2000;
/** How long a peer is given whose answer to the last share was lost: it may be joining, or the set was wrong. */
const UNANSWERED_TIMEOUT = 15_000;

/** Why a peer gets no shares although it is sealed; undefined when it may have them. */
export type Wants = (seal: SealStatus) => string | undefined;

/** Asks a peer that was lost; it may be back, with nothing counted. True when it needs its shares from the start. */
export async function lookAgain(run: Run, target: Target, wants: Wants): Promise<boolean> {
  if (target.state !== 'lost') return false;
  const seal = await look(run, target.peer);
  if (seal?.initialised !== true) return false;
  const odd = seal.sealed ? wants(seal) : undefined;
  if (odd !== undefined) {
    target.why = odd;
    return false;
  }
  const same = target.seal.nonce !== '' && seal.nonce === target.seal.nonce && seal.progress === target.seal.progress;
  delete target.why;
  target.seal = seal;
  target.state = seal.sealed ? 'sealed' : 'unsealed';
  if (same) {
    run.people.say(`${target.peer.name} is back, and has kept its shares.`);
    return false;
  }
  target.counted.clear();
  if (!seal.sealed) return false;
  run.people.say(`${target.peer.name} is back, and needs its shares from the start.`);
  return true;
}

/** Asks a peer that was not there at the beginning; a target when it is now. */
export async function lookForAbsent(run: Run, absent: Absent, wants: Wants): Promise<Target | undefined> {
  const seal = await look(run, absent.peer);
  if (seal?.initialised !== true) return undefined;
  const odd = seal.sealed ? wants(seal) : undefined;
  if (odd !== undefined) {
    absent.why = odd;
    return undefined;
  }
  run.people.say(`${absent.peer.name} is there now${seal.sealed ? ', sealed' : ', unsealed'}.`);
  return newTarget(absent.peer, seal);
}

/** Waits for the peers that had their last share. */
export async function waitUntilOpen(run: Run, targets: readonly Target[], { joinTimeout }: GiveOptions): Promise<void> {
  const opening = targets.filter(({ state }) => state === 'opening');
  if (opening.length === 0) return;
  const [verb, whose] = opening.length === 1 ? ['has', 'its'] : ['have', 'their'];
  await run.people.progress(
    `${names(opening)} ${verb} ${whose} shares and ${opening.length === 1 ? 'is' : 'are'} joining`,
    (update) =>
      Promise.all(
        opening.map(async (target) => {
          const timeout = target.answered === false ? Math.min(joinTimeout, UNANSWERED_TIMEOUT) : joinTimeout;
          const seal = await pollSeal(run, target.peer, timeout, (one) => !one.sealed);
          settleOpening(run, target, seal, timeout);
          const left = opening.filter(({ state }) => state === 'opening');
          if (left.length > 0) update(`waiting for ${names(left)}`);
        }),
      ),
  );
}

function settleOpening(run: Run, target: Target, seal: SealStatus | undefined, timeout: number): void {
  const seconds = (timeout / 1000).toString();
  if (seal !== undefined) {
    target.seal = seal;
    target.state = 'unsealed';
  } else if (target.answered === true) {
    target.state = 'lost';
    target.why = `had its shares and is still sealed after ${seconds} s; see its log`;
  } else {
    // Progress 0 and no nonce: that is what a wrong set, a reset and a joining follower all look like.
    target.state = 'sealed';
    target.counted.clear();
    run.people.say(
      `${target.peer.name} did not open with these shares (its answer to the last one was lost); it counts from zero.`,
    );
  }
}

/** Waits until Raft peers have heard of the initialised cluster; each is `sealed` then, or `lost` after `joinTimeout`. */
export async function waitUntilJoined(run: Run, targets: readonly Target[], options: GiveOptions): Promise<void> {
  await run.people.progress(`waiting for ${names(targets)} to join`, () =>
    Promise.all(
      targets.map(async (target) => {
        const seal = await pollSeal(run, target.peer, options.joinTimeout, (one) => one.initialised);
        if (seal === undefined) {
          target.state = 'lost';
          target.why = `has not joined after ${(options.joinTimeout / 1000).toString()} s; does its configuration name the others (retry_join)?`;
          return;
        }
        target.seal = seal;
        target.state = seal.sealed ? 'sealed' : 'unsealed';
      }),
    ),
  );
}

function look(run: Run, peer: Peer): Promise<SealStatus | undefined> {
  return sealOf(peer, { signal: run.signal, timeout: LOOK_AGAIN_TIMEOUT });
}

/** The first status that `wanted` accepts, or undefined when none came in time. */
async function pollSeal(
  run: Run,
  peer: Peer,
  timeout: number,
  wanted: (seal: SealStatus) => boolean,
): Promise<SealStatus | undefined> {
  const deadline = Date.now() + timeout;
  for (;;) {
    const seal = await look(run, peer);
    if (seal !== undefined && wanted(seal)) return seal;
    if (Date.now() >= deadline) return undefined;
    await sleep(POLL, undefined, { signal: run.signal });
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, type QuorateError } from '../../errors.ts';
import type { Peer, SealStatus } from '../../vault/peer.ts';
import type { Run } from '../kind.ts';
import type { Admission } from '../roster/admit.ts';
import { type Share, shareText } from '../share.ts';

/** What is known of one peer while shares are collected. */
export interface Target {
  readonly peer: Peer;
  seal: SealStatus;
  /** x-coordinates that this peer has counted in the attempt under way. */
  readonly counted: Set<string>;
  /** `joining`: a Raft peer that is not initialised until the first one is unsealed. `lost`: gave no answer. */
  state: 'joining' | 'sealed' | 'unsealed' | 'lost';
  why?: string;
}

/** A share that may be sent, and what the roster says of it. */
export interface Given {
  readonly share: Share;
  readonly admission: Admission;
}

export interface GiveOptions {
  readonly migrate?: boolean;
  /** Milliseconds that a peer may take after its last share (a Raft follower joins first). */
  readonly joinTimeout: number;
}

const POLL = 250;
const LOOK_AGAIN_TIMEOUT = 2000;

export type Outcome = 'settled' | 'wrong set';

/** Gives one share to one peer and settles what came of it; never throws for the peer's faults. */
export async function giveShare(
  run: Run,
  target: Target,
  { share, admission }: Given,
  options: GiveOptions,
): Promise<Outcome> {
  if (target.counted.has(share.x)) return 'settled';
  const before = target.seal;
  const last = before.progress + 1 >= before.threshold;
  const text = shareText(share);
  let after: SealStatus;
  try {
    after = await target.peer.unseal(text, {
      signal: run.signal,
      ...(options.migrate === true ? { migrate: true } : {}),
    });
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    return await settleFault(run, target, error, share.x, last, options);
  } finally {
    text.wipe();
  }
  await run.record({
    event: 'share.accepted',
    x: share.x,
    peer: target.peer.name,
    request: 'PUT sys/unseal',
    expected: last ? { sealed: false } : { sealed: true, progress: before.progress + 1 },
    actual: { sealed: after.sealed, progress: after.progress },
    ...(admission.holder === undefined ? {} : { who: admission.holder }),
    ...(admission.fingerprint === undefined ? {} : { fingerprint: `sha256:${admission.fingerprint}` }),
    ...(admission.generation === 0 ? {} : { generation: admission.generation }),
    ...(after.nonce === '' ? {} : { nonce: after.nonce }),
  });
  await adopt(run, target, after, share.x, last, options);
  return 'settled';
}

/** Takes over what the peer said after a share: counted, unsealed, joining, or reset by somebody else. */
async function adopt(
  run: Run,
  target: Target,
  after: SealStatus,
  x: string,
  last: boolean,
  options: GiveOptions,
): Promise<void> {
  const before = target.seal;
  target.seal = after;
  if (!after.sealed) {
    target.state = 'unsealed';
    return;
  }
  if (last && after.progress === 0) {
    // A Raft follower that joins answers like a reset (OpenBao 2.7.2) and unseals some seconds later.
    await waitUntilUnsealed(run, target, options.joinTimeout);
    return;
  }
  if (before.nonce !== '' && after.nonce !== before.nonce) {
    await foreignReset(run, target);
    target.counted.clear();
  }
  target.counted.add(x);
}

async function waitUntilUnsealed(run: Run, target: Target, timeout: number): Promise<void> {
  await run.people.progress(`${target.peer.name} has its shares and is joining`, async () => {
    const seal = await pollSeal(run, target, timeout, (one) => !one.sealed);
    if (seal === undefined) {
      target.state = 'lost';
      target.why = `had its shares and is still sealed after ${(timeout / 1000).toString()} s; see its log`;
      return;
    }
    target.seal = seal;
    target.state = 'unsealed';
  });
}

/** After a call that failed: the share may have been counted or not, and the peer is asked. */
async function settleFault(
  run: Run,
  target: Target,
  error: QuorateError,
  x: string,
  last: boolean,
  options: GiveOptions,
): Promise<Outcome> {
  await run.record({ event: 'share.refused', reason: error.code, peer: target.peer.name });
  const before = target.seal;
  try {
    const seal = await target.peer.sealStatus({ signal: run.signal });
    if (error.code === 'shares-wrong') {
      // Progress is 0 again; which of the shares was wrong the server does not know.
      target.seal = seal;
      target.counted.clear();
      return 'wrong set';
    }
    const counted = seal.progress === before.progress + 1 && (before.nonce === '' || seal.nonce === before.nonce);
    const joining = last && seal.progress === 0 && before.progress > 0;
    if (!seal.sealed || counted || joining) {
      await adopt(run, target, seal, x, last, options);
      return 'settled';
    }
    // Not counted: the same share may be given again.
    if (seal.nonce !== before.nonce) target.counted.clear();
    target.seal = seal;
    target.why = error.message;
    run.people.say(`${target.peer.name}: ${error.message}. That share was not counted there.`);
  } catch (gone) {
    if (!isQuorateError(gone) || gone.code === 'cancelled' || gone.code === 'bug') throw gone;
    target.state = 'lost';
    target.why = gone.message;
    run.people.say(`${target.peer.name}: ${gone.message}. The others go on.`);
  }
  return 'settled';
}

/** A peer that was lost may be back, with nothing counted. */
export async function lookAgain(run: Run, target: Target): Promise<void> {
  if (target.state !== 'lost') return;
  const seal = await target.peer.sealStatus({ signal: run.signal, timeout: LOOK_AGAIN_TIMEOUT }).catch(() => undefined);
  if (seal?.initialised !== true) return;
  delete target.why;
  target.seal = seal;
  target.counted.clear();
  target.state = seal.sealed ? 'sealed' : 'unsealed';
  if (seal.sealed) run.people.say(`${target.peer.name} is back, and needs its shares from the start.`);
}

async function foreignReset(run: Run, target: Target): Promise<void> {
  const text = `the unseal attempt on ${target.peer.name} was reset by somebody else or by a restart`;
  run.people.say(`${text}; shares already given to it must be given again.`);
  await run.record({
    event: 'exception',
    expected: 'one unseal attempt, one nonce',
    happened: text,
    decision: 'counted from zero',
    by: 'quorate',
  });
}

/** A word on where a peer stands. */
export function describe(target: Target): string {
  if (target.state === 'unsealed' || target.state === 'joining') return target.state;
  if (target.state === 'lost') return target.why ?? 'unreachable';
  return progressOf(target.seal);
}

export function progressOf(seal: SealStatus): string {
  return `${seal.progress.toString()}/${seal.threshold.toString()}`;
}

/** Waits until a Raft peer has heard of the initialised cluster; it is `sealed` then, or `lost` after `joinTimeout`. */
export async function waitUntilJoined(run: Run, target: Target, { joinTimeout }: GiveOptions): Promise<void> {
  const seal = await pollSeal(run, target, joinTimeout, (one) => one.initialised);
  if (seal === undefined) {
    target.state = 'lost';
    target.why = `has not joined after ${(joinTimeout / 1000).toString()} s; does its configuration name the others (retry_join)?`;
    return;
  }
  target.seal = seal;
  target.state = seal.sealed ? 'sealed' : 'unsealed';
}

/** The first status that `wanted` accepts, or undefined when none came in time. */
async function pollSeal(
  run: Run,
  target: Target,
  timeout: number,
  wanted: (seal: SealStatus) => boolean,
): Promise<SealStatus | undefined> {
  const deadline = Date.now() + timeout;
  for (;;) {
    const seal = await target.peer.sealStatus({ signal: run.signal }).catch((error: unknown) => {
      if (isQuorateError(error, 'cancelled')) throw error;
      return undefined;
    });
    if (seal !== undefined && wanted(seal)) return seal;
    if (Date.now() >= deadline) return undefined;
    await sleep(POLL, undefined, { signal: run.signal });
  }
}

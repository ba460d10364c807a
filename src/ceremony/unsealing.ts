import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { Peer, SealStatus } from '../vault/peer.ts';
import type { Run } from './kind.ts';
import type { Roster } from './roster/schema.ts';
import { admitShare, type Admission } from './roster/admit.ts';
import { parseShare, type Share, shareText } from './share.ts';

/** What is known of one peer while shares are collected. */
interface Target {
  readonly peer: Peer;
  seal: SealStatus;
  /** x-coordinates that this peer has counted in the attempt under way. */
  counted: Set<string>;
  state: 'sealed' | 'unsealed' | 'lost';
  why?: string;
}

export interface UnsealOutcome {
  readonly unsealed: readonly string[];
  /** Peers that are still sealed or gave no answer, and why. */
  readonly left: readonly { readonly peer: string; readonly why: string }[];
}

export interface UnsealOptions {
  readonly roster?: Roster;
  /** Lets a share through that is in no roster, after a typed confirmation. */
  readonly unlistedShare: boolean;
  readonly migrate?: boolean;
  /** Milliseconds that a peer may take after its last share (a Raft follower joins first). */
  readonly joinTimeout: number;
}

const POLL = 250;

/**
 * Gives each share to every sealed peer side by side until all are unsealed or nobody gives another.
 * A share is checked before it is sent; each is sent to a peer at most once per attempt, and a lost reply is
 * settled by reading the peer's progress. Peers that fail do not stop the others.
 * @throws QuorateError `shares-wrong` never (the people try again), what `People` throws, `record-invalid`.
 */
export async function unsealPeers(
  run: Run,
  peers: readonly SealedPeer[],
  options: UnsealOptions,
): Promise<UnsealOutcome> {
  const targets: Target[] = peers.map(({ peer, seal }) => ({ peer, seal, counted: new Set(), state: 'sealed' }));
  for (const target of targets) await settleForeignProgress(run, target);
  const present: string[] = [];
  for (;;) {
    const waiting = targets.filter((target) => target.state === 'sealed');
    if (waiting.length === 0) break;
    const given = await askForShare(run, targets, waiting, present, options);
    if (given === null) break;
    try {
      await Promise.all(waiting.map((target) => giveShare(run, target, given, options)));
      if (given.admission.holder !== undefined) present.push(given.admission.holder);
    } finally {
      given.share.bytes.wipe();
    }
  }
  return {
    unsealed: targets.filter((target) => target.state === 'unsealed').map((target) => target.peer.name),
    left: targets
      .filter((target) => target.state !== 'unsealed')
      .map((target) => ({ peer: target.peer.name, why: target.why ?? progressOf(target.seal) })),
  };
}

export interface SealedPeer {
  readonly peer: Peer;
  readonly seal: SealStatus;
}

interface Given {
  readonly share: Share;
  readonly admission: Admission;
}

/** Asks until somebody gives a share that may be sent, or nobody does. */
async function askForShare(
  run: Run,
  targets: readonly Target[],
  waiting: readonly Target[],
  present: readonly string[],
  options: UnsealOptions,
): Promise<Given | null> {
  for (;;) {
    const first = waiting[0];
    if (first === undefined) return null;
    const answer = await run.people.nextShare({
      cluster: run.cluster.name,
      needed: first.seal.threshold,
      given: Math.min(...waiting.map((target) => target.seal.progress)),
      present,
      peers: targets.map((target) => ({ name: target.peer.name, status: describe(target) })),
    });
    if (answer === null) return null;
    let share: Share | undefined;
    try {
      share = parseShare(answer.text, { single: first.seal.shares === 1 });
      const admission = admitShare(share, {
        roster: options.roster,
        expectedHolder: answer.who,
        // Whoever has given to every peer that still waits gives nothing new.
        given: intersection(waiting.map((target) => target.counted)),
      });
      return { share, admission };
    } catch (error) {
      if (!isQuorateError(error)) throw error;
      if (share !== undefined && error.code === 'share-unknown' && options.unlistedShare) {
        const question = 'This share is in no roster: a typo in it can not be told from a new share.';
        if (await run.people.acceptException(question, 'unlisted')) {
          await run.record({
            event: 'exception',
            expected: 'a share of the roster',
            happened: `a share with x ${share.x} that is in no roster`,
            decision: 'given to the peers after a typed confirmation',
            by: answer.who ?? 'administrator',
          });
          return { share, admission: { generation: 0 } };
        }
      }
      share?.bytes.wipe();
      await run.record({
        event: 'share.refused',
        ...(answer.who === undefined ? {} : { who: answer.who }),
        reason: error.code,
      });
      await run.people.refused(error);
    } finally {
      answer.text.wipe();
    }
  }
}

/** Gives one share to one peer and settles what came of it; never throws for the peer's faults. */
async function giveShare(run: Run, target: Target, { share, admission }: Given, options: UnsealOptions): Promise<void> {
  if (target.counted.has(share.x)) return;
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
    await settleFault(run, target, error, share.x, last, options);
    return;
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
}

/** Takes over what the peer said after a share: counted, unsealed, joining, or reset by somebody else. */
async function adopt(
  run: Run,
  target: Target,
  after: SealStatus,
  x: string,
  last: boolean,
  options: UnsealOptions,
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
  const deadline = Date.now() + timeout;
  await run.people.progress(`${target.peer.name} has its shares and is joining`, async () => {
    while (Date.now() < deadline) {
      const seal = await target.peer.sealStatus({ signal: run.signal }).catch((error: unknown) => {
        if (isQuorateError(error, 'cancelled')) throw error;
        return undefined;
      });
      if (seal?.sealed === false) {
        target.seal = seal;
        target.state = 'unsealed';
        return;
      }
      await sleep(POLL, undefined, { signal: run.signal });
    }
    target.state = 'lost';
    target.why = `had its shares and is still sealed after ${(timeout / 1000).toString()} s; see its log`;
  });
}

/** After a call that failed: the share may have been counted or not, and the peer is asked. */
async function settleFault(
  run: Run,
  target: Target,
  error: QuorateError,
  x: string,
  last: boolean,
  options: UnsealOptions,
): Promise<void> {
  await run.record({ event: 'share.refused', reason: error.code, peer: target.peer.name });
  if (error.code === 'shares-wrong') {
    // Progress is 0 again; which of the shares was wrong the server does not know.
    await run.people.refused(error);
    target.counted.clear();
  }
  try {
    const seal = await target.peer.sealStatus({ signal: run.signal });
    const counted = seal.progress === target.seal.progress + 1;
    if (error.code === 'shares-wrong' || (seal.sealed && !counted && !last)) {
      // Not counted: the same share may be given again.
      if (seal.nonce !== target.seal.nonce) target.counted.clear();
      target.seal = seal;
      if (error.code !== 'shares-wrong') target.why = error.message;
      return;
    }
    await adopt(run, target, seal, x, last, options);
  } catch (gone) {
    if (!isQuorateError(gone) || gone.code === 'cancelled' || gone.code === 'bug') throw gone;
    target.state = 'lost';
    target.why = gone.message;
    run.people.say(`${target.peer.name}: ${gone.message}. The others go on.`);
  }
}

async function settleForeignProgress(run: Run, target: Target): Promise<void> {
  if (target.seal.progress === 0) return;
  const choice = await run.people.foreignProgress(target.peer.name, target.seal);
  await run.record({
    event: 'exception',
    expected: `no unseal attempt under way on ${target.peer.name}`,
    happened: `${progressOf(target.seal)} was given before this ceremony`,
    decision: choice,
    by: 'administrator',
  });
  if (choice === 'reset') target.seal = await target.peer.resetUnseal({ signal: run.signal });
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

function describe(target: Target): string {
  if (target.state === 'unsealed') return 'unsealed';
  if (target.state === 'lost') return target.why ?? 'unreachable';
  return progressOf(target.seal);
}

function progressOf(seal: SealStatus): string {
  return `${seal.progress.toString()}/${seal.threshold.toString()}`;
}

function intersection(sets: readonly ReadonlySet<string>[]): ReadonlySet<string> {
  const [first, ...rest] = sets;
  return new Set([...(first ?? [])].filter((x) => rest.every((set) => set.has(x))));
}

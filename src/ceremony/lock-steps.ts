import { isQuorateError, QuorateError } from '../errors.ts';
import type { Peer, Session } from '../vault/peer.ts';
import { clearAway } from './deadline.ts';
import type { Run, Step } from './kind.ts';
import { activePeer, clusterLeader } from './leadership.ts';
import { acquireLock, describeClaim, type LockClaim, readLock, releaseLock, updateNonce } from './lock.ts';
import { lookForOperations } from './rotation/under-way.ts';
import type { CommonScript } from './script.ts';
import { surveyPeers } from './survey.ts';

const LOCK = 'lock';

function ownId(run: Run): Pick<LockClaim, 'ceremony'> {
  const opened = run.events.find((one) => one.event === 'ceremony.opened');
  if (opened === undefined) throw new QuorateError('bug', 'a ceremony without its opening wants the lock');
  return { ceremony: opened.id };
}

/** The claim of this ceremony, from its record: a resumed one has the same. */
export function claimOf(run: Run, script: CommonScript): LockClaim {
  return {
    ...ownId(run),
    kind: script.ceremony,
    who: script.administrator?.name ?? 'the administrator',
    nonce: '',
  };
}

/** One ceremony at a time: taken before anything else happens, freed by `unlockStep`. */
export function lockStep(script: CommonScript): Step {
  return {
    id: LOCK,
    title: 'the ceremony lock is taken, so that no other ceremony runs on this cluster',
    who: 'administrator',
    done: (run) => withLeading(run, (session) => holdsLock(run, script, session)),
    run: (run) => withLeading(run, (session) => takeLock(run, script, session)),
  };
}

export function unlockStep(script: CommonScript): Step {
  return {
    id: 'unlock',
    title: 'the ceremony lock is released',
    who: 'administrator',
    done: (run) => withLeading(run, async (session) => !(await holdsLock(run, script, session))),
    run: (run) => withLeading(run, (session) => freeLock(run, script, session)),
  };
}

/**
 * A step whose failure leaves nothing under way: the lock is freed then, so that others need not wait for a resume,
 * which takes it again.
 * @param isClean false keeps the lock.
 */
export function freeingOnError(script: CommonScript, step: Step, isClean?: (run: Run) => Promise<boolean>): Step {
  return {
    ...step,
    async run(interrupted) {
      try {
        await step.run(interrupted);
      } catch (error) {
        const run = uninterrupted(interrupted);
        if (isQuorateError(error, 'deadline-passed')) await clearAway(run);
        try {
          const clean = await (isClean?.(run) ?? Promise.resolve(true));
          if (clean) await withLeading(run, (session) => freeLock(run, script, session));
        } catch (second) {
          // The error that led here says more.
          if (!isQuorateError(second)) throw second;
        }
        throw error;
      }
    },
  };
}

/** Whether the server says that this ceremony has the lock, or people agreed to go on without one. */
export async function holdsLock(run: Run, script: CommonScript, session: Session): Promise<boolean> {
  const state = await readLock(session, { signal: run.signal });
  if (state.kind === 'held') return state.holder.ceremony === claimOf(run, script).ceremony;
  return state.kind === 'missing' && accepted(run);
}

/**
 * @throws QuorateError `ceremony-locked` when another ceremony holds it, and nobody agreed to take it over or some
 *   peer is not seen idle; `server-unsupported` without a store, unless that was accepted.
 */
export async function takeLock(run: Run, script: CommonScript, session: Session): Promise<void> {
  const claim = claimOf(run, script);
  try {
    const from = await acquireLock(session, claim, {
      signal: run.signal,
      mayTakeOver: (holder) => mayTakeOver(run, holder),
    });
    if (from !== undefined) {
      await run.record({
        event: 'exception',
        expected: 'a free ceremony lock',
        happened: `it was held by ${describeClaim(from)}`,
        decision: 'taken over; every peer was seen idle',
        by: claim.who,
      });
    }
    await run.record({ event: 'note', text: `this ceremony has the ceremony lock on ${run.cluster.name}` });
  } catch (error) {
    if (!isQuorateError(error, 'server-unsupported') || !accepted(run)) throw error;
    await run.record({
      event: 'exception',
      expected: 'a ceremony lock',
      happened: error.message,
      decision: 'accepted: the ceremony goes on without one',
      by: claim.who,
    });
  }
}

/** Frees the lock, where there is one and it is this ceremony's. */
export async function freeLock(run: Run, script: CommonScript, session: Session): Promise<void> {
  // Also when somebody interrupts: no signal.
  const freed = await releaseLock(session, claimOf(run, script));
  const text = freed ? 'the ceremony lock is free' : 'the ceremony lock was not held by this ceremony any more';
  await run.record({ event: 'note', text });
}

/**
 * Puts the server's nonce into the lock, which also finds out whether the lock is still held.
 * @throws QuorateError `ceremony-locked`: cancel what was started.
 */
export async function tellNonce(run: Run, session: Session, nonce: string): Promise<void> {
  const { ceremony } = ownId(run);
  try {
    await updateNonce(session, { ceremony }, nonce, { signal: run.signal });
  } catch (error) {
    if (!isQuorateError(error, 'server-unsupported') || !accepted(run)) throw error;
  }
}

/** The same for the lock, which is the cluster's. */
async function withLeading<T>(run: Run, use: (session: Session) => Promise<T>): Promise<T> {
  return withSession(run, await clusterLeader(run), use);
}

/** A session on the active peer for some calls. */
export async function withActive<T>(run: Run, use: (session: Session) => Promise<T>): Promise<T> {
  return withSession(run, await activePeer(run), use);
}

async function withSession<T>(run: Run, peer: Peer, use: (session: Session) => Promise<T>): Promise<T> {
  const { session } = await run.login(peer);
  try {
    return await use(session);
  } finally {
    session.close();
  }
}

/** Time alone never frees a lock: somebody must agree, and every peer must be seen idle. */
async function mayTakeOver(run: Run, holder: LockClaim): Promise<boolean> {
  const agreed =
    accepted(run) ||
    (await run.people.acceptException(`Another ceremony holds the lock: ${describeClaim(holder)}.`, 'take over'));
  if (!agreed) return false;
  const busy = [...(await notIdle(run)), ...(await notIdleElsewhere(run))];
  if (busy.length === 0) return true;
  throw new QuorateError(
    'ceremony-locked',
    `another ceremony holds the lock, ${describeClaim(holder)}, and the peers are not idle: ${busy.join('; ')}`,
    { hint: 'Resume that ceremony, or cancel what is under way. Then run this one again.' },
  );
}

/** The same in the cluster's other places, for the lock is that of all: its root, and what is open of its namespaces. */
async function notIdleElsewhere(run: Run): Promise<readonly string[]> {
  const { namespace: own = '', namespaces = [] } = run.cluster;
  const busy: string[] = [];
  for (const path of ['', ...namespaces].filter((one) => one !== own)) {
    const there = await run.enter?.(path);
    if (there === undefined) continue;
    const surveys = await surveyPeers(there.cluster.peers, { signal: run.signal });
    if (path !== '' && !surveys.some(({ state }) => state === 'active')) continue;
    const found = await notIdle({ ...there, signal: run.signal });
    busy.push(...found.map((one) => `${path === '' ? 'the root' : path}: ${one}`));
  }
  return busy;
}

/** What keeps the peers from being idle: operations under way, and peers that cannot be asked. */
export async function notIdle(run: Pick<Run, 'cluster' | 'login' | 'signal'>): Promise<readonly string[]> {
  const { underWay, unknown } = await lookForOperations(run);
  return [
    ...underWay.map(
      ({ peer, what, nonce, progress }) =>
        `${peer.name} holds ${what} (nonce ${nonce}, ${progress.toString()} shares given)`,
    ),
    ...unknown.map(({ peer, why }) => `${peer}: ${why}`),
  ];
}

/** Whether the preflight's finding was accepted, with a reason that the record keeps. */
function accepted(run: Run): boolean {
  return run.events.some((one) => one.event === 'check' && one.code === LOCK && !one.ok && one.accepted !== undefined);
}

/** The same run, deaf to Ctrl-C: for what must be brought to its end. */
export function uninterrupted(run: Run): Run {
  const { signal } = new AbortController();
  return {
    ...run,
    signal,
    get events() {
      return run.events;
    },
  };
}

import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, isQuorateError, QuorateError } from '../../errors.ts';
import type { Peer, Session } from '../../vault/peer.ts';
import type { Run } from '../kind.ts';
import { sealOf } from '../survey.ts';
import { payloadOf, readStatus, refusal } from './replies.ts';
import { withSession } from './sessions.ts';
import { isOwn } from './attempt.ts';

const LOOK_TIMEOUT = 5000;
const OWN_ANSWERS = 10_000;
const POLL = 200;
const LOOKS = 4;
const LOOK_AGAIN = 1000;

/** An operation that a peer holds in its memory. */
export interface UnderWay {
  readonly peer: Peer;
  readonly what: string;
  readonly path: string;
  readonly nonce: string;
  readonly progress: number;
}

export interface Look {
  readonly underWay: readonly UnderWay[];
  /** Peers that could not be asked, and why: what they hold is unknown. */
  readonly unknown: readonly { readonly peer: string; readonly code: ErrorCode; readonly why: string }[];
}

const KINDS = [
  { purpose: 'rotate-root-key', what: 'a rotation of the root key', part: 'init' },
  { purpose: 'rotate-recovery-key', what: 'a rotation of the recovery key', part: 'init' },
  { purpose: 'generate-root', what: 'the generation of a root token', part: 'attempt' },
] as const;

/** The old paths, which are a second, independent state machine where an OpenBao listener enables them. */
const LEGACY = [{ path: 'sys/rekey/init', what: 'a rekey by the legacy path' }] as const;

/**
 * Asks every peer what it holds. Each peer's rotations are its own: one that stepped down keeps them in its memory,
 * and they come alive when it leads again (OpenBao 2.7.2). Changes nothing.
 */
export async function lookForOperations(run: Pick<Run, 'cluster' | 'login' | 'signal'>): Promise<Look> {
  const underWay: UnderWay[] = [];
  const unknown: Look['unknown'][number][] = [];
  await Promise.all(
    run.cluster.peers.map(async (peer) => {
      // No login is possible there, and none is needed.
      if (peer.namespace === '' && (await sealOf(peer, { signal: run.signal, timeout: LOOK_TIMEOUT }))?.sealed === true)
        return;
      try {
        underWay.push(...(await withSession(run, peer, held)));
      } catch (error) {
        if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
        unknown.push({ peer: peer.name, code: error.code, why: error.message });
      }
    }),
  );
  // Generations of root tokens are passed on to the active peer, so that every peer tells of the same one.
  const distinct = new Map(underWay.map((one) => [`${one.what} ${one.nonce}`, one]));
  return { underWay: [...distinct.values()], unknown };
}

async function held(session: Session): Promise<readonly UnderWay[]> {
  const { flavour, sealed, initialised } = await session.peer.sealStatus({ timeout: LOOK_TIMEOUT });
  // Nothing outlives the sealing of a peer: it is all in memory. What is under way in a namespace does outlive its
  // sealing, and answers 503 until it is unsealed (OpenBao 2.7.2).
  if (!initialised || (sealed && session.peer.namespace === '')) return [];
  if (flavour !== 'openbao') return ask(session, false);
  const deadline = Date.now() + OWN_ANSWERS;
  for (;;) {
    // Before and after: a peer may step down between two questions.
    const before = await answersForItself(session);
    const list = before ? await ask(session, true) : [];
    if (before && (await answersForItself(session))) return list;
    if (Date.now() > deadline) {
      throw new QuorateError('not-ready', `${session.peer.name} answers for the leader and not for itself`);
    }
    await sleep(POLL);
  }
}

async function ask(session: Session, legacy: boolean): Promise<readonly UnderWay[]> {
  const { peer } = session;
  const questions: { path: string; what: string; optional: boolean }[] = [];
  for (const { purpose, what, part } of KINDS) {
    questions.push({
      path: `${await peer.endpoint(purpose)}/${part}`,
      what,
      optional: purpose === 'rotate-recovery-key',
    });
  }
  if (legacy) questions.push(...LEGACY.map((one) => ({ ...one, optional: true })));
  const list: UnderWay[] = [];
  for (const { path, what, optional } of questions) {
    const status = await statusOf(session, path, optional);
    if (status?.started !== true) continue;
    list.push({ peer, what, path, nonce: status.nonce, progress: status.progress });
  }
  return list;
}

/**
 * A peer that has just stepped down passes requests on to the leader for some tenths of a second, and what it holds
 * itself cannot be seen, nor cancelled: until it serves reads, `replication_performance_mode` of its health says
 * `unknown` (OpenBao 2.7.2).
 */
async function answersForItself(session: Session): Promise<boolean> {
  const health = await session.inNamespace('').request('GET', 'sys/health', undefined, { timeout: LOOK_TIMEOUT });
  return payloadOf(health)['replication_performance_mode'] !== 'unknown';
}

async function statusOf(
  session: Session,
  path: string,
  optional: boolean,
): Promise<ReturnType<typeof readStatus> | undefined> {
  let reply;
  try {
    reply = await session.request('GET', path, undefined, { timeout: LOOK_TIMEOUT });
  } catch (error) {
    // A standby of HashiCorp Vault holds nothing (it forgets at step-down) and sends on to the leader.
    if (isQuorateError(error, 'server-redirect')) return undefined;
    throw error;
  }
  if (reply.status === 200) return readStatus(reply);
  if (optional && [400, 404, 405].includes(reply.status)) return undefined;
  throw refusal(session.peer.name, `GET ${path}`, reply);
}

export interface SweepOptions {
  /** Nonces that stay. */
  readonly keep?: ReadonlySet<string>;
  /** Without this, a peer that cannot be asked stops the ceremony. */
  readonly tolerate?: boolean;
  /** Leaves alone what this ceremony has not started, and asks nobody. */
  readonly ownOnly?: boolean;
}

/**
 * Leaves no operation under way on any peer. Those that this ceremony started are cancelled, others only after asking.
 * @returns the peers that could not be asked, with `tolerate`.
 * @throws QuorateError `ceremony-locked` when one stays; `not-ready` when a peer cannot be asked.
 */
export async function sweep(run: Run, options: SweepOptions = {}): Promise<readonly string[]> {
  const { underWay, unknown } = await lookUntilAllAnswer(run);
  for (const one of underWay) {
    if (options.keep?.has(one.nonce) === true) continue;
    if (options.ownOnly === true && !isOwn(run.events, one.nonce, one.progress)) continue;
    await cancelOne(run, one);
  }
  if (unknown.length === 0) return [];
  const why = unknown.map(({ peer, why: reason }) => `${peer}: ${reason}`).join('; ');
  if (options.tolerate !== true) {
    throw new QuorateError('not-ready', `not every peer can be asked what is under way there: ${why}`, {
      hint: 'A peer that cannot be asked may hold an operation that comes alive later. Mend it, then resume; one that no shares open any more is removed from Raft, wiped, and joins anew.',
    });
  }
  await run.record({
    event: 'exception',
    expected: 'every peer says what is under way on it',
    happened: why.slice(0, 390),
    decision: 'goes on; they are asked again later',
    by: 'quorate',
  });
  return unknown.map(({ peer }) => peer);
}

/** During an election peers answer with errors for a moment. */
async function lookUntilAllAnswer(run: Run): Promise<Look> {
  for (let looks = 1; ; looks += 1) {
    const look = await lookForOperations(run);
    const passing = look.unknown.some(
      ({ code }) => code === 'server-error' || code === 'not-ready' || code === 'denied',
    );
    if (!passing || looks === LOOKS) return look;
    await sleep(LOOK_AGAIN, undefined, { signal: run.signal });
  }
}

async function cancelOne(run: Run, one: UnderWay): Promise<void> {
  const { peer, what, path, nonce } = one;
  const own = isOwn(run.events, nonce, one.progress);
  if (!own) {
    const question = `${peer.name} holds ${what} (nonce ${nonce}, progress ${one.progress.toString()}) that is not of this ceremony. It is cancelled only when nobody is at it.`;
    if (!(await run.people.acceptException(question, 'cancel'))) {
      throw new QuorateError('ceremony-locked', `${peer.name} holds ${what} that is not of this ceremony`, {
        hint: `Find out who runs it. DELETE ${path} on ${peer.name} itself cancels it.`,
      });
    }
  }
  await withSession(run, peer, async (session) => {
    const reply = await session.request('DELETE', path, { nonce }, { timeout: LOOK_TIMEOUT });
    if (reply.status >= 300) throw refusal(peer.name, `DELETE ${path}`, reply);
    const after = await session.request('GET', path, undefined, { timeout: LOOK_TIMEOUT });
    if (payloadOf(after)['started'] === true) {
      throw new QuorateError('server-error', `${peer.name} still holds ${what} after it was cancelled`);
    }
  });
  await run.record({
    event: 'exception',
    expected: `nothing under way on ${peer.name}`,
    happened: `${what} with nonce ${nonce}, ${own ? 'started by this ceremony' : 'not of this ceremony'}`,
    decision: own ? 'cancelled' : 'cancelled after asking',
    by: own ? 'quorate' : 'administrator',
  });
}

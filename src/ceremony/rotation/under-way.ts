import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, isQuorateError, QuorateError } from '../../errors.ts';
import type { Peer, Session } from '../../vault/peer.ts';
import type { Finding, Run } from '../kind.ts';
import { sealOf, surveyPeers } from '../survey.ts';
import { payloadOf, readStatus, refusal } from './replies.ts';
import { withSession } from './sessions.ts';

export const LOOK_TIMEOUT = 5000;
const OWN_ANSWERS = 10_000;
const POLL = 200;

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
  return { underWay: await eachOnce(run, underWay), unknown };
}

/** Generations of root tokens are passed on to the active peer: every peer tells of the same one, and it counts there. */
async function eachOnce(run: Pick<Run, 'cluster' | 'signal'>, underWay: readonly UnderWay[]): Promise<UnderWay[]> {
  if (underWay.length < 2) return [...underWay];
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  const leader = surveys.find(({ state }) => state === 'active')?.peer.name;
  const leaderLast = [
    ...underWay.filter(({ peer }) => peer.name !== leader),
    ...underWay.filter(({ peer }) => peer.name === leader),
  ];
  return [...new Map(leaderLast.map((one) => [`${one.what} ${one.nonce}`, one])).values()];
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
    const phase = status.verificationNonce === '' ? '' : ', whose new shares wait for their verification';
    list.push({ peer, what: `${what}${phase}`, path, nonce: status.nonce, progress: status.progress });
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

export const UNDER_WAY = 'under-way';

/** No rotation, rekey or root generation on any peer, as a preflight finds it. Changes nothing. */
export async function underWayFindings(run: Pick<Run, 'cluster' | 'login' | 'signal'>): Promise<Finding[]> {
  const { underWay, unknown } = await lookForOperations(run);
  const busy = underWay.map(({ peer, what, nonce, path }) => ({
    code: UNDER_WAY,
    ok: false,
    finding: `${peer.name} holds ${what} (nonce ${nonce})`,
    mend: `Find out who runs it. When nobody does: at a terminal, quorate offers to cancel it; by hand, DELETE ${path} on ${peer.name} itself.`,
  }));
  const mute = unknown.map(({ peer, why }) => ({
    code: 'idle',
    ok: false,
    finding: `${peer} does not tell what is under way on it: ${why}`.slice(0, 390),
    mend: 'The ceremony login must work on every peer. What one that does not answer holds comes alive when it leads again.',
  }));
  if (busy.length + mute.length > 0) return [...busy, ...mute];
  return [{ code: UNDER_WAY, ok: true, finding: 'nothing is under way on any peer' }];
}

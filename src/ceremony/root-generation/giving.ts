import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Reply, Session } from '../../vault/peer.ts';
import type { Given } from '../asking.ts';
import type { Run } from '../kind.ts';
import type { Leadership } from '../leadership.ts';
import { type Share, shareText } from '../share.ts';
import { payloadOf } from '../rotation/replies.ts';
import { type AttemptStatus, readAttempt } from './attempt.ts';

/** What came of one share. */
export type Outcome =
  | { readonly kind: 'counted'; readonly progress: number }
  | { readonly kind: 'token'; readonly encoded: string }
  /** The share completed a set that is wrong: progress is 0 again, and the server does not know which one was. */
  | { readonly kind: 'wrong set' }
  /** The attempt is no more, or another one runs. */
  | { readonly kind: 'gone'; readonly why: string }
  | { readonly kind: 'refused'; readonly error: QuorateError };

/** Recorded before the share that may make the token, so that a lost reply is known after a crash as well. */
const LAST = 'about to give the share that completes the root token';
const NOTHING = 'no root token came of the last share';

export async function recordLast(run: Run): Promise<void> {
  await run.record({ event: 'note', text: LAST });
}

/** Whether a last share was given after which no token has been revoked: one may be alive. */
export function isUnsettled(run: Pick<Run, 'events'>): boolean {
  const given = run.events.findLastIndex((one) => one.event === 'note' && one.text === LAST);
  const settled = run.events.findLastIndex(
    (one) => one.event === 'token.revoked' || (one.event === 'note' && one.text === NOTHING),
  );
  return given > settled;
}

export async function recordNothing(run: Run): Promise<void> {
  await run.record({ event: 'note', text: NOTHING });
}

/**
 * Gives one share to the active peer, once, and settles what came of it. A server that has the share already says so
 * (`already been provided`): it was counted. OpenBao 2.7.2 answers 500 for callers' mistakes here, so that only what
 * the attempt itself says afterwards is believed.
 */
export async function giveShare(
  run: Run,
  leadership: Leadership,
  attempt: AttemptStatus,
  given: Given,
): Promise<Outcome> {
  const { session } = leadership;
  try {
    await leadership.check(run);
    const now = await readAttempt(session);
    const changed = changes(attempt, now);
    if (changed !== undefined) return { kind: 'gone', why: changed };
  } catch (error) {
    return fallen(error);
  }
  const last = attempt.progress + 1 >= attempt.required;
  if (last) await recordLast(run);
  for (const again of [false, true]) {
    const answer = await sendShare(session, attempt.nonce, given.share);
    const outcome =
      'status' in answer && answer.status === 200
        ? readAccepted(answer)
        : await settle(run, leadership, attempt, answer, last);
    if (outcome.kind === 'not counted') {
      if (!again && !('status' in answer)) continue;
      const error = 'status' in answer ? refusedShare(answer) : answer;
      await run.record({
        event: 'share.refused',
        who: given.admission.holder,
        reason: error.code,
        peer: session.peer.name,
      });
      return { kind: 'refused', error };
    }
    await recordOutcome(run, leadership, attempt, given, outcome);
    return outcome;
  }
  return { kind: 'gone', why: 'the share could not be given' };
}

/** Why an attempt is not the one that it was, or undefined. */
export function changes(attempt: AttemptStatus, now: AttemptStatus): string | undefined {
  if (!now.started) return 'the generation was cancelled by somebody, or lost with a restart';
  if (now.nonce !== attempt.nonce) return `another generation runs, with nonce ${now.nonce}`;
  if (now.progress !== attempt.progress) {
    return `${now.progress.toString()} shares count where ${attempt.progress.toString()} were given here`;
  }
  return undefined;
}

/** Gives a share to the attempt with this nonce, once; a fault instead of an answer is a value. */
export async function sendShare(session: Session, nonce: string, share: Share): Promise<Reply | QuorateError> {
  const key = shareText(share);
  try {
    const path = `${await session.peer.endpoint('generate-root')}/update`;
    // Without a signal: an interruption waits for this answer, which may be the only copy of the encoded token.
    return await session.request('PUT', path, { key, nonce });
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'bug') throw error;
    return error;
  } finally {
    key.wipe();
  }
}

/** What a 200 to a share says. */
export function readAccepted(reply: Reply): Outcome {
  const { complete, progress, encoded_token: token, encoded_root_token: older } = payloadOf(reply);
  const encoded = typeof token === 'string' && token !== '' ? token : older;
  if (complete === true && typeof encoded === 'string' && encoded !== '') return { kind: 'token', encoded };
  if (complete === true) return { kind: 'gone', why: 'the server made a root token and did not tell it' };
  return { kind: 'counted', progress: typeof progress === 'number' ? progress : 0 };
}

type Settled = Outcome | { readonly kind: 'not counted' };

async function settle(
  run: Run,
  leadership: Leadership,
  attempt: AttemptStatus,
  answer: Reply | QuorateError,
  last: boolean,
): Promise<Settled> {
  const lines = 'status' in answer ? answer.errors : [];
  let now: AttemptStatus;
  try {
    await leadership.check({ signal: new AbortController().signal });
    now = await readAttempt(leadership.session);
  } catch (error) {
    return fallen(error);
  }
  const said = 'status' in answer ? answer.status.toString() : answer.code;
  await run.record({
    event: 'request',
    peer: leadership.peer.name,
    request: 'PUT generate-root update',
    expected: { answer: '200' },
    actual: { answer: said, started: now.started, progress: now.progress, nonce: now.nonce },
  });
  const says = (text: string): boolean => lines.some((line) => line.includes(text));
  if (!now.started && last)
    return { kind: 'gone', why: 'the answer to the last share was lost, and with it the token' };
  if (!now.started || now.nonce !== attempt.nonce) return { kind: 'gone', why: changes(attempt, now) ?? 'it changed' };
  if (now.progress === attempt.progress + 1) return { kind: 'counted', progress: now.progress };
  if (says('already been provided')) return { kind: 'counted', progress: now.progress };
  // `root generation aborted: ...` (both servers); with one share needed progress was 0 before as well.
  if (last && now.progress === 0 && (attempt.progress > 0 || says('aborted'))) return { kind: 'wrong set' };
  if (now.progress !== attempt.progress) return { kind: 'gone', why: changes(attempt, now) ?? 'it changed' };
  return { kind: 'not counted' };
}

/** A peer that fell away took the attempt with it. */
function fallen(error: unknown): Outcome {
  if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug' || error.code === 'denied')
    throw error;
  return { kind: 'gone', why: error.message };
}

function refusedShare(reply: Reply): QuorateError {
  const said = reply.errors.length === 0 ? '' : `: ${reply.errors.join('; ')}`;
  return new QuorateError('server-error', `the server did not take that share (${reply.status.toString()}${said})`);
}

async function recordOutcome(
  run: Run,
  { peer }: Leadership,
  attempt: AttemptStatus,
  { share, admission }: Given,
  outcome: Outcome,
): Promise<void> {
  const { holder, fingerprint, generation } = admission;
  if (outcome.kind === 'wrong set') {
    await run.record({ event: 'share.refused', reason: 'shares-wrong', peer: peer.name });
  }
  if (outcome.kind !== 'counted' && outcome.kind !== 'token') return;
  const progress = attempt.progress + 1;
  await run.record({
    event: 'share.accepted',
    who: holder,
    x: share.x,
    fingerprint: fingerprint === undefined ? undefined : `sha256:${fingerprint}`,
    generation: generation === 0 ? undefined : generation,
    peer: peer.name,
    request: `PUT ${await peer.endpoint('generate-root')}/update`,
    expected: { progress, complete: progress >= attempt.required },
    actual: outcome.kind === 'token' ? { progress, complete: true } : { progress: outcome.progress, complete: false },
    nonce: attempt.nonce,
  });
}

import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import type { Reply, Session } from '../../vault/peer.ts';
import type { Run } from '../kind.ts';
import { payloadOf } from '../rotation/replies.ts';

/** `generate-root-token/attempt` (OpenBao) or `generate-root/attempt` (Vault). */
export interface AttemptStatus {
  readonly started: boolean;
  /** Empty while none is started. */
  readonly nonce: string;
  readonly progress: number;
  readonly required: number;
  readonly otpLength: number;
}

/** Recorded before the start, so that an attempt whose reply was lost is known as this ceremony's. */
const STARTING = 'about to start the generation of a root token';

/** @throws QuorateError `denied`, `server-error`, `server-response`. */
export async function readAttempt(session: Session): Promise<AttemptStatus> {
  const path = await attemptPath(session);
  return statusOf(path, await session.request('GET', path));
}

/**
 * Starts an attempt with our own one-time pad. When the reply is lost, whatever runs is cancelled: it could be
 * somebody else's, with their pad, and shares given to it would give them a root token.
 * @throws QuorateError `ceremony-locked` when one runs already; `denied`, `server-error`; the fault of a lost reply.
 */
export async function startAttempt(run: Run, session: Session, otp: Secret): Promise<AttemptStatus> {
  const path = await attemptPath(session);
  await run.record({ event: 'note', text: STARTING });
  let reply: Reply;
  try {
    reply = await session.request('PUT', path, { otp });
  } catch (error) {
    if (isQuorateError(error)) await cancelAttempt(session);
    throw error;
  }
  if (reply.status === 400 && reply.errors.some((line) => line.includes('already in progress'))) throw foreign();
  const status = statusOf(path, reply);
  const { otp: other, pgp_fingerprint: key } = payloadOf(reply);
  const ours = status.started && status.nonce !== '' && (other ?? '') === '' && (key ?? '') === '';
  await run.record({
    event: 'request',
    peer: session.peer.name,
    request: `PUT ${path}`,
    expected: { started: true },
    actual: { started: status.started, nonce: status.nonce, required: status.required },
  });
  if (ours) return status;
  await cancelAttempt(session, status.nonce);
  throw new QuorateError('server-response', `${session.peer.name} did not start the generation that was asked for`);
}

/**
 * Cancels what runs; with a nonce only that attempt, as far as this can be seen. A lost reply is settled by reading.
 * @returns whether nothing of it is left.
 */
export async function cancelAttempt(session: Session, nonce?: string): Promise<boolean> {
  const path = await attemptPath(session);
  const before = await readAttempt(session);
  if (!before.started || (nonce !== undefined && before.nonce !== nonce)) return true;
  try {
    // Later releases of HashiCorp Vault want the nonce; the others do not look.
    await session.request('DELETE', path, { nonce: before.nonce });
  } catch (error) {
    if (!isQuorateError(error)) throw error;
  }
  const after = await readAttempt(session);
  return !after.started || after.nonce !== before.nonce;
}

/** Whether an attempt that runs is one that this ceremony started, in this sitting or before. */
export function isOwnAttempt(run: Pick<Run, 'events'>, status: AttemptStatus): boolean {
  const recorded = run.events.findLastIndex(
    (one) => one.event === 'request' && one.request.endsWith('/attempt') && one.actual['started'] === true,
  );
  const known = run.events.some((one) => one.event === 'request' && one.actual['nonce'] === status.nonce);
  if (known) return true;
  // It stopped between the start and its record: nobody was asked for a share yet.
  const starting = run.events.findLastIndex((one) => one.event === 'note' && one.text === STARTING);
  return starting > recorded && status.progress === 0;
}

export function foreign(status?: AttemptStatus): QuorateError {
  const which = status === undefined ? '' : ` (nonce ${status.nonce}, ${status.progress.toString()} shares given)`;
  return new QuorateError('ceremony-locked', `somebody else is generating a root token${which}`, {
    hint: 'Find out who. A share that is given now would be for their token. Cancel theirs, then resume.',
  });
}

export async function attemptPath(session: Session): Promise<string> {
  return `${await session.peer.endpoint('generate-root')}/attempt`;
}

function statusOf(path: string, reply: Reply): AttemptStatus {
  if (reply.status === 403) {
    throw new QuorateError('denied', `this login may not use ${path}`, {
      hint: `Its policy needs create, read, update and delete on ${path}.`,
    });
  }
  if (reply.status !== 200) {
    const said = reply.errors.length === 0 ? '' : `: ${reply.errors.join('; ')}`;
    throw new QuorateError('server-error', `the server answered ${path} with ${reply.status.toString()}${said}`);
  }
  const { started, nonce, progress, required, otp_length: length } = payloadOf(reply);
  if (typeof started !== 'boolean' || typeof progress !== 'number' || typeof required !== 'number') {
    throw new QuorateError('server-response', `${path} was answered in an unknown shape`);
  }
  return {
    started,
    nonce: typeof nonce === 'string' ? nonce : '',
    progress,
    required,
    otpLength: typeof length === 'number' ? length : 26,
  };
}

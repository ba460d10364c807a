import { randomInt } from 'node:crypto';
import { isQuorateError, QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';
import type { Reply, Session } from '../vault/peer.ts';
import type { Run } from './kind.ts';
import type { RecordLine } from './record/events.ts';

const OTP_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/**
 * Proves that a login can start a rotation of the root key (or of the recovery key, under an auto-unseal seal) and the
 * generation of a root token, by starting and cancelling both and reading back that nothing is under way.
 * On OpenBao there is no way back in without a token (2.7.2: attempt 403, legacy paths 405), so the last root token
 * must not go before this has been seen.
 * @throws QuorateError `no-way-back` when either cannot be started, `server-error` when one could not be cancelled.
 */
export async function proveWayBack(run: Run, session: Session, recoverySeal: boolean): Promise<void> {
  const rotate = await session.peer.endpoint(recoverySeal ? 'rotate-recovery-key' : 'rotate-root-key');
  await startAndCancel(run, session, {
    what: recoverySeal ? 'a rotation of the recovery key' : 'a rotation of the root key',
    path: `${rotate}/init`,
    // Verification is asked for, so that even a rotation that ran to its end would change nothing.
    body: () => ({ secret_shares: 1, secret_threshold: 1, require_verification: true }),
  });
  const attempt = `${await session.peer.endpoint('generate-root')}/attempt`;
  const before = await mustRead(session, attempt);
  const length = Number(before['otp_length']);
  const otp = makeOtp(Number.isInteger(length) && length > 0 ? length : 26);
  try {
    await startAndCancel(run, session, {
      what: 'the generation of a root token',
      path: attempt,
      body: () => ({ otp }),
    });
  } finally {
    otp.wipe();
  }
}

/** Whether a ceremony's events show both ways back in, each started and cancelled. */
export function wayBackProved(events: readonly RecordLine[]): boolean {
  const requests = events.flatMap((one) =>
    one.event === 'capability.proved' && one.started && one.cancelled ? [one.request] : [],
  );
  const generated = requests.some((request) => request.includes('/generate-root'));
  return generated && requests.some((request) => !request.includes('/generate-root'));
}

interface Start {
  readonly what: string;
  readonly path: string;
  readonly body: () => unknown;
}

async function startAndCancel(run: Run, session: Session, { what, path, body }: Start): Promise<void> {
  const before = await mustRead(session, path);
  if (before['started'] === true && interrupted(run, what) && before['progress'] === 0) {
    await cancel(session, path, before);
    await run.record({ event: 'note', text: `cancelled ${what}, which this ceremony had started before it stopped` });
  } else if (before['started'] === true) {
    throw new QuorateError('no-way-back', `${what} is under way already, so that it can not be tried`, {
      hint: `Find out who runs it; DELETE ${path} cancels it. Then resume this ceremony.`,
    });
  }
  await run.record({ event: 'note', text: trial(what) });
  let lost: QuorateError | undefined;
  const started = await session.request('PUT', path, body()).catch((error: unknown) => {
    if (!isQuorateError(error)) throw error;
    lost = error;
    return undefined;
  });
  const running = started === undefined ? await mustRead(session, path) : payload(started);
  const ok = started?.status === 200 && running['started'] === true;
  // Cancelled also where the start seems to have failed: a lost or odd reply may hide one that runs.
  const cancelled = await cancel(session, path, running);
  const after = await mustRead(session, path);
  const gone = after['started'] !== true;
  await run.record({
    event: 'capability.proved',
    what,
    request: `PUT and DELETE ${path}`,
    started: ok,
    cancelled: gone,
  });
  if (!gone) {
    throw new QuorateError(
      'server-error',
      `${what} was started for a trial and could not be cancelled (${cancelled.status.toString()})`,
      {
        hint: `DELETE ${path} with a token that may.`,
      },
    );
  }
  if (lost !== undefined) throw lost;
  if (!ok) {
    throw new QuorateError(
      'no-way-back',
      `this login cannot start ${what} (the server said ${started?.status.toString() ?? 'nothing'})`,
      {
        hint: `Its policy needs create, read, update and delete on ${path}. The root token was kept: give it that, and resume.`,
      },
    );
  }
}

const trial = (what: string): string => `about to start ${what}, for a trial`;

/** Whether this ceremony stopped between a trial's start and its end. */
function interrupted(run: Run, what: string): boolean {
  const begun = run.events.findLastIndex((one) => one.event === 'note' && one.text === trial(what));
  return begun > run.events.findLastIndex((one) => one.event === 'capability.proved' && one.what === what);
}

/** Later releases of HashiCorp Vault want the nonce with it; the others do not look. */
async function cancel(session: Session, path: string, running: Readonly<Record<string, unknown>>): Promise<Reply> {
  const { nonce } = running;
  return session.request('DELETE', path, typeof nonce === 'string' && nonce !== '' ? { nonce } : undefined);
}

async function mustRead(session: Session, path: string): Promise<Readonly<Record<string, unknown>>> {
  const reply = await session.request('GET', path);
  if (reply.status === 200) return payload(reply);
  throw new QuorateError('no-way-back', `this login cannot read ${path} (the server said ${reply.status.toString()})`, {
    hint: `Its policy needs create, read, update and delete on ${path}. The root token was kept: give it that, and resume.`,
  });
}

/** OpenBao's newer endpoints have an envelope, Vault's have none (observed on 2.7.2 and 1.14.0). */
function payload(reply: Reply): Readonly<Record<string, unknown>> {
  const body = reply.body;
  if (typeof body !== 'object' || body === null) return {};
  const { data } = body as { data?: unknown };
  return (typeof data === 'object' && data !== null ? data : body) as Readonly<Record<string, unknown>>;
}

function makeOtp(length: number): Secret {
  const bytes = new Uint8Array(length);
  try {
    for (let index = 0; index < length; index++) bytes[index] = OTP_LETTERS.charCodeAt(randomInt(OTP_LETTERS.length));
    return new Secret(bytes);
  } finally {
    bytes.fill(0);
  }
}

/**
 * Revokes the session's own token and proves that the server no longer knows it.
 * A lost reply is settled by the proof: the token is looked up afterwards in any case.
 * @throws QuorateError `server-error` while the token still lives or nobody can tell.
 */
export async function revokeAndProve(run: Run, session: Session, accessor: string): Promise<void> {
  let lost: QuorateError | undefined;
  try {
    await session.request('POST', 'auth/token/revoke-self', {}, { signal: run.signal });
  } catch (error) {
    if (!isQuorateError(error)) throw error;
    lost = error;
  }
  const look = await session.request('GET', 'auth/token/lookup-self');
  if (look.status !== 403) {
    throw new QuorateError(
      'server-error',
      `the root token may still be alive (look-up said ${look.status.toString()})`,
      {
        hint: 'Resume the ceremony: it revokes the token and looks again.',
      },
    );
  }
  await run.record({
    event: 'token.revoked',
    accessor,
    proof: `GET auth/token/lookup-self answers 403${lost === undefined ? '' : ' (the reply to the revocation was lost)'}`,
  });
}

/**
 * Counts the root tokens that are left, where the login may list accessors.
 * @returns the number, or undefined when this login may not look.
 */
export async function countRootTokens(session: Session): Promise<number | undefined> {
  try {
    const accessors = await session.list('auth/token/accessors');
    let roots = 0;
    for (const accessor of accessors) {
      const found = await session.request('POST', 'auth/token/lookup-accessor', { accessor });
      // 404 or 400: gone since it was listed.
      if (found.status === 403) return undefined;
      const policies = payload(found)['policies'];
      if (Array.isArray(policies) && policies.includes('root')) roots += 1;
    }
    return roots;
  } catch (error) {
    if (isQuorateError(error, 'denied')) return undefined;
    throw error;
  }
}

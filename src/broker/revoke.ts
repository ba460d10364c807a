import { setTimeout as pause } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../errors.ts';
import { type Caller, refusal } from './caller.ts';
import { lookUp } from './lease.ts';

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5_000;
/** For one request: the database may hang, and the next try may find it back. */
const REQUEST_TIMEOUT = 15_000;

export interface RevokeOptions {
  /** Milliseconds for all tries together. */
  readonly timeout: number;
  readonly onTrouble?: (error: QuorateError) => void;
}

/** A lease that the server knows no more. */
export interface Revoked {
  /** RFC 3339, this machine's clock. */
  readonly at: string;
  readonly tries: number;
}

/**
 * Revokes a lease and waits for the database's own answer, again and again until the server knows the lease no more.
 * @param callers are asked in turn: the lease's own token may have ended, and the lease with it.
 * @throws QuorateError `lease-unrevoked` when that is not proved in time.
 */
export async function revoke(callers: readonly Caller[], id: string, options: RevokeOptions): Promise<Revoked> {
  const until = Date.now() + options.timeout;
  let wait = FIRST_PAUSE;
  for (let tries = 1; ; tries += 1) {
    const caller = callers[(tries - 1) % callers.length];
    if (caller === undefined) throw new QuorateError('bug', 'nobody is there to revoke a lease');
    const fault = await revokeOnce(caller, id, Math.min(REQUEST_TIMEOUT, Math.max(1000, until - Date.now())));
    if (fault === undefined) return { at: new Date().toISOString(), tries };
    options.onTrouble?.(fault);
    if (Date.now() + wait > until) throw unrevoked(id, fault);
    await pause(wait);
    wait = Math.min(wait * 2, LONGEST_PAUSE);
  }
}

/** Undefined once the lease is gone, else why it is not known to be. */
async function revokeOnce(caller: Caller, id: string, timeout: number): Promise<QuorateError | undefined> {
  const options = { timeout, repeatable: true };
  try {
    const reply = await caller.request('POST', 'sys/leases/revoke', { lease_id: id, sync: true }, options);
    // Refused or not: the look-up decides.
    const state = await lookUp(caller, id, { timeout });
    if (state === undefined) return undefined;
    if (reply.status >= 400) return refusal('POST sys/leases/revoke', reply);
    return new QuorateError('server-error', 'the server has taken the revocation, and still knows the lease');
  } catch (error) {
    if (isQuorateError(error) && error.code !== 'bug') return error;
    throw error;
  }
}

function unrevoked(id: string, fault: QuorateError): QuorateError {
  return new QuorateError('lease-unrevoked', `the lease ${id} is not known to be revoked: ${fault.message}`, {
    hint: 'The server goes on trying, and ends it at its expiry at the latest. See it with quorate db leases, and end it with quorate db revoke.',
  });
}

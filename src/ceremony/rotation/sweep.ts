import { setTimeout as sleep } from 'node:timers/promises';
import { QuorateError } from '../../errors.ts';
import type { Run } from '../kind.ts';
import { isOwn } from './attempt.ts';
import { payloadOf, refusal } from './replies.ts';
import { withSession } from './sessions.ts';
import { type Look, LOOK_TIMEOUT, lookForOperations, type UnderWay } from './under-way.ts';

const LOOKS = 4;
const LOOK_AGAIN = 1000;

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
  const own = isOwn(run.events, one.nonce, one.progress);
  if (!own && !(await mayCancel(run, one))) {
    throw new QuorateError('ceremony-locked', `${one.peer.name} holds ${one.what} that is not of this ceremony`, {
      hint: `Find out who runs it. DELETE ${one.path} on ${one.peer.name} itself cancels it.`,
    });
  }
  await cancel(run, one, own);
}

/** Whether somebody says that nobody is at it. */
export function mayCancel(
  { people }: Pick<Run, 'people'>,
  { peer, what, nonce, progress }: Omit<UnderWay, 'path'>,
): Promise<boolean> {
  const question = `${peer.name} holds ${what} (nonce ${nonce}, progress ${progress.toString()}) that is not of this ceremony. It is cancelled only when nobody is at it.`;
  return people.acceptException(question, 'cancel');
}

/** Cancels that operation and no other, and sees that it is gone. */
async function cancel(run: Run, { peer, what, path, nonce }: UnderWay, own: boolean): Promise<void> {
  const cancelled = await withSession(run, peer, async (session) => {
    const look = async (): Promise<Readonly<Record<string, unknown>>> => {
      const reply = await session.request('GET', path, undefined, { timeout: LOOK_TIMEOUT });
      if (reply.status !== 200) throw refusal(peer.name, `GET ${path}`, reply);
      return payloadOf(reply);
    };
    const before = await look();
    if (before['started'] !== true) return false;
    if (before['nonce'] !== nonce) {
      throw new QuorateError('ceremony-locked', `somebody has started another operation on ${peer.name} meanwhile`, {
        hint: 'Nothing of it was cancelled. Find out who, and run the ceremony again when they are done.',
      });
    }
    // Later releases of HashiCorp Vault want the nonce with it; the others do not look.
    const reply = await session.request('DELETE', path, { nonce }, { timeout: LOOK_TIMEOUT });
    if (reply.status >= 300) throw refusal(peer.name, `DELETE ${path}`, reply);
    if ((await look())['started'] === true) {
      throw new QuorateError('server-error', `${peer.name} still holds ${what} after it was cancelled`);
    }
    return true;
  });
  if (!cancelled) return;
  await run.record({
    event: 'exception',
    expected: `nothing under way on ${peer.name}`,
    happened: `${what} with nonce ${nonce}, ${own ? 'started by this ceremony' : 'not of this ceremony'}`,
    decision: own ? 'cancelled' : 'cancelled after asking',
    by: own ? 'quorate' : 'administrator',
  });
}

/**
 * Offers to cancel what peers hold before a ceremony begins, one by one; those of earlier ceremonies too, which lie in
 * the memory of a peer that lost the leadership in one.
 * @returns whether all of it was cancelled. @throws QuorateError `ceremony-locked` when something new was started.
 */
export async function offerToCancel(run: Run): Promise<boolean> {
  const { underWay } = await lookForOperations(run);
  for (const one of underWay) {
    if (!(await mayCancel(run, one))) return false;
    await cancel(run, one, false);
  }
  return true;
}

import { isQuorateError } from '../errors.ts';
import type { Run } from './kind.ts';
import { currentAttempt } from './rotation/attempt.ts';
import { sweep } from './rotation/sweep.ts';

/**
 * People who were waited for have gone. What this ceremony has under way on the servers is cancelled on every peer, so
 * that no share given so far lies in a server's memory, and it is said who gave one. From the last call of a rotation
 * until it is settled nothing is cancelled: what the leader still holds is the repair.
 */
export async function clearAway(run: Run): Promise<void> {
  const attempt = currentAttempt(run.events);
  const unsettled = attempt?.lastCallSent === true && attempt.live === undefined;
  await recordDeadline(
    run,
    unsettled
      ? 'nothing is cancelled: the last call of the rotation is not settled'
      : 'what this ceremony has under way is cancelled on every peer',
  );
  if (unsettled) return;
  try {
    await sweep(run, { tolerate: true, ownOnly: true });
  } catch (error) {
    // The error that led here says more; a resume sweeps again.
    if (!isQuorateError(error)) throw error;
    run.people.say(`Could not clean up yet: ${error.message}. Resuming the ceremony does.`);
  }
}

/** Who gave a share before the others went. */
export async function recordDeadline(run: Run, decision: string): Promise<void> {
  const givers = new Set(
    run.events.flatMap((one) => (one.event === 'share.accepted' ? [one.who ?? `x ${one.x}`] : [])),
  );
  const given = givers.size === 0 ? 'nobody has given a share' : `given by ${[...givers].join(', ')}`;
  run.people.say(`Nobody has answered for too long; ${given}. ${decision.replace(/^./, (one) => one.toUpperCase())}.`);
  await run.record({
    event: 'exception',
    expected: 'an answer within the longest wait',
    happened: `none came; ${given}`.slice(0, 390),
    decision,
    by: 'quorate',
  });
}

import { isQuorateError, type QuorateError } from '../../errors.ts';
import type { Run } from '../kind.ts';
import type { GivenShare } from '../people.ts';
import { admitShare, type Admission } from '../roster/admit.ts';
import { parseShare, type Share } from '../share.ts';
import { describe, type Given, type Target } from './target.ts';

export interface AskOptions {
  /** Lets a share through that is in no roster or of an older generation, after a typed confirmation. */
  readonly unlistedShare: boolean;
  readonly roster?: Run['roster'];
}

/** Asks until somebody gives a share that may be sent, or nobody does. What is refused never leaves this machine. */
export async function askForShare(
  run: Run,
  targets: readonly Target[],
  waiting: readonly Target[],
  present: readonly string[],
  options: AskOptions,
): Promise<Given | null> {
  const [first] = waiting;
  if (first === undefined) return null;
  for (;;) {
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
      return { share, admission: await admit(run, share, answer, waiting, options) };
    } catch (error) {
      share?.bytes.wipe();
      if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
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

async function admit(
  run: Run,
  share: Share,
  answer: GivenShare,
  waiting: readonly Target[],
  options: AskOptions,
): Promise<Admission> {
  const known = {
    roster: options.roster,
    others: run.otherRosters,
    expectedHolder: answer.who,
    // Whoever has given to every peer that still waits gives nothing new.
    given: intersection(waiting.map((target) => target.counted)),
  };
  try {
    return admitShare(share, known);
  } catch (error) {
    const overrulable = isQuorateError(error, 'share-unknown') || isQuorateError(error, 'share-generation');
    if (!overrulable || !options.unlistedShare) throw error;
    await confirmException(run, share, answer, error);
    return admitShare(share, { ...known, overruled: new Set(['share-unknown', 'share-generation']) });
  }
}

async function confirmException(run: Run, share: Share, answer: GivenShare, refusal: QuorateError): Promise<void> {
  run.people.say(refusal.message);
  const question = 'Given all the same, a wrong share costs the whole attempt.';
  if (!(await run.people.acceptException(question, 'unlisted'))) throw refusal;
  await run.record({
    event: 'exception',
    expected: 'a share of the current generation of the roster',
    happened: `${refusal.code}: a share with x ${share.x}`,
    decision: 'given to the peers after a typed confirmation',
    by: answer.who ?? 'administrator',
  });
}

function intersection(sets: readonly ReadonlySet<string>[]): ReadonlySet<string> {
  const [first, ...rest] = sets;
  return new Set([...(first ?? [])].filter((x) => rest.every((set) => set.has(x))));
}

import { isQuorateError, type QuorateError } from '../errors.ts';
import type { Run } from './kind.ts';
import type { GivenShare, ShareRequest } from './people.ts';
import { admitShare, type Admission } from './roster/admit.ts';
import { parseShare, type Share } from './share.ts';

export interface AskOptions {
  /** Lets a share through that is in no roster or of an older generation, after a typed confirmation. */
  readonly unlistedShare: boolean;
  readonly roster?: Run['roster'];
}

/** A share that may be sent, and what the roster says of it. Whoever asked for it wipes it. */
export interface Given {
  readonly share: Share;
  readonly admission: Admission;
}

export interface ShareQuestion extends Omit<ShareRequest, 'cluster'> {
  /** The only share of a 1 of 1 is expected, which has no x-coordinate. */
  readonly single: boolean;
  /** x-coordinates whose shares would add nothing: they were given before. */
  readonly taken: ReadonlySet<string>;
}

/** What ends the asking; all else can be put right by giving another share. */
const FINAL = new Set<string>(['cancelled', 'bug', 'terminal-needed', 'deadline-passed']);

/** Asks until somebody gives a share that may be sent, or nobody does. What is refused never leaves this machine. */
export async function askForShare(run: Run, question: ShareQuestion, options: AskOptions): Promise<Given | null> {
  const { single, taken, ...request } = question;
  for (;;) {
    let answer: GivenShare | null;
    try {
      answer = await run.people.nextShare({ cluster: run.cluster.name, ...request });
    } catch (error) {
      // A file that is not there, or that gpg cannot decrypt, is a slip of the giver's like a mistyped share.
      if (!isQuorateError(error) || FINAL.has(error.code)) throw error;
      await run.record({ event: 'share.refused', reason: error.code });
      await run.people.refused(error);
      continue;
    }
    if (answer === null) return null;
    let share: Share | undefined;
    try {
      share = parseShare(answer.text, { single });
      return { share, admission: await admit(run, share, answer, taken, options) };
    } catch (error) {
      share?.bytes.wipe();
      if (!isQuorateError(error) || FINAL.has(error.code)) throw error;
      await run.record({ event: 'share.refused', who: answer.who, reason: error.code });
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
  taken: ReadonlySet<string>,
  options: AskOptions,
): Promise<Admission> {
  const known = {
    roster: options.roster,
    others: run.otherRosters,
    expectedHolder: answer.who,
    given: taken,
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

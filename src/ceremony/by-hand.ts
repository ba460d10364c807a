import { setTimeout as sleep } from 'node:timers/promises';
import { QuorateError } from '../errors.ts';
import type { Run } from './kind.ts';

const ASKS = 5;
const WITHIN = 60_000;
/** After this long without a change nobody has done it, and asking again is better than waiting. */
const UNCHANGED = 10_000;
const POLL = 500;

export interface ByHand {
  readonly say: string;
  /** What is still not as it should be; undefined when all is. */
  readonly why: () => Promise<string | undefined>;
}

/**
 * Has people do something to a server, and sees for itself that it was done; asks again when it was not.
 * @throws QuorateError `not-ready` after five times.
 */
export async function askUntil(run: Run, { say, why }: ByHand): Promise<void> {
  let left: string | undefined;
  for (let asked = 0; asked < ASKS; asked += 1) {
    const before = left;
    const fields = await run.people.act({ say, fields: [] });
    await run.record({ event: 'people', say, fields: { ...fields } });
    left = await wait(run, why, before);
    if (left === undefined) return;
    run.people.say(`  ${left}.`);
  }
  throw new QuorateError('not-ready', left ?? 'it was not done', { hint: 'Do it and resume the ceremony.' });
}

async function wait(run: Run, why: ByHand['why'], before: string | undefined): Promise<string | undefined> {
  const start = Date.now();
  let left = before;
  let changed = start;
  for (;;) {
    const now = await why();
    if (now === undefined) return undefined;
    if (now !== left) changed = Date.now();
    left = now;
    if (Date.now() - start > WITHIN || Date.now() - changed > UNCHANGED) return left;
    await sleep(POLL, undefined, { signal: run.signal });
  }
}

import { expect, it } from 'vitest';
import { cellsOf, peersOf } from './cells.ts';
import { cellJobs, playAll, tearJobs } from './play.ts';
import { failed, lineOf } from './report.ts';

/** The seed decides which calls are struck: change it, and others are. `npm run faults` plays the rest, and longer. */
const SEED = 'short';

it('leaves no cluster lost or unknown, whichever ceremony is struck by whichever fault', async () => {
  // Those of three peers first: they take longest.
  const cells = [...cellsOf(undefined)].sort((one, other) => peersOf(other.fault) - peersOf(one.fault));
  // Torn at every place that takes a repair; the kills at random moments are for the long run.
  const torn = tearJobs(1).filter(({ torn: writes, size }) => writes !== 0 && writes !== 5 && size?.threshold !== 3);
  const jobs = [...cellJobs(cells, 1), ...torn];
  const played = await playAll(jobs, { seed: SEED, lanes: 3, tell: () => undefined });
  expect(failed(played).map((one) => `${lineOf(one)}\n${one.detail ?? ''}`)).toEqual([]);
  expect(played).toHaveLength(jobs.length);
}, 900_000);

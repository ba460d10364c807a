import type { Run } from '../kind.ts';
import type { Roster } from '../roster/schema.ts';
import { shareCount } from '../roster/schema.ts';

/** The shares of one generation, as people are asked for them. */
export interface ShareSet {
  /** For people: `the shares`, `the old shares`, `the new shares`. */
  readonly name: string;
  /** Without one, shares are taken as they come (an accepted exception). */
  readonly roster?: Roster;
}

/** The shares that open the cluster before a ceremony. */
export function presentShares(run: Pick<Run, 'roster'>, name: string): ShareSet {
  return run.roster === undefined ? { name } : { name, roster: run.roster };
}

export function isSingle({ roster }: ShareSet, required: number): boolean {
  return roster === undefined ? required === 1 : shareCount(roster) === 1;
}

/** A run whose people are asked for the shares of this set. */
export function asking(run: Run, { name, roster }: ShareSet): Run {
  const holders = roster?.shares.map(({ holder }) => holder);
  const people: Run['people'] = {
    ...run.people,
    nextShare: (request) =>
      run.people.nextShare({ ...request, wanted: name, ...(holders === undefined ? {} : { holders }) }),
  };
  return {
    ...run,
    people,
    get events() {
      return run.events;
    },
  };
}

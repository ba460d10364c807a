import { isQuorateError, QuorateError } from '../../../errors.ts';
import type { Run } from '../../kind.ts';
import { surveyPeers } from '../../survey.ts';
import type { Left } from '../../unseal/takers.ts';

/** Gives shares to what is sealed in one cluster or namespace. */
export type Open = (run: Run) => Promise<readonly Left[]>;

/** Parents before what lies in them: a namespace in a sealed one can be neither seen nor unsealed. */
export function parentsFirst(namespaces: readonly string[]): readonly string[] {
  const depth = (path: string): number => path.split('/').length;
  return namespaces.toSorted((one, other) => depth(one) - depth(other));
}

/**
 * Unseals namespaces of an unsealed cluster, one after the other, each with its own custodians. One that cannot be
 * unsealed does not stop the others.
 * @returns those that are not wholly unsealed, and why.
 */
export async function openNamespaces(run: Run, namespaces: readonly string[], open: Open): Promise<readonly Left[]> {
  const left: Left[] = [];
  for (const namespace of parentsFirst(namespaces)) {
    try {
      const inside = await enter(run, namespace);
      if (await isOpen(inside)) {
        await run.record({ event: 'note', text: `the namespace ${namespace} is unsealed` });
        continue;
      }
      run.people.say(`namespace ${namespace}`);
      await run.record({ event: 'note', text: `the namespace ${namespace} is unsealed next` });
      const behind = await open(inside);
      left.push(
        ...behind.map(({ peer, why }) => ({ peer: namespace, why: peer === namespace ? why : `${peer}: ${why}` })),
      );
    } catch (error) {
      if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
      run.people.say(`${namespace}: ${error.message}`);
      left.push({ peer: namespace, why: error.message });
    }
  }
  return left;
}

export async function allOpen(run: Run, namespaces: readonly string[]): Promise<boolean> {
  for (const namespace of namespaces) if (!(await isOpen(await enter(run, namespace)))) return false;
  return true;
}

async function isOpen(run: Run): Promise<boolean> {
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  return surveys.every(({ state }) => state === 'active' || state === 'standby');
}

async function enter(run: Run, namespace: string): Promise<Run> {
  if (run.enter === undefined) throw new QuorateError('bug', 'this ceremony cannot go on to namespaces');
  const { roster: _, ...rest } = run;
  const place = await run.enter(namespace);
  // Without a roster it is not the cluster's custodians who are asked by name.
  const holders = place.roster?.shares.map(({ holder }) => holder) ?? [];
  const nextShare: Run['people']['nextShare'] = (request) => run.people.nextShare({ holders, ...request });
  return {
    ...rest,
    ...place,
    people: { ...run.people, nextShare },
    get events() {
      return run.events;
    },
  };
}

import { isQuorateError } from '../../errors.ts';
import { askUntil } from '../by-hand.ts';
import type { Run } from '../kind.ts';
import { describeState, type PeerSurvey, surveyPeers } from '../survey.ts';
import { named } from '../unseal/target.ts';
import { type SealedPeer, unsealPeers } from '../unseal/unsealing.ts';
import { asking, type ShareSet } from './share-set.ts';

const JOIN_TIMEOUT = 60_000;
const LOOK_TIMEOUT = 5000;
const REOPENED = 'reopened';

/** From how many open peers on there is nothing to open again: any, or as many as can elect a leader. */
export type Enough = 'one' | 'a majority';

/**
 * After a crash that left too few peers open: what was in the servers' memory is gone, and with it both repairs, so
 * that starting and unsealing them can harm nothing any more. People start what is down. Then the sets are tried one
 * after the other on every sealed peer; a set that is wrong is refused, and changes nothing.
 * @returns `opened` when shares opened one; `waiting` when enough are open already, or no share opens the seal;
 *   `refused` when no set opens any.
 * @throws QuorateError `not-ready` when nobody starts them.
 */
export async function reopen(
  run: Run,
  sets: readonly ShareSet[],
  enough: Enough = 'one',
): Promise<'opened' | 'waiting' | 'refused'> {
  if (await areOpen(run, enough)) return 'waiting';
  run.people.say('');
  const which = (await areOpen(run, 'one')) ? 'Too few peers' : 'No peer';
  run.people.say(
    `!!  ${which} of ${run.cluster.name} ${which === 'No peer' ? 'is' : 'are'} open any more. The data on their disks decides now.`,
  );
  await startThoseThatAreDown(run);
  if (sets.length === 0 || (await areOpen(run, enough))) return 'waiting';
  const opened = await openSealed(run, sets);
  return opened.size > 0 ? 'opened' : 'refused';
}

/**
 * Tries the sets one after the other on every peer that is sealed.
 * @returns the peers that are open now, and the name of the set that did it.
 */
export async function openSealed(run: Run, sets: readonly ShareSet[]): Promise<ReadonlyMap<string, string>> {
  const opened = new Map<string, string>();
  for (const set of sets) {
    const sealed = (await look(run)).flatMap(({ state, peer, seal }): SealedPeer[] =>
      state === 'sealed' && seal !== undefined ? [{ peer, seal }] : [],
    );
    if (sealed.length === 0) break;
    const names = sealed.map(({ peer }) => peer.name).join(', ');
    run.people.say(`  Trying ${set.name} on ${names}; if they are not live they are refused, and nothing changes.`);
    const open = await tryOn(run, sealed, set);
    for (const name of open) opened.set(name, set.name);
    const finding = open.length === 0 ? `${set.name} open none of ${names}` : `${set.name} open ${open.join(', ')}`;
    await run.record({ event: 'check', code: REOPENED, ok: open.length > 0, finding: finding.slice(0, 390) });
    run.people.say(`  ${finding}`);
  }
  return opened;
}

/** Whether enough peers are open. */
export async function areOpen(run: Run, enough: Enough): Promise<boolean> {
  const surveys = await look(run);
  const open = surveys.filter(isOpen).length;
  return enough === 'one' ? open > 0 : open * 2 > surveys.length;
}

function look(run: Run): Promise<readonly PeerSurvey[]> {
  return surveyPeers(run.cluster.peers, { signal: run.signal, timeout: LOOK_TIMEOUT });
}

function isOpen({ state }: PeerSurvey): boolean {
  return state === 'active' || state === 'standby';
}

/** As many as lead a cluster are enough: one may be beyond help. */
async function startThoseThatAreDown(run: Run): Promise<void> {
  const mute = (surveys: readonly PeerSurvey[]): readonly PeerSurvey[] =>
    surveys.filter(({ state }) => state === 'unreachable');
  const down = mute(await look(run));
  if (down.length === 0) return;
  const names = down.map(({ peer }) => peer.name).join(', ');
  await askUntil(run, {
    say: `Start the servers that are down, with the data that they have: ${names}. Leave alone what runs.`,
    async why() {
      const left = mute(await look(run));
      if (left.length * 2 < run.cluster.peers.length) return undefined;
      return left.map((one) => named(one.peer.name, describeState(one))).join('; ');
    },
  });
}

/** The names of the peers that the set opened. */
async function tryOn(run: Run, sealed: readonly SealedPeer[], set: ShareSet): Promise<readonly string[]> {
  const once = asking(run, set);
  const refused: Run['people']['refused'] = (error) =>
    error.code === 'shares-wrong' ? Promise.reject(error) : run.people.refused(error);
  const deciding: Run = {
    ...once,
    people: { ...once.people, refused },
    get events() {
      return run.events;
    },
  };
  try {
    await unsealPeers(deciding, sealed, {
      ...(set.roster === undefined ? {} : { roster: set.roster }),
      unlistedShare: false,
      joinTimeout: JOIN_TIMEOUT,
    });
  } catch (error) {
    if (!isQuorateError(error, 'shares-wrong')) throw error;
  }
  const open = (await look(run)).filter(isOpen).map(({ peer }) => peer.name);
  return sealed.map(({ peer }) => peer.name).filter((name) => open.includes(name));
}

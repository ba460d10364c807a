import { setTimeout as sleep } from 'node:timers/promises';
import { QuorateError } from '../../errors.ts';
import type { Run } from '../kind.ts';
import { surveyPeers } from '../survey.ts';

const APPLY = 60_000;
const POLL = 250;

/**
 * Waits until every unsealed peer has applied what the leader has committed by now. A follower that is restarted
 * before that wakes up in the old state, and opens with the old shares (OpenBao 2.7.2).
 * @param every a peer that is sealed or does not answer is a fault too.
 * @throws QuorateError `not-ready`.
 */
export async function waitUntilApplied(run: Pick<Run, 'cluster' | 'signal'>, every: boolean): Promise<void> {
  const deadline = Date.now() + APPLY;
  let target: number | undefined;
  for (;;) {
    const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
    const leader = surveys.find(({ state }) => state === 'active')?.leader;
    target ??= leader?.committedIndex ?? leader?.appliedIndex;
    const behind = surveys.filter(({ state, leader: own }) => {
      if (state !== 'active' && state !== 'standby') return every;
      return target !== undefined && own?.appliedIndex !== undefined && own.appliedIndex < target;
    });
    // Storage other than Raft has one state for all.
    if (leader !== undefined && behind.length === 0) return;
    if (Date.now() > deadline) {
      const names = behind.map(({ peer }) => peer.name).join(', ');
      throw new QuorateError('not-ready', `${names === '' ? 'no leader' : names}: not at the state of the rotation`, {
        hint: 'Do not restart these peers, and destroy no old shares, before they have caught up. Then resume.',
      });
    }
    await sleep(POLL, undefined, { signal: run.signal });
  }
}

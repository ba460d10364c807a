import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { isQuorateError, QuorateError } from '../../../errors.ts';
import { readText, replaceFile } from '../../../files.ts';
import type { Run, Step } from '../../kind.ts';
import { parseRoster, renderRoster } from '../../roster/roster.ts';
import type { Roster } from '../../roster/schema.ts';
import { provedEntries, provedShares } from '../../proving.ts';
import type { InitScript } from './script.ts';

export const ROSTER_FILE = 'roster.yaml';

/** The roster's first generation, from the custodians' proofs; `clusterId` is known once a peer is unsealed. */
export function rosterOfProofs(
  script: InitScript,
  run: Pick<Run, 'events' | 'cluster'>,
  recovery: boolean,
  clusterId?: string,
): Roster {
  return {
    cluster: run.cluster.name,
    ...(clusterId === undefined ? {} : { 'cluster-id': clusterId }),
    generation: 1,
    threshold: script.threshold,
    seal: recovery ? 'recovery' : 'shamir',
    shares: [...provedEntries(script.custodians, provedShares(run.events))],
    previous: [],
  };
}

/** Writes the roster that people review, commit and sign. */
export function rosterStep(script: InitScript): Step {
  return {
    id: 'roster',
    title: 'write the roster: who holds which share, by fingerprint',
    who: 'administrator',
    async done(run) {
      const text = await readText(join(run.folder, ROSTER_FILE)).catch((error: unknown) => {
        if (isQuorateError(error, 'file-missing')) return undefined;
        throw error;
      });
      if (text === undefined) return false;
      const roster = parseRoster(text, ROSTER_FILE);
      if (!run.events.some(({ event }) => event === 'roster')) return false;
      if (roster.shares.length === script.shares) return true;
      throw new QuorateError('roster-invalid', `${ROSTER_FILE} does not hold ${script.shares.toString()} shares`);
    },
    async run(run) {
      const [peer] = run.cluster.peers;
      const seal = await peer?.sealStatus({ signal: run.signal });
      if (seal?.clusterId === undefined)
        throw new QuorateError('sealed', 'the first peer does not tell its cluster id');
      const text = renderRoster(rosterOfProofs(script, run, seal.recoverySeal, seal.clusterId));
      // In one step: an interruption leaves none, or a whole one that is the same when it is made again.
      await replaceFile(join(run.folder, ROSTER_FILE), text);
      await run.record({
        event: 'roster',
        generation: 1,
        file: ROSTER_FILE,
        digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
      });
    },
  };
}

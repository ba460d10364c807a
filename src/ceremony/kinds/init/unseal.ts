import { join } from 'node:path';
import { isQuorateError, QuorateError } from '../../../errors.ts';
import { readSecretFile } from '../../../files.ts';
import type { Run, Step } from '../../kind.ts';
import { describeState, type PeerSurvey, surveyPeers } from '../../survey.ts';
import { assertOneCluster } from '../../unseal/identity.ts';
import { takersOf, waitForFollowers } from '../../unseal/takers.ts';
import { unsealPeers } from '../../unseal/unsealing.ts';
import { shareFile } from './initialise.ts';
import { rosterOfProofs } from './roster.ts';
import type { InitScript } from './script.ts';

/** A Raft peer joins some seconds after the first is unsealed; a slow disk may take longer. */
export const JOIN_TIMEOUT = 60_000;

/** The shares that were issued open the cluster, on every peer. */
export function unsealStep(script: InitScript): Step {
  return {
    id: 'unseal',
    title:
      script.namespace === undefined
        ? `${script.threshold.toString()} custodians unseal all peers; all show one cluster id`
        : `${script.threshold.toString()} custodians unseal the namespace on the active peer; the others follow`,
    who: 'custodians',
    async done(run) {
      const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
      if (!surveys.every(({ state }) => state === 'active' || state === 'standby')) return false;
      // All open is not enough: a ceremony that stopped because they are of two clusters must stop again.
      await assertOneCluster(run, run.cluster.peers);
      return true;
    },
    async run(run) {
      const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
      const [first] = surveys;
      if (first?.seal !== undefined && first.seal.type !== 'shamir') {
        await waitForAutoUnseal(run);
      } else {
        refuseOtherNumbers(script, surveys);
        const { sealed } = await takersOf(run, surveys, { joining: true });
        const { left } = await unsealPeers(
          script['insecure-plain-shares'] ? withPlainShares(run, script) : withIssuedShares(run, script),
          sealed,
          {
            roster: rosterOfProofs(script, run, false),
            unlistedShare: false,
            joinTimeout: JOIN_TIMEOUT,
            hold: true,
          },
        ).catch(async (error: unknown) => {
          if (isQuorateError(error, 'shares-wrong')) await refuseApart(run);
          throw error;
        });
        if (left.length > 0) await refuseApart(run);
        const behind = left.length > 0 ? left : await waitForFollowers(run, JOIN_TIMEOUT);
        if (behind.length > 0) throw stillSealed(behind);
      }
      await assertOneCluster(run, run.cluster.peers);
    },
  };
}

/** Custodians are asked by name, and their issued files lie beside the record. */
function withIssuedShares(run: Run, script: InitScript): Run {
  const holders = script.custodians.map(({ name }) => name);
  const issued = new Map(holders.map((name) => [name, join(run.folder, shareFile(script, name))]));
  const nextShare: Run['people']['nextShare'] = (request) => run.people.nextShare({ ...request, holders, issued });
  return { ...run, people: { ...run.people, nextShare } };
}

/** In a lab's init the shares lie in clear beside the record: nobody needs to copy them. */
function withPlainShares(run: Run, script: InitScript): Run {
  const files = script.custodians.map(({ name }) => ({ name, file: join(run.folder, shareFile(script, name)) }));
  const nextShare: Run['people']['nextShare'] = async (request) => {
    const next = files.shift();
    if (next === undefined) return run.people.nextShare(request);
    return { text: await readSecretFile(next.file), who: next.name, how: 'the lab file' };
  };
  return { ...run, people: { ...run.people, nextShare } };
}

/** A peer that wants other numbers of shares cannot be of this cluster, and would only take in shares that are not its own. */
function refuseOtherNumbers(script: InitScript, surveys: readonly PeerSurvey[]): void {
  const other = surveys.filter(
    ({ state, seal }) => state === 'sealed' && (seal?.shares !== script.shares || seal.threshold !== script.threshold),
  );
  if (other.length === 0) return;
  const names = other.map(({ peer }) => peer.name).join(', ');
  const numbers = `${script.threshold.toString()} of ${script.shares.toString()}`;
  throw new QuorateError('cluster-mismatch', `${names} does not want ${numbers} shares, as this init has made them`, {
    hint: apartHint(names),
  });
}

function apartHint(names: string): string {
  return `Initialised apart: stop ${names}, wipe its storage, start it so that it joins, and resume.`;
}

/** The shares of this init open the peer that made them. One that they do not open was initialised by somebody else. */
async function refuseApart(run: Run): Promise<void> {
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  const [first] = surveys;
  if (first?.state !== 'active' && first?.state !== 'standby') return;
  const wrong = new Set(
    run.events.flatMap((one) => (one.event === 'share.refused' && one.reason === 'shares-wrong' ? [one.peer] : [])),
  );
  const apart = surveys.filter(({ peer, state }) => state === 'sealed' && wrong.has(peer.name));
  if (apart.length === 0) return;
  const names = apart.map(({ peer }) => peer.name).join(', ');
  throw new QuorateError(
    'cluster-mismatch',
    `the shares of this init open ${first.peer.name} (cluster ${first.seal?.clusterId ?? 'unknown'}) and not ${names}`,
    { hint: apartHint(names) },
  );
}

async function waitForAutoUnseal(run: Run): Promise<void> {
  const deadline = Date.now() + JOIN_TIMEOUT;
  await run.people.progress('waiting for the seal to open the peers', async () => {
    for (;;) {
      const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
      const waiting = surveys.filter(({ state }) => state !== 'active' && state !== 'standby');
      if (waiting.length === 0) return;
      if (Date.now() > deadline) {
        throw stillSealed(waiting.map((survey) => ({ peer: survey.peer.name, why: describeState(survey) })));
      }
      await new Promise((wake) => setTimeout(wake, 500));
    }
  });
}

function stillSealed(left: readonly { readonly peer: string; readonly why: string }[]): QuorateError {
  return new QuorateError('not-ready', left.map(({ peer, why }) => `${peer}: ${why}`).join('; '), {
    hint: 'Mend what keeps the peer, then resume the ceremony.',
  });
}

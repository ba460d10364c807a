import { QuorateError } from '../../../errors.ts';
import type { Peer } from '../../../vault/peer.ts';
import type { Run, Step } from '../../kind.ts';
import type { Roster } from '../../roster/schema.ts';
import { asking } from '../../rotation/share-set.ts';
import { sealOf, surveyPeer } from '../../survey.ts';
import { assertOneCluster } from '../../unseal/identity.ts';
import { unsealPeers } from '../../unseal/unsealing.ts';
import { wantsOf } from '../unseal.ts';
import { JOIN_TIMEOUT } from '../init/unseal.ts';
import { askUntil } from '../../by-hand.ts';
import type { RecoverScript } from './script.ts';
import { chosenPeer, oldRoster, tornRotation } from './source.ts';

const OLD_SEAL = 'old-seal';
const LOOK_TIMEOUT = 5000;

/** Only a restart drops the throwaway key from the peer's memory (OpenBao 2.7.2: its seal status stays until then). */
export function restartStep(script: RecoverScript): Step {
  return {
    id: 'restart',
    title: 'the peer is restarted, and is sealed under the old shares',
    who: 'administrator',
    done: (run) => Promise.resolve(run.events.some((one) => one.event === 'check' && one.code === OLD_SEAL && one.ok)),
    async run(run) {
      const peer = chosenPeer(run, script);
      const roster = await rosterOf(run, script);
      await askUntil(run, {
        say: `Restart the server of ${peer.name}, and no other, and leave it sealed.`,
        why: () => whyNotOldSeal(run, peer, roster),
      });
      await run.record({
        event: 'check',
        code: OLD_SEAL,
        ok: true,
        finding: `${peer.name} is sealed, and wants as many shares as the roster of generation ${roster.generation.toString()} has`,
      });
    },
  };
}

async function whyNotOldSeal(run: Run, peer: Peer, roster: Roster): Promise<string | undefined> {
  const seal = await sealOf(peer, { signal: run.signal, timeout: LOOK_TIMEOUT });
  if (seal === undefined) return `${peer.name} does not answer`;
  if (!seal.initialised) return `${peer.name} is not initialised: it was started with another data folder`;
  if (!seal.sealed) return `${peer.name} is not sealed: it was not restarted`;
  const odd = wantsOf([{ peer, seal }], roster)(seal);
  return odd === undefined ? undefined : `${peer.name} ${odd}`;
}

/** The old shares, each compared with the roster before it is sent. */
export function unsealStep(script: RecoverScript): Step {
  return {
    id: 'unseal',
    title: 'custodians give their old shares, checked by the roster; the peer opens',
    who: 'custodians',
    async done(run) {
      const { state } = await surveyPeer(chosenPeer(run, script), { signal: run.signal });
      return state === 'active' || state === 'standby';
    },
    async run(run) {
      const peer = chosenPeer(run, script);
      const roster = await rosterOf(run, script);
      const seal = await peer.sealStatus({ signal: run.signal });
      if (!seal.sealed) return;
      const { left } = await unsealPeers(asking(run, { name: 'the old shares', roster }), [{ peer, seal }], {
        roster,
        unlistedShare: false,
        joinTimeout: JOIN_TIMEOUT,
      });
      const [still] = left;
      if (still === undefined) return;
      throw new QuorateError('not-ready', `${still.peer}: ${still.why}`, {
        hint: 'Resume the ceremony with more of the old shares.',
      });
    },
  };
}

/** It is the cluster that was lost, and not another that these shares happen to open. */
export function identityStep(script: RecoverScript): Step {
  return {
    id: 'identity',
    title: "the peer shows the old cluster's id",
    who: 'administrator',
    // Asked anew in each sitting: it costs one look.
    done: () => Promise.resolve(false),
    async run(run) {
      const torn = await tornRotation(run, script);
      const roster = await oldRoster(run, script, torn);
      await assertOneCluster(run, [chosenPeer(run, script)], roster['cluster-id'] ?? torn.clusterId);
    },
  };
}

async function rosterOf(run: Run, script: RecoverScript): Promise<Roster> {
  return oldRoster(run, script, await tornRotation(run, script));
}

import { setTimeout as sleep } from 'node:timers/promises';
import { QuorateError } from '../../errors.ts';
import type { Peer, SealStatus } from '../../vault/peer.ts';
import type { Run, Step } from '../kind.ts';
import { sealOf, surveyPeers } from '../survey.ts';
import { unsealPeers } from '../unseal/unsealing.ts';
import { waitUntilApplied } from './applied.ts';
import { currentAttempt } from './attempt.ts';
import { shareDrill } from './drill.ts';
import { lostSets } from './find-live.ts';
import { newShares, type Plan } from './plan.ts';
import { reopen } from './reopen.ts';
import { asking } from './share-set.ts';

const SEALED_WITHIN = 60_000;
const JOIN_TIMEOUT = 60_000;
const POLL = 500;
const ASKS = 5;
const LOOK_TIMEOUT = 5000;
const COLD = 'cold';

/** The proof that counts: a peer that knows nothing but its disk opens with the new shares. */
export function coldStep(plan: Plan): Step {
  const which = plan.cold ?? 'one standby';
  return {
    id: 'cold',
    title: `${which} is restarted and unsealed cold with the new shares`,
    who: 'administrator, custodians',
    done: coldProved,
    run: (run) => coldUnseal(run, plan),
  };
}

/** Recovery shares unseal nothing: a drill with them is the proof. */
export function liveStep(plan: Plan): Step {
  return {
    id: 'live',
    title: 'a share drill shows that the new shares are live',
    who: 'custodians',
    done: coldProved,
    async run(run) {
      const { givers } = await shareDrill(run, plan.purpose, newShares(run, plan));
      await recordProof(run, `a share drill took the new shares of ${givers.join(', ')}`);
    },
  };
}

/** Whether a restarted peer has shown that what is new opens it. */
export function coldProved(run: Run): Promise<boolean> {
  const events = currentAttempt(run.events)?.events ?? [];
  return Promise.resolve(events.some((event) => event.event === 'check' && event.code === COLD && event.ok));
}

/** Records that proof. */
export function recordProof(run: Run, finding: string): Promise<void> {
  return run.record({ event: 'check', code: COLD, ok: true, finding: finding.slice(0, 390) });
}

async function coldUnseal(run: Run, plan: Plan): Promise<void> {
  // A crash of all peers since the last call: what they know now is from their disks alone.
  const crashed = await reopen(run, [newShares(run, plan)]);
  if (crashed === 'refused') throw lostSets(run);
  await waitUntilApplied(run, false);
  if (crashed === 'opened') {
    await recordProof(run, 'all peers were down, and the new shares alone opened what is open now');
    run.people.say('  proved by a cold unseal after a crash: the NEW shares are live');
    return;
  }
  const peer = await choosePeer(run, plan);
  const seal = await sealedPeer(run, peer);
  const set = newShares(run, plan);
  if (seal.threshold !== plan.threshold || seal.shares !== plan.shares) {
    throw new QuorateError(
      'not-ready',
      `${peer.name} wants ${seal.threshold.toString()} of ${seal.shares.toString()} shares: it missed the rotation`,
      { hint: 'It opens with the old shares only. Unseal it with these, let it catch up, and resume.' },
    );
  }
  const { left } = await unsealPeers(asking(run, set), [{ peer, seal }], {
    ...(set.roster === undefined ? {} : { roster: set.roster }),
    unlistedShare: false,
    joinTimeout: JOIN_TIMEOUT,
  });
  const [still] = left;
  if (still !== undefined) {
    throw new QuorateError('not-ready', `${still.peer}: ${still.why}`, {
      hint: 'Resume the ceremony with more shares.',
    });
  }
  await recordProof(run, `${peer.name} was restarted, and unsealed with nothing but the new shares`);
  run.people.say(`  proved by a cold unseal of ${peer.name}: the NEW shares are live`);
}

/** The script's peer; else one that is sealed already, by an interruption of this step; else a standby. */
export async function choosePeer(run: Run, plan: Pick<Plan, 'cold'>): Promise<Peer> {
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  const named = plan.cold === undefined ? undefined : surveys.find(({ peer }) => peer.name === plan.cold);
  const sealed = surveys.find(({ state }) => state === 'sealed');
  const standby = surveys.findLast(({ state }) => state === 'standby');
  const chosen = named ?? sealed ?? standby ?? surveys[0];
  if (chosen === undefined) throw new QuorateError('bug', 'a cluster without peers');
  return chosen.peer;
}

/** People restart it; quorate sees for itself that it is sealed. */
async function sealedPeer(run: Run, peer: Peer): Promise<SealStatus> {
  for (let asked = 0; asked < ASKS; asked += 1) {
    const seal = await sealOf(peer, { signal: run.signal, timeout: LOOK_TIMEOUT });
    if (seal?.sealed === true) return seal;
    const say = `Restart the server of ${peer.name}, and no other, and leave it sealed.`;
    const fields = await run.people.act({ say, fields: [] });
    await run.record({ event: 'people', say, fields: { ...fields } });
    const deadline = Date.now() + SEALED_WITHIN;
    while (Date.now() < deadline) {
      const now = await sealOf(peer, { signal: run.signal, timeout: LOOK_TIMEOUT });
      if (now?.sealed === true && now.initialised) return now;
      // Still open: it was not restarted.
      if (now?.sealed === false && Date.now() > deadline - SEALED_WITHIN + 5000) break;
      await sleep(POLL, undefined, { signal: run.signal });
    }
    run.people.say(`  ${peer.name} is not sealed.`);
  }
  throw new QuorateError('not-ready', `${peer.name} was not restarted`, {
    hint: 'Restart it and resume the ceremony.',
  });
}

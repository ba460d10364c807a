import { setTimeout as sleep } from 'node:timers/promises';
import { QuorateError } from '../../errors.ts';
import { askForShare, type Given } from '../asking.ts';
import type { Run, Step } from '../kind.ts';
import { withActive } from '../lock-steps.ts';
import type { GivenShare } from '../people.ts';
import { shareText } from '../share.ts';
import { surveyPeers } from '../survey.ts';
import { takersOf, waitForFollowers } from '../unseal/takers.ts';
import { unsealPeers } from '../unseal/unsealing.ts';
import { waitUntilApplied } from './applied.ts';
import { coldProved, recordProof } from './cold.ts';
import { shareDrill } from './drill.ts';
import { newShares, type Plan } from './plan.ts';
import { asking, isSingle, type ShareSet } from './share-set.ts';

const FOLLOW_TIMEOUT = 60_000;
const SEALED_WITHIN = 10_000;
const POLL = 250;

/**
 * The cold proof in a namespace. A standby that restarts follows the leader into it without any share (OpenBao 2.7.2),
 * so that it would prove nothing: the namespace itself is sealed, and opened with the new shares. They are all at hand,
 * and a drill has shown them to be live, before it is sealed: it is away for a moment only.
 */
export function innerColdStep(plan: Plan, namespace: string): Step {
  return {
    id: 'cold',
    title: `with the new shares at hand and shown to be live, ${namespace} is sealed, and unsealed cold with them`,
    who: 'custodians',
    done: coldProved,
    run: (run) => coldUnseal(run, plan, namespace),
  };
}

async function coldUnseal(run: Run, plan: Plan, namespace: string): Promise<void> {
  const set = newShares(run, plan);
  const held: Given[] = [];
  try {
    // Sealed already: an interruption of this step.
    if ((await takersOf(run, await surveyPeers(run.cluster.peers, { signal: run.signal }))).sealed.length === 0) {
      await waitUntilApplied(run, true);
      // Custodians apart keep theirs: what the drill takes from them is at hand.
      if (run.apart === undefined) await gather(run, set, plan, held);
      const { opens } = await shareDrill(replaying(run, held), plan.purpose, set, { refusalIsAnswer: true });
      if (!opens) {
        throw new QuorateError('shares-wrong', `the new shares do not open ${namespace}; it was not sealed`, {
          hint: 'Seal and restart nothing, and keep both sets of shares. Resume the ceremony.',
        });
      }
      await seal(run, namespace);
    }
    await unseal(replaying(run, held), set, plan, namespace);
  } finally {
    for (const { share } of held.splice(0)) share.bytes.wipe();
  }
  await recordProof(run, `${namespace} was sealed, and unsealed with nothing but the new shares`);
  run.people.say(`  proved by a cold unseal of ${namespace}: the NEW shares are live`);
  const [behind] = await waitForFollowers(run, FOLLOW_TIMEOUT);
  if (behind === undefined) return;
  throw new QuorateError('not-ready', `${behind.peer}: ${behind.why}`, {
    hint: 'Mend what keeps it from following the leader, then resume the ceremony.',
  });
}

/** As many new shares as it takes, each checked against its fingerprint, and given to nobody yet. */
async function gather(run: Run, set: ShareSet, { threshold }: Plan, held: Given[]): Promise<void> {
  while (held.length < threshold) {
    const given = await askForShare(
      asking(run, set),
      {
        needed: threshold,
        given: held.length,
        ...(set.roster === undefined ? {} : { shares: set.roster.shares.length }),
        present: held.flatMap(({ admission }) => admission.holder ?? []),
        peers: [],
        single: isSingle(set, threshold),
        taken: new Set(held.map(({ share }) => share.x)),
      },
      { unlistedShare: false, ...(set.roster === undefined ? {} : { roster: set.roster }) },
    );
    if (given === null) {
      throw new QuorateError('ceremony-interrupted', 'too few new shares are at hand; nothing was sealed', {
        hint: 'Resume the ceremony when those who hold them are there.',
      });
    }
    held.push(given);
  }
}

/** People who give what is held, in their order; after that they are asked. */
function replaying(run: Run, held: readonly Given[]): Run {
  const left = [...held];
  const nextShare: Run['people']['nextShare'] = async (request): Promise<GivenShare | null> => {
    const next = left.shift();
    return next === undefined ? run.people.nextShare(request) : { text: shareText(next.share), how: 'held' };
  };
  return {
    ...run,
    people: { ...run.people, nextShare },
    get events() {
      return run.events;
    },
  };
}

async function seal(run: Run, namespace: string): Promise<void> {
  await run.record({ event: 'note', text: `about to seal ${namespace}, for the cold proof` });
  await withActive(run, async (session) => {
    const { peer } = session;
    const { status } = await session.inNamespace('').request('POST', peer.sealPath, {});
    await run.record({ event: 'write', peer: peer.name, request: `POST ${peer.sealPath}`, fields: [], status });
    const deadline = Date.now() + SEALED_WITHIN;
    while (!(await peer.sealStatus({ signal: run.signal })).sealed) {
      if (Date.now() > deadline) {
        throw new QuorateError('not-ready', `${namespace} is still unsealed (status ${status.toString()})`, {
          hint: `The login needs update on ${peer.sealPath}. Resume the ceremony.`,
        });
      }
      await sleep(POLL, undefined, { signal: run.signal });
    }
  });
}

async function unseal(run: Run, set: ShareSet, plan: Plan, namespace: string): Promise<void> {
  const { sealed, away } = await takersOf(run, await surveyPeers(run.cluster.peers, { signal: run.signal }));
  for (const { seal: wants } of sealed) {
    if (wants.threshold === plan.threshold && wants.shares === plan.shares) continue;
    const numbers = `${wants.threshold.toString()} of ${wants.shares.toString()}`;
    throw new QuorateError('not-ready', `${namespace} wants ${numbers} shares: those from before the rotation`, {
      hint: `quorate unseal --namespace ${namespace} with the old shares. Then resume the ceremony.`,
    });
  }
  const { left } = await unsealPeers(asking(run, set), sealed, {
    ...(set.roster === undefined ? {} : { roster: set.roster }),
    unlistedShare: false,
    joinTimeout: FOLLOW_TIMEOUT,
    absent: away,
  });
  const [still] = left;
  if (still === undefined) return;
  throw new QuorateError('not-ready', `${namespace} is sealed: ${still.why}`, {
    hint: 'Resume the ceremony with more of the new shares.',
  });
}

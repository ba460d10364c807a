import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Run, Step } from '../kind.ts';
import { restartByHand } from '../restart.ts';
import type { CommonScript } from '../script.ts';
import { describeState, surveyPeer } from '../survey.ts';
import { assertOneCluster } from '../unseal/identity.ts';
import { rotateAnew } from './anew.ts';
import { waitUntilApplied } from './applied.ts';
import { currentAttempt, recordLastCall } from './attempt.ts';
import { choosePeer, coldProved, recordProof } from './cold.ts';
import { collectShares, withOperation } from './collect.ts';
import { mustBeUnderWay, type Plan } from './plan.ts';
import { PASSING, recordLive, warn, withLeader } from './settle.ts';
import { presentShares } from './share-set.ts';
import { takeSnapshot } from './snapshot.ts';
import { locked, openStep } from './steps.ts';
import { sweep } from './sweep.ts';
import { assertReady } from './verify-step.ts';

/**
 * A new root key under a seal that opens itself. The server issues no shares then and refuses verification (OpenBao
 * 2.7.2): recovery shares authorise it, the last of them takes effect, and a restart is the proof.
 */

type AutoPlan = Pick<Plan, 'snapshot' | 'cold'>;

const TRIES = 20;
const POLL = 1000;
const OPENS_WITHIN = 60_000;

const LIMITS = [
  'The recovery shares are the same as before. A snapshot from before this rotation is opened by the key of the seal, as ever.',
  'Until the keyring is rotated, whoever had the old root key can read data written under the present term: after a compromise run rotate-keyring too.',
];

/** The steps, in the order in which they are printed and run. */
export function autoRootSteps(plan: AutoPlan, script: CommonScript): readonly Step[] {
  return locked(script, [openStep(script), rotateStep(plan), settleStep(plan), restartStep(plan), finishStep()]);
}

function rotateStep(plan: AutoPlan): Step {
  return {
    id: 'rotate',
    title: 'custodians give their recovery shares; right before the last a snapshot is taken; no shares are issued',
    who: 'custodians',
    done: (run) => Promise.resolve(currentAttempt(run.events)?.lastCallSent === true),
    run: (run) => rotate(run, plan),
  };
}

async function rotate(run: Run, plan: AutoPlan): Promise<void> {
  const request = { shares: 1, threshold: 1, pgpKeys: [], backup: false, issuesNothing: true };
  await withOperation(run, 'rotate-root-key', 'rotation', request, async (collection) => {
    const outcome = await collectShares(run, collection, presentShares(run, 'the recovery shares'), {
      beforeLast: async () => {
        await assertReady(run, collection.leadership);
        const { events } = mustBeUnderWay(run);
        if (!events.some(({ event }) => event === 'snapshot')) await takeSnapshot(run, plan);
        await recordLastCall(run, collection.leadership);
      },
    });
    if (outcome.kind !== 'complete' || outcome.issued === undefined) return;
    if (outcome.issued.shares.length > 0) {
      throw new QuorateError('server-response', `${collection.operation.peer} issued shares that nobody asked for`);
    }
    await recordLive(
      run,
      { set: 'new', by: 'the reply' },
      'the server answered 200 to the last recovery share: the NEW root key is in force',
    );
  });
}

function settleStep(plan: AutoPlan): Step {
  return {
    id: 'settle',
    title: 'that the new root key is in force is known, and repaired where its write was torn',
    who: 'administrator',
    done: (run) => Promise.resolve(currentAttempt(run.events)?.live !== undefined),
    run: (run) => settle(run, plan),
  };
}

async function settle(run: Run, plan: AutoPlan): Promise<void> {
  const attempt = mustBeUnderWay(run);
  if (attempt.live !== undefined) return;
  warn(run, attempt.events);
  for (let tries = 1; ; tries += 1) {
    try {
      // Where there is no such call for this login, the recovery shares are given again.
      if ((await withLeader(run, (leadership) => rotateAnew(run, leadership))) === 'done') {
        await sweep(run, { tolerate: true });
        break;
      }
      await rotate(run, plan);
      if (currentAttempt(run.events)?.live !== undefined) return;
    } catch (error) {
      if (!isQuorateError(error) || !PASSING.has(error.code) || tries >= TRIES) throw error;
      run.people.say(`  ${error.message}. Trying again; restart and seal nothing.`);
      await run.record({ event: 'note', text: `settling: ${error.code}; trying again` });
      await sleep(POLL, undefined, { signal: run.signal });
    }
  }
  run.people.say('  repaired: the root key was rotated once more, and is in force');
  await recordLive(
    run,
    { set: 'new', by: 'rotating the root key once more' },
    'the root key was rotated once more, in one call with a plain answer: it is in force',
  );
}

function restartStep(plan: AutoPlan): Step {
  return {
    id: 'cold',
    title: `${plan.cold ?? 'one standby'} is restarted, and unseals itself with the new root key`,
    who: 'administrator',
    done: coldProved,
    async run(run) {
      await waitUntilApplied(run, false);
      const peer = await choosePeer(run, plan);
      await restartByHand(run, peer, `Restart the server of ${peer.name}, and no other.`);
      const deadline = Date.now() + OPENS_WITHIN;
      for (;;) {
        const survey = await surveyPeer(peer, { signal: run.signal, timeout: 5000 });
        if (survey.state === 'active' || survey.state === 'standby') break;
        if (Date.now() > deadline) {
          throw new QuorateError(
            'not-ready',
            `${peer.name} was restarted and has not opened: ${describeState(survey)}`,
            {
              hint: `Restart and seal no other peer. Does its seal answer? See the log of ${peer.name}; then resume.`,
            },
          );
        }
        await sleep(POLL, undefined, { signal: run.signal });
      }
      await recordProof(run, `${peer.name} was restarted, and unsealed itself`);
      run.people.say(`  proved by a restart of ${peer.name}: the NEW root key is in force`);
    },
  };
}

function finishStep(): Step {
  return {
    id: 'finish',
    title: 'nothing is under way on any peer, and all are of one cluster',
    who: 'administrator',
    done: () => Promise.resolve(false),
    async run(run) {
      await waitUntilApplied(run, true);
      await sweep(run);
      await assertOneCluster(run, run.cluster.peers, run.roster?.['cluster-id']);
      for (const text of LIMITS) {
        await run.record({ event: 'note', text });
        run.people.say(`  ${text}`);
      }
    },
  };
}

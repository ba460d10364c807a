import type { Run, Step } from '../kind.ts';
import { freeingOnError, notIdle, takeLock, unlockStep, withActive } from '../lock-steps.ts';
import type { CommonScript } from '../script.ts';
import { surveyPeers } from '../survey.ts';
import { currentAttempt } from './attempt.ts';
import { coldProved, coldStep, liveStep, recordProof } from './cold.ts';
import { innerColdStep } from './cold-namespace.ts';
import { lostSets } from './find-live.ts';
import { collectStep, fetchStep, proveStep } from './issue.ts';
import { newShares, type Plan } from './plan.ts';
import { openSealed, reopen } from './reopen.ts';
import { retireStep } from './retire.ts';
import { settleStep } from './settle.ts';
import { presentShares } from './share-set.ts';
import { snapshotStep } from './snapshot.ts';
import { sweep } from './sweep.ts';
import { verifyStep } from './verify-step.ts';

/** The steps of a rotation that issues shares, in the order in which they are printed and run. */
export function rotationSteps(plan: Plan, script: CommonScript): readonly Step[] {
  const steps = [
    openStep(script, plan),
    collectStep(plan),
    fetchStep(plan),
    proveStep(plan),
    snapshotStep(plan),
    verifyStep(plan),
    settleStep(plan),
    proofStep(plan),
    retireStep(plan),
  ];
  return locked(script, steps);
}

function proofStep(plan: Plan): Step {
  if (plan.purpose !== 'rotate-root-key') return liveStep(plan);
  return plan.namespace === undefined ? coldStep(plan) : innerColdStep(plan, plan.namespace);
}

/** The steps with the lock around them, freed where one fails and leaves nothing. */
export function locked(script: CommonScript, steps: readonly Step[]): readonly Step[] {
  return [...steps.map((step) => freeingOnError(script, step, leavesNothing)), unlockStep(script)];
}

/** Whether others may run a ceremony before this one is resumed. */
async function leavesNothing(run: Run): Promise<boolean> {
  const attempt = currentAttempt(run.events);
  // From the last call on until the end, the cluster is this ceremony's.
  return attempt?.lastCallSent !== true && (await notIdle(run)).length === 0;
}

async function isShut(run: Run): Promise<boolean> {
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  return surveys.some(({ state }) => state === 'sealed') && surveys.every(({ state }) => state !== 'active');
}

/**
 * After it took effect, a peer that went down wants the new shares, which no roster outside of this ceremony has yet;
 * when all did, nobody leads before. A peer that opens so knew nothing but its disk.
 */
async function openWithNew(run: Run, plan: Plan): Promise<void> {
  const fresh = newShares(run, plan);
  if ((await reopen(run, [fresh])) === 'refused') throw lostSets(run);
  if (plan.namespace !== undefined) return;
  const opened = await openSealed(run, [fresh, presentShares(run, 'the old shares')]);
  const byNew = [...opened].flatMap(([name, set]) => (set === fresh.name ? [name] : []));
  if (byNew.length === 0 || (await coldProved(run))) return;
  await recordProof(run, `${byNew.join(', ')} was sealed, and opened with nothing but the new shares`);
}

export function openStep(script: CommonScript, plan?: Plan): Step {
  return {
    id: 'open',
    title: 'the cluster is locked for other ceremonies, and nothing else is under way on any peer',
    who: 'administrator',
    done: () => Promise.resolve(false),
    async run(run) {
      const attempt = currentAttempt(run.events);
      // From the last call until it is settled nothing is cancelled: what a leader still holds is the repair.
      if (attempt?.lastCallSent === true && attempt.live === undefined) return;
      if (attempt?.live?.set === 'new' && plan?.purpose === 'rotate-root-key') await openWithNew(run, plan);
      // Sealed for its proof by a sitting that was interrupted, and locked still: the proof opens it.
      if (script.namespace !== undefined && attempt?.live !== undefined && (await isShut(run))) return;
      await withActive(run, (session) => takeLock(run, script, session));
      await sweep(run, attempt === undefined ? {} : { keep: new Set([attempt.nonce]) });
    },
  };
}

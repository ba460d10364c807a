import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Run, Step } from '../kind.ts';
import { Leadership } from '../leadership.ts';
import { surveyPeers } from '../survey.ts';
import { currentAttempt } from './attempt.ts';
import { collect, fetchIssued, prove } from './issue.ts';
import { RotationOperation } from './operation.ts';
import { mustBeUnderWay, newShares, type Plan } from './plan.ts';
import { recordLive } from './settle.ts';
import { takeSnapshot } from './snapshot.ts';
import { giveNewShares } from './verify.ts';
import { votersHealthy } from './voters.ts';

const TRIES = 3;

/** New shares make the rotation take effect. */
export function verifyStep(plan: Plan): Step {
  return {
    id: 'verify',
    title: `${plan.threshold.toString()} new shares make the rotation take effect`,
    who: 'custodians',
    done: (run) => Promise.resolve(currentAttempt(run.events)?.lastCallSent === true),
    async run(run) {
      for (let tries = 1; ; tries += 1) {
        try {
          await verify(run, plan);
          return;
        } catch (error) {
          const sent = currentAttempt(run.events)?.lastCallSent === true;
          if (sent || !isQuorateError(error, 'leader-changed') || tries === TRIES) throw error;
          // Nothing has taken effect, and what was issued is void: all of it once more.
          run.people.say(`${error.message}. The rotation starts again from the old shares.`);
          await collect(run, plan);
          await fetchIssued(run, plan);
          await prove(run, plan);
          await takeSnapshot(run, plan);
        }
      }
    },
  };
}

async function verify(run: Run, plan: Plan): Promise<void> {
  const { nonce } = mustBeUnderWay(run);
  const leadership = await Leadership.find(run);
  try {
    const operation = await RotationOperation.on(leadership.session, plan.purpose);
    const status = await operation.status();
    if (!status.started || status.nonce !== nonce || status.verificationNonce === '') {
      throw new QuorateError('leader-changed', `${operation.peer} leads now and does not hold this rotation`);
    }
    await assertReady(run, leadership);
    const outcome = await giveNewShares(run, leadership, operation, newShares(run, plan));
    if (outcome.kind === 'complete') {
      await recordLive(
        run,
        { set: 'new', by: 'the reply' },
        'the server answered 200 to the last share: the NEW shares are live',
      );
    }
    // Anything else is for the next step, which looks before it does anything.
  } finally {
    leadership.close();
  }
}

/**
 * What the preflight saw must still be so: with a quorum lost in the last call, the write can tear (OpenBao 2.7.2).
 * @throws QuorateError `preflight-failed`.
 */
export async function assertReady(run: Run, leadership: Leadership): Promise<void> {
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  const sealed = surveys
    .filter(({ state }) => state !== 'active' && state !== 'standby')
    .map(({ peer, state }) => ({
      code: 'unsealed',
      ok: false,
      finding: `${peer.name} is ${state}`,
      mend: 'All peers must be unsealed: mend it and resume. The rotation waits, and nothing has taken effect.',
    }));
  const voters = sealed.length > 0 ? [] : await votersHealthy(run, leadership.session);
  for (const { code, ok, finding, mend } of [...sealed, ...voters]) {
    await run.record({ event: 'check', code, ok, finding, ...(mend === undefined ? {} : { mend }) });
  }
  const accepted = new Set(
    run.events.flatMap((one) => (one.event === 'check' && one.accepted !== undefined ? [one.code] : [])),
  );
  const failed = [...sealed, ...voters].filter(({ ok, code }) => !ok && !accepted.has(code));
  if (failed.length === 0) return;
  throw new QuorateError('preflight-failed', 'the cluster is not fit for the last call; nothing has taken effect', {
    faults: failed.map(({ code, finding, mend }) => ({ message: `${code}: ${finding}. ${mend ?? ''}` })),
    hint: 'The rotation waits on the leader. Mend these and resume the ceremony.',
  });
}

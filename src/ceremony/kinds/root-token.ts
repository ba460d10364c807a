import * as v from 'valibot';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Session } from '../../vault/peer.ts';
import type { Finding, Kind, Run, Step } from '../kind.ts';
import { freeingOnError, lockStep, unlockStep, withActive } from '../lock-steps.ts';
import { applyPlan } from '../plan/apply.ts';
import { planFindings } from '../plan/diff.ts';
import { plan, planFaults } from '../plan/schema.ts';
import { liveFindings } from '../live-checks.ts';
import { clocksAgree, reachable, sameVersion } from '../preflight.ts';
import { readAttempt } from '../root-generation/attempt.ts';
import { endStrays, endToken, sweepTokens } from '../root-generation/ending.ts';
import { cancelLeft, generateRootToken } from '../root-generation/generate.ts';
import { tellGhosts } from '../root-generation/ghosts.ts';
import { isUnsettled } from '../root-generation/giving.ts';
import { accessorsBefore, recordBefore, rootTokens } from '../root-generation/tokens.ts';
import { COMMON, participantFaults } from '../script.ts';
import { surveyPeers } from '../survey.ts';

export const rootTokenScript = v.strictObject({
  'ceremony': v.literal('root-token'),
  ...COMMON,
  /** All that is done with the token. */
  plan,
  /** Lets a share through that is in no roster, after a typed confirmation that the record keeps. */
  'unlisted-share': v.optional(v.boolean(), false),
});

export type RootTokenScript = v.InferOutput<typeof rootTokenScript>;

const APPLIED = 'plan-applied';
const COUNTED = 'root-tokens';

/**
 * Generates a root token by quorum, does one reviewed plan with it, and revokes it, however the ceremony ends. There
 * are as many root tokens afterwards as before.
 */
export const rootToken: Kind<RootTokenScript> = {
  name: 'root-token',
  summary: 'generate a root token by quorum for one reviewed plan, and revoke it',

  faults: (script) => [...participantFaults(script), ...planFaults(script.plan)],

  async preflight(script, run) {
    const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
    return [
      ...reachable(surveys),
      ...sameVersion(surveys),
      ...clocksAgree(surveys, run.policy),
      ...(await liveFindings(run, surveys, async (session) => [
        ...(await countFindings(session)),
        ...(await planFindings(session, script.plan)),
      ])),
    ];
  },

  steps: (script): readonly Step[] => [
    lockStep(script),
    freeingOnError(script, countStep()),
    freeingOnError(script, planStep(script)),
    freeingOnError(script, useStep(script), leftNothing),
    compareStep(),
    unlockStep(script),
  ],
};

/** The root tokens that there are before, by accessor, so that a stray one is known later. */
function countStep(): Step {
  return {
    id: 'count',
    title: 'the root tokens that live now are counted, by their accessors',
    who: 'administrator',
    done: (run) => Promise.resolve(accessorsBefore(run) !== undefined),
    async run(run) {
      try {
        await recordBefore(run, await withActive(run, rootTokens));
      } catch (error) {
        if (!isQuorateError(error, 'denied') || !accepted(run, COUNTED)) throw error;
        await run.record({
          event: 'note',
          text: 'root tokens are not counted: this login may not look, as was accepted',
        });
      }
    },
  };
}

/** People see what will change before anybody gives a share; also in a sitting that goes on with it. */
function planStep(script: RootTokenScript): Step {
  return {
    id: 'plan',
    title: `the plan is compared with the server: ${script.plan.length.toString()} actions`,
    who: 'administrator',
    done: () => Promise.resolve(false),
    async run(run) {
      const findings = await withActive(run, (session) => planFindings(session, script.plan));
      for (const { finding, ok } of findings) {
        run.people.say(finding);
        await run.record({ event: 'check', code: 'plan', ok, finding });
      }
      const wrong = findings.find(({ ok }) => !ok);
      if (wrong !== undefined && !accepted(run, 'plan')) {
        throw new QuorateError('preflight-failed', `the server is not as the plan expects: ${wrong.finding}`, {
          hint: 'Nothing was changed. Review the plan.',
        });
      }
    },
  };
}

/** One step, so that nothing can come between the making of the token and its end. */
function useStep(script: RootTokenScript): Step {
  return {
    id: 'use',
    title: 'custodians give their shares; the plan is done with the root token, which is revoked, and proved gone',
    who: 'custodians',
    done: (run) =>
      Promise.resolve(
        !isUnsettled(run) && run.events.some((one) => one.event === 'check' && one.code === APPLIED && one.ok),
      ),
    run: (run) => usePlan(run, script),
  };
}

async function usePlan(run: Run, script: RootTokenScript): Promise<void> {
  const token = await generateRootToken(run, {
    script,
    roster: run.roster,
    unlistedShare: script['unlisted-share'],
  });
  let failure: { readonly error: unknown } | undefined;
  try {
    await applyPlan(run, token.session, script.plan);
  } catch (error) {
    failure = { error };
  }
  await endToken(run, token);
  if (failure !== undefined) throw failure.error;
  await run.record({ event: 'check', code: APPLIED, ok: true, finding: 'every action of the plan is done' });
}

/** Whether a ceremony that stopped left nothing behind: then it need not keep others from theirs. */
async function leftNothing(run: Run): Promise<boolean> {
  if (isUnsettled(run)) return false;
  const { started } = await withActive(run, readAttempt);
  return !started;
}

/** As many root tokens as before, and nothing under way. */
function compareStep(): Step {
  return {
    id: 'compare',
    title: 'no attempt is left, and there are no more root tokens than before',
    who: 'administrator',
    done: () => Promise.resolve(false),
    async run(run) {
      await sweepTokens(run);
      await withActive(run, async (session) => {
        // One of this ceremony may be on a peer that led, stopped leading, and leads again.
        const left = await readAttempt(session);
        if (left.started) await cancelLeft(run, session, left);
        const before = accessorsBefore(run);
        const tokens = before === undefined ? undefined : await endStrays(run, session, before);
        await run.record({
          event: 'check',
          code: COUNTED,
          ok: before !== undefined,
          finding:
            before === undefined || tokens === undefined
              ? 'root tokens were not counted, as was accepted'
              : `${tokens.toString()} root tokens, ${before.size.toString()} before`,
          facts: { before: before?.size ?? null, left: tokens ?? null },
        });
      });
      await tellGhosts(run);
    },
  };
}

async function countFindings(session: Session): Promise<readonly Finding[]> {
  try {
    const { length } = await rootTokens(session);
    return [{ code: COUNTED, ok: true, finding: `${length.toString()} root tokens live now` }];
  } catch (error) {
    if (!isQuorateError(error, 'denied')) throw error;
    return [
      {
        code: COUNTED,
        ok: false,
        finding: 'this login may not list and look up token accessors, so that a stray root token would not be found',
        mend: 'Give it the rules for auth/token in the ceremony policy of ceremonies/init.yaml.',
      },
    ];
  }
}

function accepted(run: Run, code: string): boolean {
  return run.events.some((one) => one.event === 'check' && one.code === code && !one.ok && one.accepted !== undefined);
}

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { replaceFile } from '../../files.ts';
import type { Run, Step } from '../kind.ts';
import { Leadership } from '../leadership.ts';
import { renderRoster } from '../roster/roster.ts';
import { shareCount } from '../roster/schema.ts';
import { assertOneCluster } from '../unseal/identity.ts';
import { waitUntilApplied } from './applied.ts';
import { currentAttempt } from './attempt.ts';
import { shareDrill } from './drill.ts';
import { tellToRotateCluster } from './namespace-rotation.ts';
import { RotationOperation } from './operation.ts';
import { newGeneration, newRoster, type Plan } from './plan.ts';
import { presentShares } from './share-set.ts';
import { sweep } from './sweep.ts';

export const ROSTER_FILE = 'roster.yaml';
const OLD_DEAD = 'old-shares';

/** What the report says, so that nobody takes more comfort from it than there is. */
const LIMITS = [
  'With a snapshot from before this rotation the old shares open the cluster as it was then: they are dead only when both are destroyed.',
  'Until the keyring is rotated, whoever had the old root key can read data written under the present term: after a compromise run rotate-keyring too.',
];

/** The old shares are shown to be dead, nothing is left over, and the roster names the new holders. */
export function retireStep(plan: Plan): Step {
  return {
    id: 'retire',
    title: 'the old shares are refused, the backup is deleted, nothing is under way, the roster has a new generation',
    who: 'administrator, custodians',
    done: (run) => Promise.resolve(currentAttempt(run.events)?.events.some(({ event }) => event === 'roster') ?? false),
    async run(run) {
      await waitUntilApplied(run, true);
      await showOldDead(run, plan);
      await deleteBackup(run, plan);
      await sweep(run);
      await assertOneCluster(run, run.cluster.peers, run.roster?.['cluster-id']);
      for (const text of LIMITS) {
        await run.record({ event: 'note', text });
        run.people.say(`  ${text}`);
      }
      await tellToRotateCluster(run);
      const text = renderRoster(newRoster(run, plan));
      await replaceFile(join(run.folder, ROSTER_FILE), text);
      await run.record({
        event: 'roster',
        generation: newGeneration(run),
        file: ROSTER_FILE,
        digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
      });
    },
  };
}

async function showOldDead(run: Run, plan: Plan): Promise<void> {
  const events = currentAttempt(run.events)?.events ?? [];
  if (events.some((event) => event.event === 'check' && event.code === OLD_DEAD)) return;
  const { roster } = run;
  if (roster !== undefined && shareCount(roster) < plan.threshold) {
    await run.record({
      event: 'check',
      code: OLD_DEAD,
      ok: true,
      finding: `${shareCount(roster).toString()} old shares are fewer than the new threshold: there is no drill with them`,
    });
    return;
  }
  let opens: boolean;
  try {
    ({ opens } = await shareDrill(run, plan.purpose, presentShares(run, 'the old shares'), { refusalIsAnswer: true }));
  } catch (error) {
    if (!isQuorateError(error, 'ceremony-interrupted')) throw error;
    const question = 'The old shares were not shown to be dead, because too few of them are here.';
    if (!(await run.people.acceptException(question, 'go on'))) throw error;
    await run.record({
      event: 'exception',
      expected: 'the old shares are refused in a drill',
      happened: 'too few of them were given',
      decision: 'went on without',
      by: 'administrator',
    });
    return;
  }
  const finding = opens ? 'the OLD shares still open the root key' : 'the servers refuse the old shares';
  await run.record({ event: 'check', code: OLD_DEAD, ok: !opens, finding });
  run.people.say(`  ${finding}`);
  if (opens) {
    throw new QuorateError('shares-wrong', 'the OLD shares still open the root key', {
      hint: 'Keep both sets safe, restart no peer, and find out which peer led when.',
    });
  }
}

async function deleteBackup(run: Run, plan: Plan): Promise<void> {
  const leadership = await Leadership.find(run);
  try {
    const operation = await RotationOperation.on(leadership.session, plan.purpose);
    await operation.deleteBackup();
    if ((await operation.backup()) !== undefined) {
      throw new QuorateError('server-error', `${operation.peer} still keeps its copy of the new shares`);
    }
    await run.record({
      event: 'destroyed',
      what: "the server's copy of the encrypted new shares",
      how: 'deleted, and read back as gone',
    });
  } finally {
    leadership.close();
  }
}

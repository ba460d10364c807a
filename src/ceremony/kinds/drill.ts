import * as v from 'valibot';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { replaceFile } from '../../files.ts';
import type { Kind, Run, Step } from '../kind.ts';
import { Leadership } from '../leadership.ts';
import { freeingOnError, takeLock, unlockStep, withActive } from '../lock-steps.ts';
import { shareDrill } from '../rotation/drill.ts';
import { RotationOperation, type RotationPurpose } from '../rotation/operation.ts';
import { purposeOf, rotationPreflight } from '../rotation/preflight.ts';
import { presentShares } from '../rotation/share-set.ts';
import { sweep } from '../rotation/sweep.ts';
import { renderRoster, withProved } from '../roster/roster.ts';
import { COMMON, participantFaults } from '../script.ts';
import { surveyPeers } from '../survey.ts';
import { ROSTER_FILE } from './init/roster.ts';

export const drillScript = v.strictObject({ ceremony: v.literal('drill'), ...COMMON });

export type DrillScript = v.InferOutput<typeof drillScript>;

/** Proves that the custodians who are there can open the cluster, and changes nothing on it. */
export const drill: Kind<DrillScript> = {
  name: 'drill',
  summary: 'prove that a set of custodians can open the cluster; changes nothing',
  faults: (script) => participantFaults(script),
  preflight: (_script, run) => rotationPreflight(run, { takesEffect: false }),
  steps: (script) =>
    [openStep(script), drillStep(), rosterStep(), unlockStep(script)].map((step) => freeingOnError(script, step)),
};

const PROVED = 'drill';

function proved(run: Run): readonly string[] | undefined {
  const found = run.events.findLast((event) => event.event === 'check' && event.code === PROVED && event.ok);
  if (found?.event !== 'check') return undefined;
  return String(found.facts?.['givers'] ?? '')
    .split(', ')
    .filter((name) => name !== '');
}

function openStep(script: DrillScript): Step {
  return {
    id: 'open',
    title: 'the cluster is locked for other ceremonies, and nothing else is under way on any peer',
    who: 'administrator',
    done: () => Promise.resolve(false),
    run: async (run) => {
      await withActive(run, (session) => takeLock(run, script, session));
      await sweep(run);
    },
  };
}

function drillStep(): Step {
  return {
    id: 'drill',
    title: 'custodians give their shares; the servers say whether they are right, and forget them',
    who: 'custodians',
    done: (run) => Promise.resolve(proved(run) !== undefined),
    async run(run) {
      const purpose = purposeOf(await surveyPeers(run.cluster.peers, { signal: run.signal }));
      const before = await shape(run, purpose);
      const { givers } = await shareDrill(run, purpose, presentShares(run, 'the shares'));
      const after = await shape(run, purpose);
      if (before !== after) {
        throw new QuorateError('server-response', 'the cluster is not as it was before the drill', {
          hint: `Before: ${before}. After: ${after}. Find out what else happened meanwhile.`,
        });
      }
      await run.record({
        event: 'check',
        code: PROVED,
        ok: true,
        finding: `these shares open the cluster: ${givers.join(', ')}`.slice(0, 390),
        facts: { givers: givers.join(', ').slice(0, 390), unchanged: after },
      });
    },
  };
}

/** What a drill must not change, in words. */
async function shape(run: Run, purpose: RotationPurpose): Promise<string> {
  const leadership = await Leadership.find(run);
  try {
    const { required, started } = await (await RotationOperation.on(leadership.session, purpose)).status();
    const { shares, threshold } = await leadership.peer.sealStatus({ signal: run.signal });
    const reply = await leadership.session.request('GET', 'sys/key-status', undefined, { signal: run.signal });
    const { term } = (reply.status === 200 ? reply.body : {}) as { term?: unknown };
    return (
      `${threshold.toString()} of ${shares.toString()} shares, ${required.toString()} required, ` +
      `${started ? 'a rotation' : 'no rotation'} under way, keyring term ${typeof term === 'number' ? term.toString() : 'not readable'}`
    );
  } finally {
    leadership.close();
  }
}

function rosterStep(): Step {
  return {
    id: 'roster',
    title: 'write the roster, with what is proved now',
    who: 'administrator',
    done: (run) => Promise.resolve(run.events.some(({ event }) => event === 'roster')),
    async run(run) {
      const { roster } = run;
      if (roster === undefined) {
        await run.record({ event: 'note', text: 'no roster is kept of this cluster' });
        return;
      }
      const text = renderRoster(withProved(roster, proved(run) ?? [], run.tools.now()));
      await replaceFile(join(run.folder, ROSTER_FILE), text);
      await run.record({
        event: 'roster',
        generation: roster.generation,
        file: ROSTER_FILE,
        digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
      });
    },
  };
}

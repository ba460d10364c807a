import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { replaceFile } from '../../files.ts';
import type { Finding, Kind, Step } from '../kind.ts';
import { freeingOnError, holdsLock, takeLock, unlockStep, withActive } from '../lock-steps.ts';
import { renderRoster } from '../roster/roster.ts';
import { waitUntilApplied } from '../rotation/applied.ts';
import { rotationPreflight } from '../rotation/preflight.ts';
import { sweep } from '../rotation/sweep.ts';
import { participantFaults } from '../script.ts';
import { surveyPeers } from '../survey.ts';
import { assertOneCluster } from '../unseal/identity.ts';
import { ROSTER_FILE } from './init/roster.ts';
import { type MigrateSealScript, SHAMIR, sharesOf } from './migrate-seal/script.ts';
import { NOT_APART } from './migrate-seal/bring-over.ts';
import { finalStep, isUnderWay, restStep, snapshotStep, standbysStep, stepDownStep } from './migrate-seal/steps.ts';

/**
 * Puts the cluster's keys under another seal, peer by peer, while it serves: Shamir to an auto-unseal seal, back, or
 * from one of these to another. What opened it before authorises it: unseal shares become recovery shares, or back.
 */
export const migrateSeal: Kind<MigrateSealScript> = {
  name: 'migrate-seal',
  summary: 'another seal, peer by peer: from shares to an HSM or key service, back, or between these',

  faults(script) {
    const { from, to } = script;
    const faults = [...participantFaults(script)];
    if (from === SHAMIR && to === SHAMIR)
      faults.push('from and to are both shamir: new shares are the work of rotate-root-key');
    if (to === SHAMIR && script.stanza !== undefined) faults.push('stanza: a Shamir seal has none; leave it out');
    if (from === SHAMIR && script['old-stanza'] !== undefined)
      faults.push('old-stanza: a Shamir seal has none; leave it out');
    if (script.namespace !== undefined) faults.push('namespace: it is the seal of the cluster that is changed');
    return faults;
  },

  async preflight(script, run) {
    if (run.apart !== undefined) return [together()];
    const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
    if (surveys.some(({ seal }) => seal?.flavour === 'vault')) return [unseen()];
    return [
      ...(await rotationPreflight(run, {
        purpose: script.from === SHAMIR ? 'rotate-root-key' : 'rotate-recovery-key',
        takesEffect: false,
        also: [
          { path: 'sys/storage/raft/snapshot', needs: ['read'] },
          { path: 'sys/step-down', needs: ['update', 'sudo'] },
        ],
      })),
      ...surveys.flatMap(({ peer, seal }): Finding[] =>
        seal === undefined || seal.type === script.from
          ? []
          : [
              {
                code: 'seal-type',
                ok: false,
                finding: `${peer.name} has the seal ${seal.type}, the script says from: ${script.from}`,
                mend: 'Resume the ceremony that has begun to migrate it; or mend the script.',
              },
            ],
      ),
    ];
  },

  steps: (script): readonly Step[] => [
    ...[
      openStep(script),
      snapshotStep(script),
      standbysStep(script),
      stepDownStep(script),
      restStep(script),
      finalStep(script),
      retireStep(script),
    ].map((step) => freeingOnError(script, step, (run) => Promise.resolve(!isUnderWay(run)))),
    unlockStep(script),
  ],
};

function together(): Finding {
  return {
    code: 'apart',
    ok: false,
    finding: NOT_APART,
    mend: 'Have a threshold of the custodians in the room, or at the administrator’s terminal, and leave --apart out.',
    error: 'usage',
  };
}

/** It calls the seal by its old type until it is restarted, so that no stage of a migration can be checked (1.14.0). */
function unseen(): Finding {
  return {
    code: 'flavour',
    ok: false,
    finding: 'HashiCorp Vault does not tell which seal it has while that is migrated',
    mend: "Migrate it by hand, as HashiCorp's documentation says; then rotate-recovery-key or rotate-root-key go on.",
    error: 'server-unsupported',
  };
}

function openStep(script: MigrateSealScript): Step {
  return {
    id: 'open',
    title: 'the cluster is locked for other ceremonies, and nothing else is under way on any peer',
    who: 'administrator',
    // The lock stays, as anything that is kept in the cluster does, while its seal is changed.
    done: (run) => Promise.resolve(isUnderWay(run)),
    run: async (run) => {
      await withActive(run, (session) => takeLock(run, script, session));
      await sweep(run);
    },
  };
}

function retireStep(script: MigrateSealScript): Step {
  const shares = sharesOf(script.to);
  return {
    id: 'retire',
    title: `what was written before is read, all peers are of one cluster, the roster says ${shares} shares`,
    who: 'administrator',
    done: (run) => Promise.resolve(run.events.some(({ event }) => event === 'roster')),
    async run(run) {
      await waitUntilApplied(run, true);
      await sweep(run);
      await assertOneCluster(run, run.cluster.peers, run.roster?.['cluster-id']);
      // The lock was written under the old seal.
      if (!(await withActive(run, (session) => holdsLock(run, script, session)))) {
        throw new QuorateError('server-response', 'the ceremony lock from before the migration is not there', {
          hint: 'Somebody took it over, or this is not the cluster that was migrated. Compare with the snapshot.',
        });
      }
      await run.record({
        event: 'check',
        code: 'data',
        ok: true,
        finding: 'what was written under the old seal is read',
      });
      for (const text of notes(script)) {
        await run.record({ event: 'note', text });
        run.people.say(`  ${text}`);
      }
      const { roster } = run;
      if (roster === undefined) return;
      const text = renderRoster({ ...roster, seal: script.to === SHAMIR ? 'shamir' : 'recovery' });
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

function notes({ from, to }: MigrateSealScript): readonly string[] {
  const snapshot = `The snapshot, and every older one, is opened by ${from === SHAMIR ? 'the shares under a Shamir seal' : `the key of the old seal (${from})`}: keep that as long as you keep them.`;
  if (to === SHAMIR)
    return [
      'The shares are unseal shares from now on: after a restart a peer stays shut until they are given.',
      snapshot,
    ];
  return [
    `The shares are recovery shares from now on. They authorise, and open nothing: without the key of the seal (${to}) the cluster stays shut. Keep a second one, or a copy where it can have one.`,
    snapshot,
  ];
}

import type { Finding, Kind, Step } from '../kind.ts';
import { participantFaults } from '../script.ts';
import { describeState, surveyPeers } from '../survey.ts';
import { named } from '../unseal/target.ts';
import { emptyStep, initialiseStep, restoreStep, Throwaway } from './recover/fresh.ts';
import { identityStep, restartStep, unsealStep } from './recover/old-shares.ts';
import { remainsStep } from './recover/remains.ts';
import type { RecoverScript } from './recover/script.ts';
import { checkStep, tornRotation } from './recover/source.ts';

/**
 * Brings the old shares back from a snapshot, when a rotation tore and no set of shares opens any peer.
 * While a single peer is unsealed this is the wrong way: resuming the rotation then loses nothing.
 */
export const recover: Kind<RecoverScript> = {
  name: 'recover',
  summary: 'from a snapshot, when a rotation tore and all is sealed',

  faults: (script) => [
    ...participantFaults(script),
    ...(script.namespace === undefined ? [] : ['namespace: a snapshot is of the cluster with all of its namespaces']),
  ],

  async preflight(script, run) {
    const { cluster, signal } = run;
    const surveys = await surveyPeers(cluster.peers, { signal });
    const open = surveys.filter(({ state }) => state === 'active' || state === 'standby');
    const known = script.peer === undefined || cluster.peers.some(({ name }) => name === script.peer);
    const hopeless = open.length > 0 && (await tornRotation({ ...run, cluster }, script)).hopeless;
    const findings: Finding[] = open.map(({ peer }) => ({
      code: 'all-sealed',
      ok: hopeless,
      finding: `${peer.name} is unsealed${hopeless ? ' and serves from its memory; the rotation found no shares that would open it again' : ''}`,
      mend: 'Restart and seal nothing: resume the rotation, which repairs it and loses nothing, while a peer is unsealed.',
    }));
    if (open.length === 0) {
      const states = surveys.map((one) => named(one.peer.name, describeState(one))).join('; ');
      findings.push({ code: 'all-sealed', ok: true, finding: `no peer is unsealed; ${states}`.slice(0, 390) });
    }
    if (!known) {
      const mend = `Peers: ${cluster.peers.map(({ name }) => name).join(', ')}.`;
      findings.push({ code: 'peer', ok: false, finding: 'the cluster has no peer of that name', mend });
    }
    return findings;
  },

  steps(script): readonly Step[] {
    const throwaway = new Throwaway();
    return [
      checkStep(script),
      emptyStep(script),
      initialiseStep(script, throwaway),
      restoreStep(script, throwaway),
      restartStep(script),
      unsealStep(script),
      identityStep(script),
      remainsStep(script),
    ];
  },
};

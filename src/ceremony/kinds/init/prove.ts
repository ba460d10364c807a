import type { Step } from '../../kind.ts';
import { provedShares, proveShares } from '../../proving.ts';
import { shareFile } from './initialise.ts';
import type { InitScript } from './script.ts';

/**
 * Every custodian decrypts their share and gives its fingerprint. A share that nobody can read is found here,
 * while the cluster is empty and starting over costs nothing. All n are needed, not only the threshold.
 */
export function proveStep(script: InitScript): Step {
  return {
    id: 'prove',
    title: `all ${script.shares.toString()} custodians decrypt their share and give its fingerprint`,
    who: 'custodians',
    done(run) {
      const proofs = provedShares(run.events);
      return Promise.resolve(script.custodians.every(({ name }) => proofs.has(name)));
    },
    async run(run) {
      const issued = script.custodians.map(({ name, pgp, ssh }) => ({
        name,
        pgp,
        ssh: ssh?.fingerprint,
        file: shareFile(script, name),
        single: script.shares === 1,
        generation: 1,
      }));
      await proveShares(run, issued, () => provedShares(run.events));
    },
  };
}

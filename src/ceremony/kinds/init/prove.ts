import type { Run, Step } from '../../kind.ts';
import { provedShares, proveShare } from '../../proving.ts';
import { shareFile } from './initialise.ts';
import type { InitScript } from './script.ts';

/**
 * Every custodian decrypts their share and gives its fingerprint. A share that nobody can read is found here,
 * while the cluster is empty and starting over costs nothing. All n are needed, not only the threshold.
 */
export function proveStep(script: InitScript): Step {
  const missing = (
    run: Run,
  ): readonly { readonly name: string; readonly pgp?: { readonly fingerprint: string } | undefined }[] => {
    const proofs = provedShares(run.events);
    return script.custodians.filter(({ name }) => !proofs.has(name));
  };
  return {
    id: 'prove',
    title: `all ${script.shares.toString()} custodians decrypt their share and give its fingerprint`,
    who: 'custodians',
    done: (run) => Promise.resolve(missing(run).length === 0),
    async run(run) {
      for (const { name, pgp } of missing(run)) {
        await proveShare(run, {
          name,
          pgp,
          file: shareFile(script, name),
          single: script.shares === 1,
          taken: new Map([...provedShares(run.events).values()].map((one) => [one.x, one.who ?? ''])),
          generation: 1,
        });
      }
    },
  };
}

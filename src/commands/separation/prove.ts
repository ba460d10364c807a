import { resolve } from 'node:path';
import type { Config } from '../../config.ts';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import type { Comparison, Question } from '../../separation/compare.ts';
import type { Doubt, Proof } from '../../separation/prove/findings.ts';
import type { Topology } from '../../separation/topology.ts';
import { defineCommand } from '../command.ts';
import type { ReadExport } from './read-exports.ts';

/** `quorate separation prove`: joins the clusters' exports offline, and finds who reaches too many shares. */
export const command = defineCommand({
  arguments: [{ name: 'EXPORT', variadic: true, description: "the clusters' exports, each with its .sig beside it" }],
  options: {
    'wallet': { value: 'NAME', description: 'only this wallet of quorate.yaml' },
    'allowed-signers': { value: 'FILE', description: 'your own file of keys (ssh-keygen(1), ALLOWED SIGNERS)' },
    'unsigned': { description: 'take exports for what they say, whoever made them' },
    'check-with-server': {
      description: 'put the same questions to a throwaway server of the same version on this machine',
    },
  },
  examples: [
    {
      command: 'quorate separation prove *.separation.json --allowed-signers ~/allowed_signers',
      text: 'exit 5 unless everything was read and nobody reaches too much',
    },
    {
      command: 'quorate separation prove *.separation.json --allowed-signers signers --check-with-server --format json',
      text: 'in CI, with the second engine',
    },
  ],
  async run(context, values, files) {
    const signers = values['allowed-signers'];
    if ((signers === undefined) === (values.unsigned !== true)) {
      throw new QuorateError(
        'usage',
        'say whose signatures count: --allowed-signers FILE, or --unsigned, one of them',
        {
          hint: 'Whoever can change an unsigned export decides what is proved.',
        },
      );
    }
    const config = await configOf(context, values.wallet);
    const [{ topologyOf }, { readExports }] = await Promise.all([import('./topology.ts'), import('./read-exports.ts')]);
    const topology = await topologyOf(config, values.wallet);
    const allowed = signers === undefined ? undefined : resolve(context.cwd, signers);
    const { exports, doubts } = await readExports(context, files, allowed);
    const { proof, comparison } = await judge(context, topology, exports, values['check-with-server'] === true);
    const whole = withDoubts(proof, doubts, allowed !== undefined);
    return report(context, topology, whole, exports, comparison);
  },
});

async function configOf(context: Context, wallet: string | undefined): Promise<Config> {
  const config = await context.config();
  if (config !== undefined && (wallet === undefined || Object.hasOwn(config.wallets, wallet))) return config;
  throw new QuorateError(
    'usage',
    config === undefined
      ? 'there is no quorate.yaml that says where shares are'
      : 'quorate.yaml describes no such wallet',
    { hint: 'Describe wallets and their nodes in quorate.yaml, or name it with --config.' },
  );
}

async function judge(
  context: Context,
  topology: Topology,
  exports: readonly ReadExport[],
  ask: boolean,
): Promise<{ readonly proof: Proof; readonly comparison?: Comparison }> {
  const { prove } = await import('../../separation/prove/prove.ts');
  const read = exports.map((one) => one.export);
  if (!ask) return { proof: prove(topology, read) };
  const { gatherQuestions } = await import('../../separation/questions.ts');
  const questions = gatherQuestions(topology);
  const proof = prove(topology, read, { onProbe: questions.take });
  const { askSecondEngine } = await import('./second-engine.ts');
  const all: readonly Question[] = questions.all();
  const comparison = await askSecondEngine(context, read, all);
  const disagreements = comparison.disagreements.map(({ cluster, policies, path, ours, theirs }): Doubt => ({
    code: 'engines-disagree',
    cluster,
    what: `${policies.join(', ')} at ${path}: ${ours.join(' ')} by this program, ${theirs.join(' ')} by the server`,
    mend: 'Believe neither, and please report this.',
  }));
  return { proof: { ...proof, doubts: [...proof.doubts, ...disagreements] }, comparison };
}

function withDoubts(proof: Proof, doubts: readonly Doubt[], signed: boolean): Proof {
  const unchecked = { code: 'signature-unchecked', what: 'the signatures of the exports were not checked' } as const;
  return { ...proof, doubts: [...doubts, ...proof.doubts], notes: [...proof.notes, ...(signed ? [] : [unchecked])] };
}

/** The result, and the error that ends with it: beside it for people, in it for programs. */
async function report(
  { output }: Context,
  topology: Topology,
  proof: Proof,
  exports: readonly ReadExport[],
  comparison: Comparison | undefined,
): Promise<number | undefined> {
  const { proofLines } = await import('./show.ts');
  const error = errorOf(proof);
  const value = {
    verdict: error === undefined ? 'apart' : proof.breaches.length > 0 ? 'broken' : 'unproved',
    ...(error === undefined ? {} : { error }),
    exports: exports.map(({ file, sha256, signedBy, export: { cluster, clusterId, version, from, to } }) => ({
      ...{ cluster, clusterId, version, from, to, file, sha256 },
      signedBy: signedBy ?? null,
    })),
    ...proof,
    ...(comparison === undefined
      ? {}
      : { secondEngine: { asked: comparison.asked, agreed: comparison.disagreements.length === 0 } }),
  };
  output.result(value, () => [
    ...proofLines(proof, topology, output.paint),
    ...(comparison === undefined ? [] : [`a server was asked ${comparison.asked.toString()} questions`]),
  ]);
  if (error === undefined || output.format !== 'table') return error?.exit;
  throw error;
}

function errorOf({ breaches, doubts }: Proof): QuorateError | undefined {
  if (breaches.length > 0) {
    const hint = 'Each breach names the rule that makes it, and its mend. Export again afterwards.';
    return new QuorateError('separation-broken', 'somebody reaches too many shares of a wallet', { hint });
  }
  if (doubts.length === 0) return undefined;
  const hint = 'What is listed as unread could hold anything. Read it, and prove again.';
  return new QuorateError('separation-unproved', 'the separation is not proved: something could not be read', { hint });
}

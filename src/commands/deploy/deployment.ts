import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import type { NodeDeployment } from '../../deploy/node.ts';
import { wholeNumber } from '../whole-number.ts';
import { type DescribedWallet, knownWallet, walletOptions } from '../shares/wallet.ts';

/** The options of everything that is made for a wallet's nodes. */
export const deployOptions = {
  ...walletOptions,
  wait: { value: 'SECONDS', description: 'how long a node waits for its server (default: 300)' },
} as const;

export interface Deployments {
  readonly known: DescribedWallet;
  readonly all: readonly NodeDeployment[];
}

/**
 * Every node of a wallet as quorate.yaml describes it.
 * @throws QuorateError as `knownWallet`; `usage`.
 */
export async function deploymentsOf(
  context: Context,
  name: string,
  program: readonly string[],
  values: { readonly 'wait'?: string; readonly 'accept-shared-root'?: boolean },
): Promise<Deployments> {
  if (program.length === 0) throw new QuorateError('usage', "the node's program is missing: give it after --");
  const known = await knownWallet(context, name, values);
  const wait = values.wait === undefined ? 300 : wholeNumber(values.wait, '--wait');
  const clusters = (await context.config())?.clusters ?? {};
  const all = Object.entries(known.config.nodes).map(([node, { cluster, namespace, mount }]): NodeDeployment => {
    const described = clusters[cluster];
    const address = described?.peers[0]?.address;
    if (address === undefined) {
      throw new QuorateError('cluster-unknown', `quorate.yaml does not describe the cluster of ${node}`);
    }
    const inside = namespace ?? described?.namespace;
    const clusterId = described?.['cluster-id'];
    return {
      ...{ wallet: name, node, threshold: known.wallet.threshold, signingKeys: known.wallet.nodes },
      ...{ address, mount, program, wait },
      ...(inside === undefined ? {} : { namespace: inside }),
      ...(clusterId === undefined ? {} : { clusterId }),
    };
  });
  return { known, all };
}

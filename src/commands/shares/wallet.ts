import { resolve } from 'node:path';
import type { ClusterConfig, WalletConfig } from '../../config.ts';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import type { Wallet } from '../../shares/epochs.ts';
import type { Node, NodeStore } from '../../shares/ports.ts';
import { logIn } from '../log-in.ts';

/** A wallet as quorate.yaml describes it, and as its statements are checked against it. */
export interface KnownWallet {
  readonly wallet: Wallet;
  readonly config: WalletConfig;
  /** Nodes that share a cluster, where quorate.yaml accepts it. */
  readonly shared: readonly (readonly string[])[];
}

/** The options of what runs on a node. */
export const nodeOptions = {
  node: { value: 'NAME', description: 'which node of the wallet this machine is' },
  home: { value: 'DIR', description: 'the folder of its keys and its state (default: /var/lib/quorate)' },
} as const;

const HOME = '/var/lib/quorate';

/** @throws QuorateError `usage` when quorate.yaml has no such wallet, as `Context.config`. */
export async function knownWallet(context: Context, name: string): Promise<KnownWallet> {
  const config = await context.config();
  const found = config?.wallets[name];
  if (found === undefined) {
    const names = Object.keys(config?.wallets ?? {});
    throw new QuorateError('usage', 'quorate.yaml describes no wallet of that name', {
      hint: names.length === 0 ? 'Describe it under "wallets:".' : `It has: ${names.join(', ')}.`,
    });
  }
  const shared = sharedClusters(found, config?.clusters ?? {});
  const [one] = shared;
  if (one !== undefined && !found['accept-shared-root']) {
    throw new QuorateError('policy', `${one.join(' and ')} of ${name} keep their shares on one cluster`, {
      hint: 'Whoever is root there reads both stores. Give each node a cluster of its own, or say accept-shared-root: true.',
    });
  }
  const nodes = new Map(Object.entries(found.nodes).map(([node, { 'signing-key': key }]) => [node, key]));
  return { wallet: { name, threshold: found.threshold, nodes }, config: found, shared };
}

/** The nodes that share a cluster, by cluster; two names in quorate.yaml for one server are one cluster. */
function sharedClusters(
  { nodes }: WalletConfig,
  clusters: Readonly<Record<string, ClusterConfig>>,
): readonly (readonly string[])[] {
  const groups: { readonly addresses: Set<string>; readonly members: string[] }[] = [];
  for (const [node, { cluster }] of Object.entries(nodes)) {
    const addresses = (clusters[cluster]?.peers ?? []).map(({ address }) => address.replace(/\/+$/, '').toLowerCase());
    const group = groups.find((known) => addresses.some((address) => known.addresses.has(address)));
    if (group === undefined) groups.push({ addresses: new Set(addresses), members: [node] });
    else {
      group.members.push(node);
      for (const address of addresses) group.addresses.add(address);
    }
  }
  return groups.filter(({ members }) => members.length > 1).map(({ members }) => members);
}

/** The folder of a node's own files. */
export function homeOf(context: Context, home: string | undefined): string {
  return resolve(context.cwd, home ?? HOME);
}

/**
 * A node's place in its store, as the node itself or as an operator sees it. Close it.
 * @throws QuorateError `usage` (no such node), and as logins do.
 */
export async function openStore(
  context: Context,
  { wallet, config }: KnownWallet,
  node: string,
  as: 'node' | 'operator',
): Promise<{ readonly store: NodeStore; readonly close: () => void }> {
  const described = config.nodes[node];
  if (described === undefined) {
    throw new QuorateError('usage', `${wallet.name} has no node of that name`, {
      hint: `It has: ${Object.keys(config.nodes).join(', ')}.`,
    });
  }
  const { cluster, namespace, mount, auth } = described;
  const { login } = await logIn(context, { cluster }, { unchecked: true, ...(as === 'node' && auth ? { auth } : {}) });
  const session = namespace === undefined ? login.session : login.session.inNamespace(namespace);
  const { kvStore } = await import('../../shares/kv-store.ts');
  return {
    store: kvStore(session, mount, wallet.name, context.signal),
    close: () => {
      login.session.close();
    },
  };
}

/**
 * This machine, as a node of the wallet. Close it.
 * @throws QuorateError `usage` without a name; `key-unusable` when its signing key is not the one that is pinned.
 */
export async function openNode(
  context: Context,
  known: KnownWallet,
  values: { readonly node?: string; readonly home?: string },
): Promise<{ readonly node: Node; readonly close: () => void }> {
  const name = values.node;
  if (name === undefined) throw new QuorateError('usage', 'which node of the wallet is this? Say --node NAME');
  const home = homeOf(context, values.home);
  const { fileKeys, stateFile } = await import('../../shares/home.ts');
  const keys = await fileKeys(home, known.wallet.name);
  const pinned = known.wallet.nodes.get(name);
  if (pinned !== undefined && pinned !== keys.signer.key) {
    throw new QuorateError('key-unusable', `the signing key in ${home} is not the one that is pinned for ${name}`, {
      hint: 'Is this the right node, and the right --home? A new key has to be pinned in quorate.yaml on every machine.',
    });
  }
  const { store, close } = await openStore(context, known, name, 'node');
  return { node: { name, store, state: stateFile(home, known.wallet.name), keys }, close };
}

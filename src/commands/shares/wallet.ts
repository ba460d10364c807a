import { resolve } from 'node:path';
import type { WalletConfig } from '../../config.ts';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import type { Wallet } from '../../shares/epochs.ts';
import type { Node, NodeStore } from '../../shares/ports.ts';
import type { Session } from '../../vault/peer.ts';
import { logIn } from '../log-in.ts';
import { refuseSamePlace, refuseSharedRoot, type SharedRoot, sharedClusters, sharedRootLines } from './topology.ts';

/** A wallet as quorate.yaml describes it, and as its statements are checked against it. */
export interface KnownWallet {
  readonly wallet: Wallet;
  readonly config: WalletConfig;
  /** Nodes that share a cluster, where that is accepted. */
  readonly shared: SharedRoot;
  /** The same with what the clusters say of themselves. @throws QuorateError `policy` where it is not accepted. */
  readonly sharedBy: (ids: ReadonlyMap<string, string>) => SharedRoot;
}

/** The option of every command that reads a wallet from quorate.yaml. */
export const walletOptions = {
  'accept-shared-root': {
    description: 'go on although nodes share a cluster, whose root reads the stores of them all',
  },
} as const;

/** The options of what runs on a node. */
export const nodeOptions = {
  node: { value: 'NAME', description: 'which node of the wallet this machine is' },
  home: { value: 'DIR', description: 'the folder of its keys and its state (default: /var/lib/quorate)' },
} as const;

const HOME = '/var/lib/quorate';

/**
 * @throws QuorateError `usage` when quorate.yaml has no such wallet; `policy` where nodes share a place, or a cluster
 * and nobody accepts that; as `Context.config`.
 */
export async function knownWallet(
  context: Context,
  name: string,
  values: { readonly 'accept-shared-root'?: boolean } = {},
): Promise<KnownWallet> {
  const config = await context.config();
  const found = config?.wallets[name];
  if (found === undefined) {
    const names = Object.keys(config?.wallets ?? {});
    throw new QuorateError('usage', 'quorate.yaml describes no wallet of that name', {
      hint: names.length === 0 ? 'Describe it under "wallets:".' : `It has: ${names.join(', ')}.`,
    });
  }
  const clusters = config?.clusters ?? {};
  const accepted = found['accept-shared-root'] || values['accept-shared-root'] === true;
  const sharedBy = (ids: ReadonlyMap<string, string>): SharedRoot => {
    const shared = sharedClusters(found, clusters, ids);
    refuseSharedRoot(name, shared, accepted);
    return shared;
  };
  const shared = sharedBy(new Map());
  refuseSamePlace(name, found, clusters);
  const nodes = new Map(Object.entries(found.nodes).map(([node, { 'signing-key': key }]) => [node, key]));
  return { wallet: { name, threshold: found.threshold, nodes }, config: found, shared, sharedBy };
}

/** The folder of a node's own files. */
export function homeOf(context: Context, home: string | undefined): string {
  return resolve(context.cwd, home ?? HOME);
}

/** A node of the wallet as quorate.yaml describes it. @throws QuorateError `usage` (no such node). */
export function describedNode({ wallet, config }: KnownWallet, node: string): WalletConfig['nodes'][string] {
  const described = Object.hasOwn(config.nodes, node) ? config.nodes[node] : undefined;
  if (described !== undefined) return described;
  throw new QuorateError('usage', `${wallet.name} has no node of that name`, {
    hint: `It has: ${Object.keys(config.nodes).join(', ')}.`,
  });
}

/** A login where a node's shares are. */
export interface NodeSession {
  /** In the node's namespace. */
  readonly session: Session;
  /** What the cluster calls itself; undefined where nobody asked. */
  readonly clusterId?: string;
  readonly close: () => void;
}

/**
 * Logs in where a node's shares are, as the node itself or as an operator. Close it.
 * @throws QuorateError `usage` (no such node), `cluster-mismatch` (another cluster than the one that is pinned), and as
 * logins do.
 */
export async function openSession(
  context: Context,
  known: KnownWallet,
  node: string,
  as: 'node' | 'operator',
): Promise<NodeSession> {
  const { cluster, namespace, auth } = describedNode(known, node);
  const pinned = (await context.config())?.clusters[cluster]?.['cluster-id'];
  const { login } = await logIn(context, { cluster }, { unchecked: true, ...(as === 'node' && auth ? { auth } : {}) });
  const close = (): void => {
    login.session.close();
  };
  try {
    const clusterId = as === 'operator' || pinned !== undefined ? await clusterIdOf(context, login.session) : undefined;
    if (pinned !== undefined && clusterId?.toLowerCase() !== pinned.toLowerCase()) {
      throw new QuorateError('cluster-mismatch', `${cluster} is not the cluster whose id is pinned`, {
        hint: 'Do not go on: it was replaced, or somebody is in between. cluster-id in quorate.yaml has the right one.',
      });
    }
    const session = namespace === undefined ? login.session : login.session.inNamespace(namespace);
    return { session, ...(clusterId === undefined ? {} : { clusterId }), close };
  } catch (error) {
    close();
    throw error;
  }
}

async function clusterIdOf(context: Context, { peer }: Session): Promise<string | undefined> {
  return (await peer.sealStatus({ signal: context.signal })).clusterId;
}

/** A node's place in its store, as `openSession`. */
export async function openStore(
  context: Context,
  known: KnownWallet,
  node: string,
  as: 'node' | 'operator',
): Promise<NodeSession & { readonly store: NodeStore }> {
  const opened = await openSession(context, known, node, as);
  const { kvStore } = await import('../../shares/kv-store.ts');
  const { mount } = describedNode(known, node);
  return { ...opened, store: kvStore(opened.session, mount, known.wallet.name, context.signal) };
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
  for (const line of sharedRootLines(known.shared)) context.output.warn(line);
  const { store, close } = await openStore(context, known, name, 'node');
  return { node: { name, store, state: stateFile(home, known.wallet.name), keys }, close };
}

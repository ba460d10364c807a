import { resolve } from 'node:path';
import type { AuthSettings } from '../../auth.ts';
import type { WalletConfig } from '../../config.ts';
import type { ClusterChoice, Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import type { Wallet } from '../../shares/epochs.ts';
import type { Node, NodeStore } from '../../shares/ports.ts';
import type { Session } from '../../vault/peer.ts';
import { pinOptions, type PinValues } from '../hsm/pin-options.ts';
import { logIn } from '../log-in.ts';
import { holdSession, readNodeToken } from './token.ts';
import { refuseSamePlace, refuseSharedRoot, type SharedRoot, sharedClusters, sharedRootLines } from './topology.ts';

/** A wallet as quorate.yaml describes it, and as its statements are checked against it. */
export interface KnownWallet {
  readonly wallet: Wallet;
  /** Where the nodes keep their shares: those of them that are known. */
  readonly places: ReadonlyMap<string, Place>;
  /** A program that checks public commitments of schemes that are not known here. */
  readonly verifier?: string;
  /** Nodes that share a cluster, where that is accepted. */
  readonly shared: SharedRoot;
  /** The same with what the clusters say of themselves. @throws QuorateError `policy` where it is not accepted. */
  readonly sharedBy: (ids: ReadonlyMap<string, string>) => SharedRoot;
}

/** Where a node keeps its share, and how to get there. */
export interface Place extends Pick<WalletConfig['nodes'][string], 'mount'> {
  readonly choice: ClusterChoice;
  /** In which it is, and the node's login too; an operator's login is the cluster's. */
  readonly namespace?: string;
  readonly auth?: AuthSettings;
  /** The id that the cluster must have. */
  readonly clusterId?: string;
}

/** The option of every command that reads a wallet from quorate.yaml. */
export const walletOptions = {
  'accept-shared-root': {
    description: 'go on although nodes share a cluster, whose root reads the stores of them all',
  },
} as const;

/** The options of what runs on a node. */
export const nodeOptions = {
  node: { value: 'NAME', description: 'which node of the wallet this machine is (QUORATE_NODE_NAME)' },
  ...pinOptions,
  home: {
    value: 'DIR',
    description: 'the folder of its keys and its state (QUORATE_NODE_HOME; default: /var/lib/quorate)',
  },
} as const;

const HOME = '/var/lib/quorate';

/** A wallet, and the part of quorate.yaml that describes it. */
export interface DescribedWallet extends KnownWallet {
  readonly config: WalletConfig;
}

/**
 * @throws QuorateError `usage` when quorate.yaml has no such wallet; `policy` where nodes share a place, or a cluster
 * and nobody accepts that; as `Context.config`.
 */
export async function knownWallet(
  context: Context,
  name: string,
  values: { readonly 'accept-shared-root'?: boolean } = {},
): Promise<DescribedWallet> {
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
  const places = new Map(
    Object.entries(found.nodes).map(([node, { cluster, namespace, mount, auth }]): [string, Place] => {
      const pinned = clusters[cluster]?.['cluster-id'];
      const inside = namespace === undefined ? {} : { namespace };
      const id = pinned === undefined ? {} : { clusterId: pinned };
      return [node, { choice: { cluster }, mount, ...inside, ...id, ...(auth === undefined ? {} : { auth }) }];
    }),
  );
  const { verifier } = found;
  const wallet = { name, threshold: found.threshold, nodes };
  return { wallet, places, config: found, shared, sharedBy, ...(verifier === undefined ? {} : { verifier }) };
}

/** The folder of a node's own files. */
export function homeOf(context: Context, home: string | undefined): string {
  return resolve(context.cwd, home ?? context.env['QUORATE_NODE_HOME'] ?? HOME);
}

/** Where a node of the wallet keeps its share. @throws QuorateError `usage` (no such node). */
export function placeOf({ wallet, places }: KnownWallet, node: string): Place {
  const place = places.get(node);
  if (place !== undefined) return place;
  throw new QuorateError('usage', `${wallet.name} has no node of that name`, {
    hint: `It has: ${[...wallet.nodes.keys()].join(', ')}.`,
  });
}

/** A login where a node's shares are. */
export interface NodeSession {
  /** In the node's namespace. */
  readonly session: Session;
  /** The same login at the cluster's next peer, in turn; where there is only one, at that. */
  readonly next: () => Session;
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
  const { choice, namespace, auth, clusterId: pinned } = placeOf(known, node);
  const { login, peers } =
    as === 'operator'
      ? await logIn(context, choice, { unchecked: true })
      : await logIn(context, namespace === undefined ? choice : { ...choice, homeNamespace: namespace }, {
          unchecked: true,
          ...(auth === undefined ? {} : { auth }),
        });
  const close = (): void => {
    login.session.close();
  };
  try {
    const clusterId = as === 'operator' || pinned !== undefined ? await clusterIdOf(context, login.session) : undefined;
    if (pinned !== undefined && clusterId?.toLowerCase() !== pinned.toLowerCase()) {
      throw new QuorateError('cluster-mismatch', `the cluster of ${node} is not the one whose id is pinned`, {
        hint: 'Do not go on: it was replaced, or somebody is in between. cluster-id in quorate.yaml has the right one.',
      });
    }
    const elsewhere = as === 'operator' && namespace !== undefined;
    const inside = (session: Session): Session => (elsewhere ? session.inNamespace(namespace) : session);
    let turn = 0;
    const next = (): Session => {
      turn += 1;
      const peer = peers[turn % peers.length];
      return inside(peer === undefined ? login.session : login.session.at(peer));
    };
    return { session: inside(login.session), next, ...(clusterId === undefined ? {} : { clusterId }), close };
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
  // Loaded once the connection is under way, so that neither waits for the other.
  const loading = new Promise((resolve) => setImmediate(resolve)).then(() => import('../../shares/kv-store.ts'));
  const opened = await openSession(context, known, node, as);
  const { kvStore } = await loading;
  const { mount } = placeOf(known, node);
  return { ...opened, store: kvStore(opened.session, mount, known.wallet.name, context.signal) };
}

/** Which node this machine is: the option, else QUORATE_NODE_NAME. @throws QuorateError `usage`. */
export function nodeOf(context: Context, node: string | undefined): string {
  const name = node ?? context.env['QUORATE_NODE_NAME'];
  if (name !== undefined && name !== '') return name;
  throw new QuorateError('usage', 'which node of the wallet is this? Say --node NAME, or set QUORATE_NODE_NAME');
}

/** What says which node this machine is, and how its token is opened. */
export interface NodeValues extends PinValues {
  readonly node?: string;
  readonly home?: string;
}

/** This machine as a node. */
export interface OpenNode {
  readonly node: Node;
  /** Goes on at another peer of the cluster, with the same login. */
  readonly moveOn: () => void;
  readonly close: () => void;
}

/**
 * This machine, as a node of the wallet. Close it.
 * @throws QuorateError `usage` without a name; `key-unusable` when its signing key is not the one that is pinned.
 */
export async function openNode(context: Context, known: KnownWallet, values: NodeValues): Promise<OpenNode> {
  const name = nodeOf(context, values.node);
  const home = homeOf(context, values.home);
  const { fileKeys, stateFile } = await import('../../shares/home.ts');
  const token = await readNodeToken(home);
  const held = token === undefined ? undefined : await holdSession(context, token, values);
  const keys =
    held === undefined
      ? await fileKeys(home, known.wallet.name)
      : await (await import('../../shares/token-keys.ts')).tokenKeys(held.session, known.wallet.name);
  const pinned = known.wallet.nodes.get(name);
  if (pinned !== undefined && pinned !== keys.signer.key) {
    throw new QuorateError('key-unusable', `the signing key in ${home} is not the one that is pinned for ${name}`, {
      hint: 'Is this the right node, and the right --home? A new key has to be pinned in quorate.yaml on every machine.',
    });
  }
  for (const line of sharedRootLines(known.shared)) context.output.warn(line);
  const { store, next, close } = await openStore(context, known, name, 'node');
  const { kvStore } = await import('../../shares/kv-store.ts');
  const { mount } = placeOf(known, name);
  const sessions: Session[] = [];
  let current = store;
  return {
    node: {
      name,
      get store() {
        return current;
      },
      state: stateFile(home, known.wallet.name),
      keys,
    },
    moveOn: () => {
      const session = next();
      sessions.push(session);
      current = kvStore(session, mount, known.wallet.name, context.signal);
    },
    close: () => {
      for (const session of sessions) session.close();
      held?.close();
      close();
    },
  };
}

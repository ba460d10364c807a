import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll } from 'vitest';
import { renderYaml } from '../../src/document.ts';
import { callPeer, initialisedCluster, type LiveCluster, temporaryFolder } from './cluster.ts';
import { at, type HttpReply } from './http.ts';
import { type Ended, startQuorate } from './quorate.ts';

/** Two nodes of one wallet on two real clusters, and the folder in which operators and nodes run `quorate`. */

export const NODES = ['north', 'south'] as const;
export type NodeName = (typeof NODES)[number];

export interface JsonEnded extends Ended {
  readonly value: Readonly<Record<string, unknown>>;
}

export interface TestWallet {
  readonly folder: string;
  readonly clusters: Readonly<Record<NodeName, LiveCluster>>;
  /** The part of quorate.yaml that describes a node, to be changed with `describe`. */
  readonly keys: Readonly<Record<NodeName, string>>;
  readonly run: (args: readonly string[], input?: string) => Promise<Ended>;
  /** `--format json`, parsed. */
  readonly json: (args: readonly string[], input?: string) => Promise<JsonEnded>;
  /** Writes quorate.yaml; `more` goes into the wallet, each node or each cluster. */
  readonly describe: (more?: WalletChanges) => Promise<void>;
  /** A request as root. */
  readonly asRoot: (node: NodeName, method: string, path: string, body?: unknown) => Promise<HttpReply>;
  /** A secret id for the node's role `treasury-NODE`, in the file that its description names. */
  readonly giveSecretId: (node: NodeName, role?: string) => Promise<void>;
}

export interface WalletChanges {
  readonly wallet?: Readonly<Record<string, unknown>>;
  readonly nodes?: Partial<Readonly<Record<NodeName, Readonly<Record<string, unknown>>>>>;
  readonly clusters?: Partial<Readonly<Record<NodeName, Readonly<Record<string, unknown>>>>>;
}

/** The words that say which node a command runs on. */
export function asNode(folder: string, name: NodeName): string[] {
  return ['--node', name, '--home', join(folder, name)];
}

/** Two clusters of a peer each, and a wallet whose nodes log in by AppRole; nothing is set up on the servers. */
export async function layWallet(): Promise<TestWallet> {
  const folder = await temporaryFolder();
  const [north, south] = await Promise.all([initialisedCluster({ peers: 1 }), initialisedCluster({ peers: 1 })]);
  const clusters = { north, south };
  const run: TestWallet['run'] = (args, input) =>
    startQuorate(args, { cwd: folder, launcher: true, ...(input === undefined ? {} : { input }) }).ended;
  const json: TestWallet['json'] = async (args, input) => {
    const ended = await run([...args, '--format', 'json'], input);
    return { ...ended, value: JSON.parse(ended.stdout === '' ? '{}' : ended.stdout) as Record<string, unknown> };
  };
  const keys: Record<NodeName, string> = { north: '', south: '' };
  for (const name of NODES) {
    await mkdir(join(folder, name), { mode: 0o700 });
    await writeFile(join(folder, `${name}.token`), clusters[name].rootToken, { mode: 0o600 });
    const { value, stderr } = await json(['shares', 'enroll', 'treasury', '--home', join(folder, name)]);
    if (typeof value['signingKey'] !== 'string') throw new Error(stderr);
    keys[name] = value['signingKey'];
  }
  const asRoot: TestWallet['asRoot'] = (node, method, path, body) => {
    const { cluster, rootToken } = clusters[node];
    return callPeer(cluster, 0, method, path, { token: rootToken, ...(body === undefined ? {} : { body }) });
  };
  const wallet: TestWallet = {
    folder,
    clusters,
    keys,
    run,
    json,
    asRoot,
    describe: (more = {}) => writeFile(join(folder, 'quorate.yaml'), renderYaml(described(clusters, keys, more))),
    giveSecretId: async (node, role = `treasury-${node}`) => {
      const { body } = await asRoot(node, 'POST', `auth/approle/role/${role}/secret-id`, {});
      await writeFile(join(folder, `${node}.secret-id`), String(at(body, 'data', 'secret_id')), { mode: 0o600 });
    },
  };
  await wallet.describe();
  return wallet;
}

/** Stages what `shares put` is given as this node's share of an epoch. */
export function putShare(wallet: TestWallet, name: NodeName, epoch: number): Promise<JsonEnded> {
  const index = (NODES.indexOf(name) + 1).toString();
  const what = ['--epoch', epoch.toString(), '--scheme', 'cggmp21', '--index', index, '--share-fd', '0'];
  const args = ['shares', 'put', 'treasury', ...asNode(wallet.folder, name), ...what];
  return wallet.json(args, `${name} ${epoch.toString()}`);
}

/** Brings both nodes to an epoch, until it is settled. */
export async function moveTo(wallet: TestWallet, epoch: number): Promise<void> {
  for (const name of NODES) {
    const { status, stderr } = await putShare(wallet, name, epoch);
    if (status !== 0) throw new Error(stderr);
  }
  for (let round = 0; round < 4; round += 1) {
    const { status } = await wallet.json(['shares', 'refresh', 'treasury']);
    if (status === 0 && round > 0) return;
    for (const name of NODES) await wallet.run(['shares', 'refresh', 'treasury', ...asNode(wallet.folder, name)]);
  }
  throw new Error(`epoch ${epoch.toString()} is not settled`);
}

/** One for all tests of a file. */
export function sharedWallet(): () => TestWallet {
  let wallet: TestWallet | undefined;
  beforeAll(async () => {
    wallet = await layWallet();
  });
  return () => {
    if (wallet === undefined) throw new Error('the shared wallet exists only while tests run');
    return wallet;
  };
}

function described(
  clusters: Readonly<Record<NodeName, LiveCluster>>,
  keys: Readonly<Record<NodeName, string>>,
  { wallet, nodes, clusters: changed }: WalletChanges,
): unknown {
  const each = (make: (name: NodeName) => unknown): Record<string, unknown> =>
    Object.fromEntries(NODES.map((name) => [name, make(name)]));
  return {
    clusters: each((name) => ({
      ca: clusters[name].cluster.caFile,
      auth: { method: 'token-file', file: `${name}.token` },
      peers: [{ name, address: clusters[name].cluster.peers[0]?.address ?? '' }],
      ...changed?.[name],
    })),
    wallets: {
      treasury: {
        threshold: 2,
        nodes: each((name) => ({
          'cluster': name,
          'signing-key': keys[name],
          'network': ['127.0.0.0/8'],
          'auth': { 'method': 'approle', 'role-id': `${name}-role-id`, 'secret-id-file': `${name}.secret-id` },
          'role': { 'method': 'approle', 'secret-id-uses': 0 },
          ...nodes?.[name],
        })),
        ...wallet,
      },
    },
  };
}

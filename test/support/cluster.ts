import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll } from 'vitest';
import { type ClusterOptions, startCluster, type ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import { atEnd } from './at-end.ts';
import { baoBinary } from './bao-binary.ts';
import { at, call, type HttpOptions, type HttpReply } from './http.ts';
import { vaultBinary } from './vault-binary.ts';
import { waitUntil } from './wait.ts';

export type FreshOptions = Partial<Omit<ClusterOptions, 'folder' | 'binary'>>;

export interface InitOptions extends FreshOptions {
  /** Default 3 and 2. */
  readonly shares?: number;
  readonly threshold?: number;
  /** Default true. When false, all peers have joined, were restarted and are sealed. */
  readonly unsealed?: boolean;
  /** Whether to wait until all peers are voters: seconds more. Default false. */
  readonly voters?: boolean;
}

export interface LiveCluster {
  readonly cluster: ThrowawayCluster;
  /** Hexadecimal, in the server's order. */
  readonly shares: readonly string[];
  readonly threshold: number;
  readonly rootToken: string;
}

const folders: string[] = [];
const clusters: ThrowawayCluster[] = [];

// Whatever a test file started is gone when it ends.
atEnd(async () => {
  await Promise.all(clusters.splice(0).map((cluster) => cluster.remove()));
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
});

/** A folder with a short path, deleted at the end of the test file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'quorate-test-'));
  folders.push(folder);
  return folder;
}

/** A cluster whose peers listen, uninitialised. Under a second. */
export async function freshCluster(options: FreshOptions = {}): Promise<ThrowawayCluster> {
  const flavour = options.flavour ?? 'openbao';
  const binary = flavour === 'openbao' ? await baoBinary() : vaultBinary();
  if (binary === undefined) throw new Error('there is no HashiCorp Vault: the test should have been skipped');
  const cluster = await startCluster({ ...options, flavour, binary, folder: join(await temporaryFolder(), 'cluster') });
  clusters.push(cluster);
  return cluster;
}

/** A cluster that was initialised by its first peer, with shares in clear. About 10 s, with `voters` 15 s. */
export async function initialisedCluster(options: InitOptions = {}): Promise<LiveCluster> {
  const cluster = await freshCluster(options);
  const live = await initialise(cluster, options);
  await unsealAll(live);
  if (options.voters ?? false) await waitForVoters(live);
  if (!(options.unsealed ?? true)) await reseal(live);
  return live;
}

/**
 * One cluster for all tests of a file or `describe`: call it there, and the function that it returns inside tests.
 * Tests that change the cluster put it back (`reseal`, `unsealAll`, `restoreData`).
 */
export function sharedCluster(options: InitOptions = {}): () => LiveCluster {
  let live: LiveCluster | undefined;
  beforeAll(async () => {
    live = await initialisedCluster(options);
  });
  return () => {
    if (live === undefined) throw new Error('the shared cluster exists only while tests run');
    return live;
  };
}

/** A request to one peer. */
export function callPeer(
  cluster: ThrowawayCluster,
  index: number,
  method: string,
  path: string,
  options?: HttpOptions,
): Promise<HttpReply> {
  return call({ address: peerOf(cluster, index).address, caFile: cluster.caFile }, method, path, options);
}

/**
 * Initialises the first peer, which is sealed then. The others say that they are initialised only after it was
 * unsealed: before, nobody answers their request to join (both servers).
 */
export async function initialise(
  cluster: ThrowawayCluster,
  { shares = 3, threshold = 2 }: { readonly shares?: number; readonly threshold?: number } = {},
): Promise<LiveCluster> {
  const body = { secret_shares: shares, secret_threshold: threshold };
  const reply = await callPeer(cluster, 0, 'PUT', 'sys/init', { body });
  if (reply.status !== 200) throw new Error(`init answered ${reply.status.toString()}`);
  const { keys, root_token: rootToken } = reply.body as { keys: string[]; root_token: string };
  return { cluster, shares: keys, threshold, rootToken };
}

/** Unseals the peers that run and are sealed, and waits until all of them are unsealed and one leads. */
export async function unsealAll(live: LiveCluster): Promise<void> {
  await Promise.all(
    live.cluster.peers.map(async (peer, index) => {
      if (peer.pid !== undefined) await unsealPeer(live, index);
    }),
  );
  await waitForAll(live.cluster, 'is unsealed', (status) => status['sealed'] === false);
  await waitUntil('there is a leader', () => leaderIndex(live.cluster));
}

/** Gives one peer, once it is initialised, a threshold of shares. It may be unsealed only seconds later, when it has to join first. */
export async function unsealPeer({ cluster, shares, threshold }: LiveCluster, index: number): Promise<void> {
  const status = await waitUntil(`peer ${index.toString()} is initialised`, async () => {
    const reply = await callPeer(cluster, index, 'GET', 'sys/seal-status');
    return at(reply.body, 'initialized') === true && reply;
  });
  if (at(status.body, 'sealed') === false) return;
  if (Number(at(status.body, 'progress')) > 0)
    await callPeer(cluster, index, 'PUT', 'sys/unseal', { body: { reset: true } });
  for (const key of shares.slice(0, threshold)) {
    const reply = await callPeer(cluster, index, 'PUT', 'sys/unseal', { body: { key } });
    if (reply.status !== 200) throw new Error(`unseal answered ${reply.status.toString()}`);
  }
}

/** Restarts every peer: all are sealed then, and no attempt is under way. */
export async function reseal({ cluster }: LiveCluster): Promise<void> {
  await cluster.stop();
  await startAll(cluster);
  await waitForAll(cluster, 'is initialised', (status) => status['initialized'] === true);
}

/** Waits until every peer is a voter (the cluster then survives the loss of one). Hastens it where it can. */
export async function waitForVoters({ cluster, rootToken }: LiveCluster): Promise<void> {
  const path = 'sys/storage/raft/autopilot';
  const leader = async () => (await leaderIndex(cluster)) ?? 0;
  const body = { server_stabilization_time: '1s' };
  await callPeer(cluster, await leader(), 'POST', `${path}/configuration`, { token: rootToken, body });
  await waitUntil('every peer is a voter', async () => {
    const state = await callPeer(cluster, await leader(), 'GET', `${path}/state`, { token: rootToken });
    const voters = at(state.body, 'data', 'voters', 'length');
    return voters === cluster.peers.length && at(state.body, 'data', 'healthy') === true;
  });
}

/** The peer that leads, counted from 0; undefined while none does. */
export async function leaderIndex(cluster: ThrowawayCluster): Promise<number | undefined> {
  for (const [index, peer] of cluster.peers.entries()) {
    if (peer.pid === undefined) continue;
    const reply = await callPeer(cluster, index, 'GET', 'sys/leader').catch(() => undefined);
    // A peer answers so already before it can serve: `active_time` is the zero time until then.
    if (at(reply?.body, 'is_self') === true && !String(at(reply?.body, 'active_time')).startsWith('0001')) return index;
  }
  return undefined;
}

/** Waits until `sys/seal-status` of every running peer satisfies `condition`. */
export async function waitForAll(
  cluster: ThrowawayCluster,
  what: string,
  condition: (status: Readonly<Record<string, unknown>>) => boolean,
): Promise<void> {
  await Promise.all(
    cluster.peers.map(async (peer, index) => {
      if (peer.pid === undefined) return;
      await waitUntil(`${peer.name} ${what}`, async () =>
        condition((await callPeer(cluster, index, 'GET', 'sys/seal-status')).body as Record<string, unknown>),
      );
    }),
  );
}

/** Stops all peers and copies their data aside under `name`; they stay stopped. */
export async function copyData(cluster: ThrowawayCluster, name: string): Promise<void> {
  await cluster.stop('SIGTERM');
  await Promise.all(
    cluster.peers.map((peer) => cp(peer.dataFolder, join(peer.folder, `data-${name}`), { recursive: true })),
  );
}

/** Stops all peers, puts back what `copyData` copied, and starts them (sealed, if they were ever initialised). */
export async function restoreData(cluster: ThrowawayCluster, name: string): Promise<void> {
  await cluster.stop();
  await Promise.all(
    cluster.peers.map(async (peer) => {
      await rm(peer.dataFolder, { recursive: true, force: true });
      await cp(join(peer.folder, `data-${name}`), peer.dataFolder, { recursive: true });
    }),
  );
  await startAll(cluster);
}

/** Stops all peers, deletes their data and starts them: uninitialised, with the same ports and certificates. */
export async function startOver(cluster: ThrowawayCluster): Promise<void> {
  await cluster.stop();
  await Promise.all(cluster.peers.map((_, index) => cluster.wipe(index)));
  await startAll(cluster);
}

/** Starts the peers that do not run. */
export async function startAll(cluster: ThrowawayCluster): Promise<void> {
  await Promise.all(
    cluster.peers.map(async (peer, index) => {
      if (peer.pid === undefined) await cluster.start(index);
    }),
  );
}

function peerOf(cluster: ThrowawayCluster, index: number): ThrowawayCluster['peers'][number] {
  const peer = cluster.peers[index];
  if (peer === undefined) throw new Error(`the cluster has no peer ${index.toString()}`);
  return peer;
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster, type ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import { baoBinary } from '../support/bao-binary.ts';
import { at, call } from '../support/http.ts';
import { waitUntil } from '../support/wait.ts';

/** A real OpenBao cluster with shares in clear, unsealed; `folder` is for the case's own files. */
export interface BenchCluster {
  readonly cluster: ThrowawayCluster;
  readonly bao: string;
  readonly folder: string;
  /** Hexadecimal; as many as the threshold. */
  readonly shares: readonly string[];
  readonly rootToken: string;
  /** Restarts every peer: all are sealed then, and know that they are initialised. */
  readonly seal: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Starts `peers` peers whose root key is in `shares` shares, all of which are needed. */
export async function startServers({
  peers,
  shares: count,
}: {
  readonly peers: number;
  readonly shares: number;
}): Promise<BenchCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'quorate-bench-'));
  const bao = await baoBinary();
  const cluster = await startCluster({ flavour: 'openbao', binary: bao, peers, folder: join(folder, 'cluster') });
  const close = async (): Promise<void> => {
    await cluster.remove();
    await rm(folder, { recursive: true, force: true });
  };
  const ask = (index: number, method: string, path: string, body?: unknown): ReturnType<typeof call> =>
    call({ address: cluster.peers[index]?.address ?? '', caFile: cluster.caFile }, method, path, { body });
  const everywhere = (what: string, field: string, value: boolean): Promise<unknown> =>
    Promise.all(
      cluster.peers.map((peer, index) =>
        waitUntil(`${peer.name} ${what}`, async () => {
          return at((await ask(index, 'GET', 'sys/seal-status')).body, field) === value;
        }),
      ),
    );
  const seal = async (): Promise<void> => {
    await cluster.stop();
    await Promise.all(cluster.peers.map((_, index) => cluster.start(index)));
    await everywhere('is initialised', 'initialized', true);
  };
  try {
    const reply = await ask(0, 'PUT', 'sys/init', { secret_shares: count, secret_threshold: count });
    const shares = at(reply.body, 'keys') as readonly string[];
    const rootToken = String(at(reply.body, 'root_token'));
    for (const index of cluster.peers.keys()) {
      await waitUntil('the peer is initialised', async () => {
        return at((await ask(index, 'GET', 'sys/seal-status')).body, 'initialized') === true;
      });
      for (const key of shares) await ask(index, 'PUT', 'sys/unseal', { key });
    }
    await everywhere('is unsealed', 'sealed', false);
    return { cluster, bao, folder, shares, rootToken, seal, close };
  } catch (error) {
    await close();
    throw error;
  }
}

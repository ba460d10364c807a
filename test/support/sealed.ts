import { at } from './http.ts';
import { callPeer, type LiveCluster, reseal, startAll } from './cluster.ts';

export interface Standing {
  readonly sealed: boolean;
  readonly progress: number;
  readonly nonce: string;
}

/** What every running peer says of its seal; null for one that does not run. */
export function standings({ cluster }: Pick<LiveCluster, 'cluster'>): Promise<readonly (Standing | null)[]> {
  return Promise.all(
    cluster.peers.map(async (peer, index) => {
      if (peer.pid === undefined) return null;
      const { body } = await callPeer(cluster, index, 'GET', 'sys/seal-status');
      return {
        sealed: at(body, 'sealed') === true,
        progress: Number(at(body, 'progress')),
        nonce: String(at(body, 'nonce')),
      };
    }),
  );
}

export const SEALED: Standing = { sealed: true, progress: 0, nonce: '' };
export const OPEN: Standing = { sealed: false, progress: 0, nonce: '' };

/** All peers run, are sealed, and no attempt is under way; restarts only what it must. */
export async function sealAgain(live: LiveCluster): Promise<void> {
  await startAll(live.cluster);
  if ((await standings(live)).some((one) => one?.sealed !== true)) {
    await reseal(live);
    return;
  }
  await Promise.all(live.cluster.peers.map((_, index) => resetPeer(live, index)));
}

/** Drops the attempt on a peer, as anybody can. */
export async function resetPeer({ cluster }: LiveCluster, index: number): Promise<void> {
  const reply = await callPeer(cluster, index, 'PUT', 'sys/unseal', { body: { reset: true } });
  if (reply.status !== 200) throw new Error(`reset answered ${reply.status.toString()}`);
}

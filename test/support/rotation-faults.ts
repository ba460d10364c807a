import { connectPeer } from '../../src/vault/connect.ts';
import type { Peer } from '../../src/vault/peer.ts';
import { callPeer, type LiveCluster, leaderIndex, unsealPeer, waitForVoters } from './cluster.ts';
import { type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts';
import { at } from './http.ts';
import type { RotationTest } from './rotation.ts';
import { waitUntil } from './wait.ts';

/** Whether a new share is asked for. */
export const isNew = (request: { readonly wanted?: string }): boolean => request.wanted?.includes('new') === true;

/** Calls `act` when the n-th new share is about to be given, once. */
export function atNewShare(number: number, act: () => Promise<unknown>): NonNullable<RotationTest['onShare']> {
  let seen = 0;
  return async (request) => {
    if (!isNew(request)) return undefined;
    seen += 1;
    if (seen === number) await act();
    return undefined;
  };
}

/** The peer that leads, once one does. */
export async function leader(live: LiveCluster): Promise<number> {
  return waitUntil('a peer leads', async () => {
    const index = await leaderIndex(live.cluster);
    return index === undefined ? undefined : { index };
  }).then(({ index }) => index);
}

/** Has another peer lead. */
export async function stepDown(live: LiveCluster): Promise<void> {
  const before = await leader(live);
  await callPeer(live.cluster, before, 'PUT', 'sys/step-down', { token: live.rootToken });
  await waitUntil('another peer leads', async () => {
    const now = await leaderIndex(live.cluster);
    return now !== undefined && now !== before;
  });
}

/**
 * Has a certain peer lead. Raft hands the leadership to whichever follower is furthest, so the third peer is frozen
 * meanwhile: nobody else is left.
 */
export async function leadAgain(live: LiveCluster, index: number): Promise<void> {
  const now = await leader(live);
  if (now === index) return;
  const others = live.cluster.peers.map((_, each) => each).filter((each) => each !== now && each !== index);
  for (const other of others) await live.cluster.kill(other, 'SIGSTOP');
  try {
    await callPeer(live.cluster, now, 'PUT', 'sys/step-down', { token: live.rootToken });
    await waitUntil('that peer leads', async () => {
      const reply = await callPeer(live.cluster, index, 'GET', 'sys/leader').catch(() => undefined);
      return at(reply?.body, 'is_self') === true && !String(at(reply?.body, 'active_time')).startsWith('0001');
    });
  } finally {
    for (const other of others) await live.cluster.kill(other, 'SIGCONT');
  }
}

/** Starts a peer whose disk is as it was when it was killed: it takes the one set, or the other, or must join anew. */
export async function takeBack(live: LiveCluster, index: number, sets: readonly LiveCluster[]): Promise<void> {
  await live.cluster.start(index);
  for (const set of sets) {
    const opened = await unsealPeer(set, index).then(
      () => true,
      () => false,
    );
    if (opened) {
      await waitForVoters(live);
      return;
    }
  }
  const body = { server_id: live.cluster.peers[index]?.name };
  const token = live.rootToken;
  await callPeer(live.cluster, await leader(live), 'POST', 'sys/storage/raft/remove-peer', { token, body });
  await live.cluster.kill(index);
  await live.cluster.wipe(index);
  await live.cluster.start(index);
  const [official] = sets;
  if (official !== undefined) await unsealPeer(official, index);
  await waitForVoters(live);
}

/** The peers, with a proxy before the one that leads. */
export async function withProxy(
  live: LiveCluster,
): Promise<{ readonly proxy: CuttingProxy; readonly peers: readonly Peer[] }> {
  const index = await leader(live);
  const proxy = await startCuttingProxy(live.cluster, index);
  const peers = live.cluster.peers.map(({ name, address }, at) =>
    connectPeer({
      name,
      address: at === index ? proxy.address : address,
      ca: live.cluster.caFile,
      timeout: 20_000,
    }),
  );
  return { proxy, peers };
}

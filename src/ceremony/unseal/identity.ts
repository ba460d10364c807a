import { QuorateError } from '../../errors.ts';
import type { Peer } from '../../vault/peer.ts';
import type { Run } from '../kind.ts';
import { clockSkew, surveyPeers } from '../survey.ts';

/**
 * Records every peer as it is now, and requires that all unsealed ones show one cluster id
 * (a sealed peer does not tell its id), which is `expected` where that is known.
 * @throws QuorateError `cluster-mismatch`.
 */
export async function assertOneCluster(run: Run, peers: readonly Peer[], expected?: string): Promise<void> {
  const surveys = await surveyPeers(peers, { signal: run.signal });
  for (const { peer, state, seal, health } of surveys) {
    await run.record({
      event: 'peer',
      peer: peer.name,
      address: peer.address,
      flavour: seal?.flavour ?? 'unknown',
      version: seal?.version ?? 'unknown',
      seal: seal?.type ?? 'unknown',
      state,
      ...(peer.certificate === undefined ? {} : { certificate: `sha256:${peer.certificate}` }),
      ...(health === undefined ? {} : { skew: clockSkew(health) }),
      ...(seal?.clusterId === undefined ? {} : { clusterId: seal.clusterId }),
      ...(seal === undefined ? {} : { shares: seal.shares, threshold: seal.threshold }),
    });
  }
  const ids = new Map<string, string[]>();
  for (const { peer, seal } of surveys) {
    if (seal?.clusterId !== undefined) ids.set(seal.clusterId, [...(ids.get(seal.clusterId) ?? []), peer.name]);
  }
  const list = [...ids].map(([id, names]) => `${id} (${names.join(', ')})`).join('; ');
  if (ids.size > 1) {
    throw new QuorateError('cluster-mismatch', `the peers belong to ${ids.size.toString()} clusters: ${list}`, {
      hint: 'Two were initialised apart. Keep the right one, wipe the storage of the others and let them join it.',
    });
  }
  if (expected !== undefined && ids.size === 1 && !ids.has(expected)) {
    throw new QuorateError('cluster-mismatch', `the roster is of cluster ${expected}, the peers are of ${list}`, {
      hint: 'Check the addresses and the roster in quorate.yaml.',
    });
  }
}

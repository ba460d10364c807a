import type { ClusterConfig, WalletConfig } from '../../config.ts';
import { QuorateError } from '../../errors.ts';

type Clusters = Readonly<Record<string, ClusterConfig>>;

/** Nodes that share a cluster; whoever is root there reads the stores of all of them. */
export type SharedRoot = readonly (readonly string[])[];

/**
 * The nodes that share a cluster by what quorate.yaml says: one address or one pinned id is one cluster, whatever names
 * it has. What the clusters themselves say comes to that with `live`, their ids by node.
 */
export function sharedClusters(
  { nodes }: WalletConfig,
  clusters: Clusters,
  live: ReadonlyMap<string, string> = new Map(),
): SharedRoot {
  const groups: { readonly marks: Set<string>; readonly members: string[] }[] = [];
  for (const [node, { cluster }] of Object.entries(nodes)) {
    const described = clusters[cluster];
    const marks = new Set([
      ...(described?.peers ?? []).map(({ address }) => address.replace(/\/+$/, '').toLowerCase()),
      ...[described?.['cluster-id'], live.get(node)].filter((id) => id !== undefined).map((id) => id.toLowerCase()),
    ]);
    const [first, ...others] = groups.filter((known) => [...marks].some((mark) => known.marks.has(mark)));
    if (first === undefined) groups.push({ marks, members: [node] });
    else {
      for (const one of [...others, { marks, members: [node] }]) {
        first.members.push(...one.members);
        for (const mark of one.marks) first.marks.add(mark);
      }
      for (const one of others) groups.splice(groups.indexOf(one), 1);
    }
  }
  return groups.filter(({ members }) => members.length > 1).map(({ members }) => members);
}

/** @throws QuorateError `policy`, unless that is accepted. */
export function refuseSharedRoot(wallet: string, shared: SharedRoot, accepted: boolean): void {
  const [one] = shared;
  if (one === undefined || accepted) return;
  throw new QuorateError('policy', `${one.join(' and ')} of ${wallet} keep their shares on one cluster`, {
    hint: 'Whoever is root there reads both stores. Give each node a cluster of its own, or say accept-shared-root: true.',
  });
}

/** @throws QuorateError `policy`: two nodes that write to one place would overwrite each other. */
export function refuseSamePlace(wallet: string, { nodes }: WalletConfig, clusters: Clusters): void {
  const places = new Map<string, string>();
  for (const [node, { cluster, namespace, mount }] of Object.entries(nodes)) {
    const inside = [clusters[cluster]?.namespace, namespace].filter((one) => one !== undefined).at(-1) ?? '';
    const place = JSON.stringify([clusters[cluster]?.peers[0]?.address ?? cluster, inside, mount]);
    const other = places.get(place);
    if (other !== undefined) {
      throw new QuorateError('policy', `${other} and ${node} of ${wallet} have one place for their shares`, {
        hint: 'Give each a mount, a namespace, or best a cluster of its own.',
      });
    }
    places.set(place, node);
  }
}

/** What every report says of nodes that share a cluster. */
export function sharedRootLines(shared: SharedRoot): string[] {
  return shared.map((nodes) => `${nodes.join(' and ')} share a cluster, whose root reads their stores`);
}

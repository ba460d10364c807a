import type { ClusterConfig, Config } from '../../config.ts';
import type { Custodians, Topology, TopologyNode } from '../../separation/topology.ts';
import { nodeLogin } from '../../wallet-config.ts';

/**
 * Where shares are and who opens the seals before them, as `quorate.yaml` and the rosters that it names say.
 * @param wallet only this one.
 * @throws as `loadRoster`.
 */
export async function topologyOf({ wallets, clusters }: Config, wallet?: string): Promise<Topology> {
  const chosen = Object.entries(wallets).filter(([name]) => wallet === undefined || name === wallet);
  const used = new Set(chosen.flatMap(([, { nodes }]) => Object.values(nodes).map(({ cluster }) => cluster)));
  const custodians = await Promise.all(
    Object.entries(clusters)
      .filter(([name]) => used.has(name))
      .map(([name, cluster]) => custodiansOf(name, cluster)),
  );
  return {
    wallets: chosen.map(([name, { threshold, nodes, 'accept-shared-root': acceptSharedRoot }]) => ({
      name,
      threshold,
      acceptSharedRoot,
      nodes: Object.entries(nodes).map(([node, described]) => topologyNode(name, node, described)),
    })),
    custodians: custodians.flat(),
  };
}

type DescribedNode = Config['wallets'][string]['nodes'][string];

function topologyNode(
  wallet: string,
  name: string,
  { cluster, namespace, mount, auth, role }: DescribedNode,
): TopologyNode {
  const login = nodeLogin(wallet, name, { role, auth });
  return {
    name,
    cluster,
    namespace: namespace === undefined ? '' : `${namespace}/`,
    mount,
    ...(login === undefined ? {} : { login: { mount: login.mount, role: login.role } }),
  };
}

async function custodiansOf(cluster: string, { roster, namespaces }: ClusterConfig): Promise<readonly Custodians[]> {
  const named = [
    ...(roster === undefined ? [] : [{ namespace: '', roster }]),
    ...namespaces.flatMap((one) =>
      one.roster === undefined ? [] : [{ namespace: `${one.path}/`, roster: one.roster }],
    ),
  ];
  if (named.length === 0) return [];
  const { loadRoster } = await import('../../ceremony/roster/roster.ts');
  return Promise.all(
    named.map(async ({ namespace, roster: file }): Promise<Custodians> => {
      const { threshold, shares, 'cluster-id': clusterId } = await loadRoster(file);
      return {
        cluster,
        namespace,
        threshold,
        ...(clusterId === undefined ? {} : { clusterId }),
        holders: shares.map(({ holder, pgp, ssh }) => ({
          name: holder,
          keys: [pgp, ssh].filter((key) => key !== undefined),
        })),
      };
    }),
  );
}

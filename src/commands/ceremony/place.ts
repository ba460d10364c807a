import { access } from 'node:fs/promises';
import type { CeremonySetting } from '../../ceremony/engine.ts';
import type { Roster } from '../../ceremony/roster/schema.ts';
import type { CeremonyLogin, ConnectedCluster, Context } from '../../context.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';

/** Where a ceremony works: a cluster, or a namespace of it with a seal of its own. */
export type Place = Pick<CeremonySetting, 'cluster' | 'login' | 'roster' | 'otherRosters'> &
  Required<Pick<CeremonySetting, 'enter'>>;

/** The cluster, or the namespace, as a ceremony sees it, with who holds which share there. Nothing is sent yet. */
export async function ceremonyPlace(
  context: Context,
  cluster: ConnectedCluster,
  namespace: string | undefined,
  logIn: CeremonyLogin['login'],
): Promise<Place> {
  const entered = await context.enter(cluster, logIn, namespace);
  const name = placeName(cluster.name, namespace);
  return {
    cluster: {
      name,
      peers: entered.peers,
      ...(namespace === undefined ? {} : { namespace }),
      ...(cluster.config?.namespace === undefined ? {} : { home: cluster.config.namespace }),
      namespaces: (cluster.config?.namespaces ?? []).map(({ path }) => path),
    },
    login: (peer) => entered.login(peer),
    enter: (inner) => ceremonyPlace(context, cluster, inner, logIn),
    ...(await loadRosters(context, name)),
  };
}

/** What a cluster, or a namespace in it, is called in rosters and messages. */
export function placeName(cluster: string, namespace: string | undefined): string {
  return namespace === undefined ? cluster : `${cluster}/${namespace}`;
}

/** Where quorate.yaml keeps the roster of the cluster, or of the namespace. */
export function rosterFile({ config }: ConnectedCluster, namespace: string | undefined): string | undefined {
  if (namespace === undefined) return config?.roster;
  return config?.namespaces.find(({ path }) => path === namespace)?.roster;
}

/**
 * A reviewed script is for what it names, whatever the environment says.
 * @throws QuorateError `usage` when options or environment name another namespace.
 */
export function refuseOtherNamespace(cluster: ConnectedCluster, namespace: string | undefined): void {
  if (cluster.namespace === undefined || cluster.namespace === namespace) return;
  const script = namespace === undefined ? 'the cluster itself' : `the namespace ${namespace}`;
  throw new QuorateError('usage', `the script is for ${script}, not for the namespace ${cluster.namespace}`, {
    hint: 'Leave --namespace out, and unset BAO_NAMESPACE and VAULT_NAMESPACE, or take another script.',
  });
}

/** For these there is no use in asking people first. */
const HOPELESS = new Set<string>(['server-unsupported', 'token-missing', 'denied']);

/**
 * Where no peer tells of the namespace's seal for want of a token, or because it has none.
 * @throws QuorateError `server-unsupported`, `token-missing`, `denied`.
 */
export async function refuseWithoutSeal({ cluster }: Place, signal: AbortSignal): Promise<void> {
  if (cluster.namespace === undefined) return;
  let hopeless: QuorateError | undefined;
  for (const peer of cluster.peers) {
    try {
      await peer.sealStatus({ signal });
      return;
    } catch (error) {
      if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
      if (HOPELESS.has(error.code)) hopeless ??= error;
    }
  }
  if (hopeless !== undefined) throw hopeless;
}

/** A place's roster, and those of all others in quorate.yaml, whose shares are then called by their name. */
export async function loadRosters(
  context: Context,
  name: string,
): Promise<{ roster?: Roster; otherRosters: readonly Roster[] }> {
  const clusters = Object.entries((await context.config())?.clusters ?? {});
  const files = clusters.flatMap(([key, { roster, namespaces }]) => [
    [key, roster] as const,
    ...namespaces.map((one) => [placeName(key, one.path), one.roster] as const),
  ]);
  let own: Roster | undefined;
  const otherRosters: Roster[] = [];
  for (const [key, file] of files) {
    if (file === undefined || !(await exists(file))) continue;
    const { loadRoster } = await import('../../ceremony/roster/roster.ts');
    const loaded = await loadRoster(file);
    if (key === name) own = loaded;
    else otherRosters.push(loaded);
  }
  return { otherRosters, ...(own === undefined ? {} : { roster: own }) };
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

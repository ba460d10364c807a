import type { ClusterChoice, Context } from '../context.ts';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { Login } from '../vault/login/outcome.ts';
import type { Peer } from '../vault/peer.ts';
import type { AuthSettings } from '../vault/login/settings.ts';
import { clusterChoice } from './cluster-options.ts';

/** A login, and the peers that it is good for; the one it was made at comes first. */
export interface ClusterLogin {
  readonly login: Login;
  readonly peers: readonly Peer[];
  readonly auth: AuthSettings;
}

/**
 * Logs in at the first peer that can be reached and is unsealed: every one serves, or passes on to the one that leads.
 * @throws QuorateError as `Context.cluster` and `Context.login`; the last peer's fault when none answers.
 */
export async function logIn(
  context: Context,
  choice: ClusterChoice,
  { unchecked, auth: wanted }: { readonly unchecked: boolean; readonly auth?: AuthSettings },
): Promise<ClusterLogin> {
  const { peers, config } = await context.cluster(clusterChoice(choice));
  const auth: AuthSettings = wanted ?? config?.auth ?? { method: 'token' };
  let fault: unknown = new QuorateError('cluster-unknown', 'the cluster has no peers');
  for (const peer of peers) {
    try {
      const login = await context.login(peer, auth, { unchecked });
      return { login, auth, peers: [peer, ...peers.filter((one) => one !== peer)] };
    } catch (error) {
      if (!isAway(error)) throw error;
      fault = error;
    }
  }
  throw fault;
}

function isAway(error: unknown): boolean {
  return isQuorateError(error, 'server-unreachable') || isQuorateError(error, 'sealed');
}

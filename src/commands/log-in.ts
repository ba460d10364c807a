import { setTimeout as pause } from 'node:timers/promises';
import type { AuthSettings } from '../auth.ts';
import type { ClusterChoice, Context } from '../context.ts';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { Login } from '../vault/login/outcome.ts';
import type { Peer } from '../vault/peer.ts';
import { clusterChoice } from './cluster-options.ts';

/** A login, and the peers that it is good for; the one it was made at comes first. */
export interface ClusterLogin {
  readonly login: Login;
  readonly peers: readonly Peer[];
  /** How it was made. */
  readonly auth: AuthSettings;
}

export interface LogInOptions {
  /** As `LoginOptions` of the context. */
  readonly unchecked: boolean;
  readonly lasting?: boolean;
  /** In place of what the choice or `quorate.yaml` says. */
  readonly auth?: AuthSettings;
}

/** An election takes a second or two. */
const ELECTION = 15_000;
const BETWEEN = 500;

/**
 * Logs in to the cluster that is chosen, at one of its peers.
 * @throws QuorateError as `Context.cluster`, and as `logInAtOne`.
 */
export async function logIn(context: Context, choice: ClusterChoice, options: LogInOptions): Promise<ClusterLogin> {
  const { peers, auth } = await context.cluster({
    ...clusterChoice(choice),
    ...(options.auth === undefined ? {} : { auth: options.auth }),
  });
  const { login, peer } = await logInAtOne(context, peers, (one) => context.login(one, auth, options));
  return { login, auth, peers: [peer, ...peers.filter((one) => one !== peer)] };
}

/**
 * Logs in at the first peer that can be reached and is unsealed: every one serves, or passes on to the one that leads.
 * While the cluster elects a leader, the peers are asked again.
 * @throws QuorateError as `Context.login`; the last peer's fault when none answers.
 */
export async function logInAtOne(
  { signal }: Pick<Context, 'signal'>,
  peers: readonly Peer[],
  logInAt: (peer: Peer) => Promise<Login>,
): Promise<{ readonly login: Login; readonly peer: Peer }> {
  const deadline = Date.now() + ELECTION;
  for (;;) {
    const faults: QuorateError[] = [];
    for (const peer of peers) {
      try {
        return { login: await logInAt(peer), peer };
      } catch (error) {
        if (!isAway(error)) throw error;
        faults.push(error);
      }
    }
    // A standby that has lost its leader sends elsewhere; where there is no other peer, so does a load balancer.
    const elects = faults.some(({ code }) => code === 'not-ready' || (code === 'server-redirect' && peers.length > 1));
    if (!elects || Date.now() > deadline) {
      throw faults.at(-1) ?? new QuorateError('cluster-unknown', 'the cluster has no peers');
    }
    await pause(BETWEEN, undefined, { signal }).catch(() => {
      throw new QuorateError('cancelled', 'cancelled while the cluster elects a leader');
    });
  }
}

const AWAY = new Set<string>(['server-unreachable', 'sealed', 'not-ready', 'server-redirect']);

function isAway(error: unknown): error is QuorateError {
  return isQuorateError(error) && AWAY.has(error.code);
}

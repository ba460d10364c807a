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
 * Logs in at the first peer that can be reached and is unsealed: every one serves, or passes on to the one that leads.
 * While the cluster elects a leader, the peers are asked again.
 * @throws QuorateError as `Context.cluster` and `Context.login`; the last peer's fault when none answers.
 */
export async function logIn(context: Context, choice: ClusterChoice, options: LogInOptions): Promise<ClusterLogin> {
  const { peers, auth } = await context.cluster({
    ...clusterChoice(choice),
    ...(options.auth === undefined ? {} : { auth: options.auth }),
  });
  const deadline = Date.now() + ELECTION;
  for (;;) {
    const faults: QuorateError[] = [];
    for (const peer of peers) {
      try {
        const login = await context.login(peer, auth, options);
        return { login, auth, peers: [peer, ...peers.filter((one) => one !== peer)] };
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
    await pause(BETWEEN, undefined, { signal: context.signal }).catch(() => {
      throw new QuorateError('cancelled', 'cancelled while the cluster elects a leader');
    });
  }
}

const AWAY = new Set<string>(['server-unreachable', 'sealed', 'not-ready', 'server-redirect']);

function isAway(error: unknown): error is QuorateError {
  return isQuorateError(error) && AWAY.has(error.code);
}

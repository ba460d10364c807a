import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { Peer, Session } from '../vault/peer.ts';
import type { Run } from './kind.ts';
import { type PeerSurvey, surveyPeers } from './survey.ts';

const ELECTION = 10_000;
/** With all peers just restarted. */
const AFTER_RESTART = 30_000;
const NOBODY = 5000;
const LOOK_TIMEOUT = 5000;
const POLL = 250;

/**
 * The peer that leads, as soon as one is elected, which takes up to some seconds after an unseal or a fail-over.
 * @param hopeful whether one can still be, by what the peers say.
 * @returns undefined when none is in time.
 */
export async function electedPeer(
  run: Pick<Run, 'cluster' | 'signal'>,
  hopeful: (surveys: readonly PeerSurvey[]) => boolean = () => true,
): Promise<Peer | undefined> {
  const deadline = Date.now() + ELECTION;
  for (;;) {
    const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
    const active = surveys.find(({ state }) => state === 'active');
    if (active !== undefined) return active.peer;
    if (Date.now() > deadline || !hopeful(surveys)) return undefined;
    await sleep(POLL, undefined, { signal: run.signal });
  }
}

/** The peer that leads, which is where all writes go. @throws QuorateError `not-ready` when none does in time. */
export async function activePeer(run: Pick<Run, 'cluster' | 'signal'>): Promise<Peer> {
  const peer = await electedPeer(run);
  if (peer !== undefined) return peer;
  throw new QuorateError('not-ready', 'no peer leads the cluster', {
    hint: 'quorate status shows what each peer says. Resume the ceremony when one is active.',
  });
}

/** The active server, whatever the namespace's state is. After an unseal or a fail-over the peers elect one first. */
export async function leadingServer({ cluster, signal }: Pick<Run, 'cluster' | 'signal'>): Promise<Peer> {
  const start = Date.now();
  for (;;) {
    const says = await Promise.all(cluster.peers.map((peer) => leads(peer, signal)));
    const peer = cluster.peers[says.indexOf(true)];
    if (peer !== undefined) return peer;
    // A peer that was just unsealed may refuse to answer at first; after a while nobody is there who could be elected.
    if (Date.now() - start > (says.every((one) => one === undefined) ? NOBODY : AFTER_RESTART)) break;
    await sleep(POLL, undefined, { signal });
  }
  throw new QuorateError('not-ready', 'no peer leads the cluster', {
    hint: 'The cluster is unsealed first, then its namespaces. quorate status shows what each peer says.',
  });
}

/** Undefined for a peer that is sealed itself or does not answer. */
async function leads(peer: Peer, signal: AbortSignal): Promise<boolean | undefined> {
  try {
    const { isSelf, haEnabled } = await peer.leader({ signal, timeout: LOOK_TIMEOUT });
    return isSelf || !haEnabled;
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    return undefined;
  }
}

/**
 * The peer that leads the cluster, which the lock, the tickets and the policies are the business of. Where the ceremony
 * is a namespace's, it leads whether or not that is open, or there at all.
 * @throws QuorateError `not-ready` when none leads in time.
 */
export function clusterLeader(run: Pick<Run, 'cluster' | 'signal'>): Promise<Peer> {
  return run.cluster.namespace === undefined ? activePeer(run) : leadingServer(run);
}

/**
 * A session on the active peer that notices when the leadership changes. All ceremony state of the servers is in the
 * memory of one peer (OpenBao 2.7.2): after a change it is gone, or a ghost of it waits on the old leader.
 */
export class Leadership {
  readonly peer: Peer;
  readonly session: Session;
  readonly #activeTime: string | undefined;

  private constructor(peer: Peer, session: Session, activeTime: string | undefined) {
    this.peer = peer;
    this.session = session;
    this.#activeTime = activeTime;
  }

  /** Finds the active peer and logs in there. The caller closes it. */
  static async find(run: Pick<Run, 'cluster' | 'signal' | 'login'>): Promise<Leadership> {
    const peer = await activePeer(run);
    const { activeTime } = await peer.leader({ signal: run.signal });
    const { session } = await run.login(peer);
    return new Leadership(peer, session, activeTime);
  }

  /**
   * To be called before every call that matters.
   * @throws QuorateError `leader-changed` when another peer leads, or the same one has been elected anew.
   */
  async check(run: Pick<Run, 'signal'>): Promise<void> {
    const leader = await this.peer.leader({ signal: run.signal });
    const same = (leader.isSelf || !leader.haEnabled) && leader.activeTime === this.#activeTime;
    if (same) return;
    throw new QuorateError('leader-changed', `${this.peer.name} no longer leads, or was elected anew`, {
      hint: 'What was given to it is void. The operation starts again from a clean state on every peer.',
    });
  }

  /** Names this leadership in a record: another peer, or the same one elected anew or restarted, has another. */
  get term(): string | undefined {
    return this.#activeTime === undefined ? undefined : `${this.peer.name} since ${this.#activeTime}`;
  }

  close(): void {
    this.session.close();
  }
}

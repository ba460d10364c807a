import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Peer } from '../../vault/peer.ts';
import type { Run } from '../kind.ts';
import { leadingServer } from '../leadership.ts';
import { describeState, type PeerSurvey, surveyPeers } from '../survey.ts';
import type { SealedPeer } from './unsealing.ts';

/**
 * Who is given shares. Each sealed peer of a cluster takes them for itself. In a namespace every peer passes them on to
 * the active one, and once that is unsealed the others follow by themselves, up to 10 s later (OpenBao 2.7.2).
 */

const POLL = 500;

export interface Left {
  readonly peer: string;
  readonly why: string;
}

export interface Takers {
  readonly sealed: readonly SealedPeer[];
  /** Without an answer, or with nothing to unseal; they are asked again. */
  readonly away: readonly { readonly peer: Peer; readonly why: string }[];
}

/**
 * Those that take shares now, by what the peers have just said.
 * @param joining of a cluster also those that are not initialised: they join once another is unsealed.
 */
export async function takersOf(
  run: Pick<Run, 'cluster' | 'signal'>,
  surveys: readonly PeerSurvey[],
  { joining = false }: { readonly joining?: boolean } = {},
): Promise<Takers> {
  const { namespace } = run.cluster;
  if (namespace === undefined) {
    const takes = ({ state }: PeerSurvey): boolean => state === 'sealed' || (joining && state === 'uninitialised');
    return {
      sealed: surveys.flatMap((one) =>
        takes(one) && one.seal !== undefined ? [{ peer: one.peer, seal: one.seal }] : [],
      ),
      away: surveys.flatMap((survey) =>
        survey.state === 'unreachable' || survey.state === 'uninitialised'
          ? [{ peer: survey.peer, why: describeState(survey) }]
          : [],
      ),
    };
  }
  const peer = wholeNamespace(run, namespace);
  try {
    const seal = await peer.sealStatus({ signal: run.signal });
    if (!seal.initialised) return { sealed: [], away: [{ peer, why: 'there is no such namespace' }] };
    return { sealed: seal.sealed ? [{ peer, seal }] : [], away: [] };
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    return { sealed: [], away: [{ peer, why: error.message }] };
  }
}

/**
 * Waits until the standbys have followed the active peer into an unsealed namespace. Until then a change of leadership
 * would seal it again. Peers of a cluster follow nobody.
 * @returns those that have not, and why.
 */
export async function waitForFollowers(run: Run, timeout: number): Promise<readonly Left[]> {
  if (run.cluster.namespace === undefined) return [];
  const deadline = Date.now() + timeout;
  const look = async (): Promise<readonly PeerSurvey[]> =>
    (await surveyPeers(run.cluster.peers, { signal: run.signal })).filter(
      ({ state }) => state !== 'active' && state !== 'standby',
    );
  let behind = await look();
  // One that does not answer at all is not waited for.
  const waitsFor = (): boolean => behind.some(({ state }) => state !== 'unreachable');
  if (waitsFor()) {
    const names = behind.map(({ peer }) => peer.name).join(', ');
    await run.people.progress(`${names}: following the leader, which takes some seconds`, async () => {
      while (waitsFor() && Date.now() < deadline) {
        await sleep(POLL, undefined, { signal: run.signal });
        behind = await look();
      }
    });
  }
  return behind.map((survey) => ({ peer: survey.peer.name, why: describeState(survey) }));
}

/** The namespace as if it were one peer: whichever leads answers for it, and takes the shares. */
export function wholeNamespace(run: Pick<Run, 'cluster' | 'signal'>, namespace: string): Peer {
  const [first] = run.cluster.peers;
  if (first === undefined) throw new QuorateError('bug', 'a cluster without peers');
  return {
    ...first,
    name: namespace,
    sealStatus: async (options) => (await leadingServer(run)).sealStatus(options),
    unseal: async (share, options) => (await leadingServer(run)).unseal(share, options),
    resetUnseal: async (options) => (await leadingServer(run)).resetUnseal(options),
  };
}

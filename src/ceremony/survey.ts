import { isQuorateError, type ErrorCode } from '../errors.ts';
import type { CallOptions, Health, Leader, Peer, SealStatus } from '../vault/peer.ts';

export type PeerState = 'uninitialised' | 'sealed' | 'standby' | 'active' | 'unreachable';

/** What one peer said of itself when asked, or why it did not. */
export interface PeerSurvey {
  readonly peer: Peer;
  readonly state: PeerState;
  readonly seal?: SealStatus;
  readonly health?: Health;
  readonly leader?: Leader;
  /** For `unreachable`. */
  readonly fault?: { readonly code: ErrorCode; readonly message: string; readonly hint?: string };
}

/** Asks every peer at once for its seal, health and leader; never throws for a peer's fault. */
export async function surveyPeers(peers: readonly Peer[], options: CallOptions = {}): Promise<readonly PeerSurvey[]> {
  return Promise.all(peers.map((peer) => surveyPeer(peer, options)));
}

/** `surveyPeers` for one peer. @throws QuorateError `cancelled` only. */
export async function surveyPeer(peer: Peer, options: CallOptions = {}): Promise<PeerSurvey> {
  try {
    // One after the other on one connection: a second TLS handshake costs more, and would blur the clock's reading.
    const seal = await peer.sealStatus(options);
    const health = await peer.health(options);
    if (!seal.initialised) return { peer, state: 'uninitialised', seal, health };
    if (seal.sealed) return { peer, state: 'sealed', seal, health };
    const leader = await peer.leader(options);
    // A single server without high availability is active whenever it is unsealed.
    const active = leader.isSelf || !leader.haEnabled;
    return { peer, state: active ? 'active' : 'standby', seal, health, leader };
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    // Sealed between two of the questions: that is its state, not a fault.
    const seal = error.code === 'sealed' ? await sealOf(peer, options) : undefined;
    if (seal !== undefined) return { peer, state: 'sealed', seal };
    // In a migration of its seal a server may refuse even the question for it (OpenBao 2.7.2).
    const { code, message, hint } = error;
    return { peer, state: 'unreachable', fault: { code, message, ...(hint === undefined ? {} : { hint }) } };
  }
}

/** What one peer says of its seal; undefined where it does not answer. @throws QuorateError `cancelled` only. */
export async function sealOf(peer: Peer, options: CallOptions = {}): Promise<SealStatus | undefined> {
  try {
    return await peer.sealStatus(options);
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    return undefined;
  }
}

/** The server's clock less the local one, in whole milliseconds; the server tells whole seconds, so under 1000 is agreement. */
export function clockSkew(health: Health): number {
  // The local time is the middle between question and answer, which need not be a whole millisecond.
  const ahead = health.serverTime - Math.round(health.localTime);
  // serverTime was cut down to a whole second: the true value lies up to 999 ms later.
  if (ahead <= 0 && ahead > -1000) return 0;
  return ahead > 0 ? ahead : ahead + 999;
}

/** A word for people on what a peer is doing. */
export function describeState(survey: PeerSurvey): string {
  if (survey.state === 'unreachable') return survey.fault?.message ?? 'unreachable';
  if (survey.state === 'sealed' && survey.seal !== undefined) {
    return `sealed ${survey.seal.progress.toString()}/${survey.seal.threshold.toString()}`;
  }
  return survey.state;
}

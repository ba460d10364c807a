import type { Peer, SealStatus } from '../../vault/peer.ts';

/** What is known of one peer while shares are collected. */
export interface Target {
  readonly peer: Peer;
  seal: SealStatus;
  /** x-coordinates that this peer has counted in the attempt under way. */
  readonly counted: Set<string>;
  /**
   * `joining`: a Raft peer that is not initialised until the first one is unsealed. `opening`: it had its last share,
   * and is not unsealed yet. `lost`: gave no answer.
   */
  state: 'joining' | 'sealed' | 'opening' | 'unsealed' | 'lost';
  why?: string;
  /** With `opening`: whether the peer's answer to the last share was read, or only looks like it. */
  answered?: boolean;
}

/** A peer that gets no shares for now, and why. It is asked again before each share. */
export interface Absent {
  readonly peer: Peer;
  why: string;
}

export function newTarget(peer: Peer, seal: SealStatus): Target {
  const state = !seal.sealed ? 'unsealed' : seal.initialised ? 'sealed' : 'joining';
  return { peer, seal, counted: new Set(), state };
}

/** A word on where a peer stands. */
export function describe(target: Target): string {
  switch (target.state) {
    case 'lost':
      return target.why ?? 'unreachable';
    case 'sealed':
      return progressOf(target.seal);
    default:
      return target.state;
  }
}

export function progressOf(seal: SealStatus): string {
  return `${seal.progress.toString()}/${seal.threshold.toString()}`;
}

/** The x-coordinates that all of these peers have counted: whoever gave one of them gives nothing new. */
export function countedByAll(targets: readonly Target[]): ReadonlySet<string> {
  const [first, ...rest] = targets;
  return new Set([...(first?.counted ?? [])].filter((x) => rest.every(({ counted }) => counted.has(x))));
}

export function names(targets: readonly Target[]): string {
  return targets.map(({ peer }) => peer.name).join(', ');
}

/** Words about a peer with its name in front, unless they begin with it already, as the adapter's messages do. */
export function named(peer: string, words: string): string {
  return words.startsWith(peer) ? words : `${peer}: ${words}`;
}

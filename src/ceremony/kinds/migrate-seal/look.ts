import { isQuorateError } from '../../../errors.ts';
import type { Peer, SealStatus } from '../../../vault/peer.ts';
import type { Run } from '../../kind.ts';

/**
 * What a server says of its seal while the seal is changed. Between the unsealing with `migrate` and the step-down, and
 * on the old leader after it, `sys/seal-status` answers 500 and names both types (OpenBao 2.7.2).
 */
export type Look =
  | { readonly kind: 'away'; readonly why: string }
  | { readonly kind: 'uninitialised' }
  /** `type` is what its configuration says. */
  | { readonly kind: 'sealed'; readonly type: string; readonly seal: SealStatus }
  /** `stored` is the seal under which the cluster's keys are. */
  | { readonly kind: 'open'; readonly type: string; readonly stored: string; readonly leads: boolean };

/** The types of the seals. */
export interface Seals {
  readonly from: string;
  readonly to: string;
}

/** The code of a check that says what a peer should say of its seal, and what it says. */
export const STAGE = 'stage';

const TIMEOUT = 5000;
const BOTH_TYPES = /barrier seal type of "([\w-]+)" does not match (?:loaded|expected) type of "([\w-]+)"/;

/** @throws QuorateError `cancelled` only. */
export async function lookAt(run: Pick<Run, 'signal'>, peer: Peer): Promise<Look> {
  const options = { signal: run.signal, timeout: TIMEOUT };
  try {
    const reply = await peer.session().request('GET', 'sys/seal-status', undefined, options);
    const [, stored, type] = reply.errors.map((text) => BOTH_TYPES.exec(text)).find((found) => found !== null) ?? [];
    if (reply.status === 500 && stored !== undefined && type !== undefined) {
      return { kind: 'open', type, stored, leads: (await peer.leader(options)).isSelf };
    }
    const seal = await peer.sealStatus(options);
    if (!seal.initialised) return { kind: 'uninitialised' };
    if (seal.sealed) return { kind: 'sealed', type: seal.type, seal };
    const { isSelf, haEnabled } = await peer.leader(options);
    return { kind: 'open', type: seal.type, stored: seal.type, leads: isSelf || !haEnabled };
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    return { kind: 'away', why: error.message };
  }
}

/** One look at each peer of the cluster. */
export async function lookAtAll(
  run: Pick<Run, 'signal' | 'cluster'>,
): Promise<readonly { readonly peer: Peer; readonly look: Look }[]> {
  return Promise.all(run.cluster.peers.map(async (peer) => ({ peer, look: await lookAt(run, peer) })));
}

/**
 * Whether the peer runs, is open, and has the new seal in its configuration. Where both seals are of one type no server
 * says which it has: it is over when it was seen shut with the migration pending, since nothing else opened it then.
 */
export function isOver(run: Pick<Run, 'events'>, peer: Peer, look: Look, { from, to }: Seals): boolean {
  if (look.kind !== 'open' || look.type !== to) return false;
  if (from !== to) return true;
  return run.events.some(
    (one) =>
      one.event === 'check' &&
      one.code === STAGE &&
      one.facts?.['peer'] === peer.name &&
      one.facts['actual state'] === 'sealed' &&
      one.facts['actual migration'] === true,
  );
}

/** Whether the peer says that the cluster's keys are under the new seal; where both are of one type, a leader that is over. */
export function isMigrated(run: Pick<Run, 'events'>, peer: Peer, look: Look, seals: Seals): boolean {
  if (look.kind !== 'open' || look.stored !== seals.to) return false;
  return seals.from !== seals.to || (look.leads && isOver(run, peer, look, seals));
}

/** In words, for people and the record. */
export function describeLook(look: Look): string {
  switch (look.kind) {
    case 'away':
      return look.why;
    case 'uninitialised':
      return 'not initialised';
    case 'sealed':
      return `sealed, seal ${look.type}, migration ${look.seal.migration ? 'pending' : 'not pending'}`;
    case 'open':
      return look.type === look.stored
        ? `open, seal ${look.type}, migration not pending`
        : `open, seal ${look.type} in its configuration, while the cluster's keys are under ${look.stored}`;
  }
}

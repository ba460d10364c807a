import { QuorateError } from '../errors.ts';
import type { Purpose } from '../vault/flavour.ts';
import type { Reply, Session } from '../vault/peer.ts';
import type { Run } from './kind.ts';
import { surveyPeers } from './survey.ts';

/** Something that needs shares and is in the memory of one peer. */
export interface Underway {
  readonly peer: string;
  readonly what: string;
  /** Where a DELETE cancels it. */
  readonly path: string;
  readonly nonce: string;
  readonly progress: number;
}

const OPERATIONS: readonly { readonly purpose: Purpose; readonly what: string; readonly last: string }[] = [
  { purpose: 'rotate-root-key', what: 'a rotation of the root key', last: 'init' },
  { purpose: 'rotate-recovery-key', what: 'a rotation of the recovery key', last: 'init' },
  { purpose: 'generate-root', what: 'the generation of a root token', last: 'attempt' },
];

/**
 * Every rotation, rekey and root generation that any peer holds: each keeps its own in memory, also standbys, and one
 * that led before may hold a ghost (OpenBao 2.7.2).
 * @throws QuorateError `not-ready` when a peer does not answer or is sealed, for then nobody can tell what it holds;
 *   `denied`.
 */
export async function underwayOnPeers(run: Pick<Run, 'cluster' | 'signal' | 'login'>): Promise<readonly Underway[]> {
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  const found: Underway[] = [];
  for (const { peer, state } of surveys) {
    if (state !== 'active' && state !== 'standby') {
      throw new QuorateError('not-ready', `${peer.name} is ${state}: nobody can tell what it holds`, {
        hint: 'Start and unseal it, or take it out of the cluster and of quorate.yaml.',
      });
    }
    const { session } = await run.login(peer);
    try {
      found.push(...(await underwayOn(session, run.signal)));
    } finally {
      session.close();
    }
  }
  return found;
}

/** The same for one peer. @throws QuorateError `denied`. */
export async function underwayOn(session: Session, signal?: AbortSignal): Promise<readonly Underway[]> {
  const found: Underway[] = [];
  for (const { purpose, what, last } of OPERATIONS) {
    const path = `${await session.peer.endpoint(purpose)}/${last}`;
    const reply = await session.request('GET', path, undefined, signal === undefined ? {} : { signal });
    if (reply.status === 403) {
      throw new QuorateError('denied', `this login may not read ${path} on ${session.peer.name}`, {
        hint: `Its policy needs read on ${path}.`,
      });
    }
    // 400 and 404: not with this seal (a recovery key under a Shamir seal).
    const { started, nonce, progress } = payloadOf(reply);
    if (started !== true) continue;
    found.push({
      peer: session.peer.name,
      what,
      path,
      nonce: typeof nonce === 'string' ? nonce : '',
      progress: typeof progress === 'number' ? progress : 0,
    });
  }
  return found;
}

export function describeUnderway({ peer, what, nonce, progress }: Underway): string {
  return `${what} on ${peer} (nonce ${nonce}, ${progress.toString()} shares given)`;
}

/** OpenBao's newer endpoints have an envelope, Vault's have none (observed on 2.7.2 and 1.14.0). */
export function payloadOf({ body }: Pick<Reply, 'body'>): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null) return {};
  const { data } = body as { data?: unknown };
  return (typeof data === 'object' && data !== null ? data : body) as Readonly<Record<string, unknown>>;
}

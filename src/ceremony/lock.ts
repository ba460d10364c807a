import * as v from 'valibot';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { CallOptions, Session } from '../vault/peer.ts';
import { amendVersioned, readVersioned, type VersionedPlace } from '../versioned.ts';
import type { Finding } from './kind.ts';

/**
 * One ceremony at a time for each cluster with all its namespaces: an entry in a KV store, version 2, of the root
 * namespace that is only ever written with check-and-set, so that of two who write at once one is refused (20 writers
 * with the same version: one 200, 19 times 400; OpenBao 2.7.2). Nothing in it is secret, and time never frees it: see
 * `acquireLock`.
 */

/** Where the entry is. The ceremony policy of ceremonies/init.yaml allows this place and no other. */
export const LOCK_PLACE: VersionedPlace = { mount: 'quorate', path: 'ceremony-lock' };

const claim = v.object({
  ceremony: v.pipe(v.string(), v.minLength(1)),
  kind: v.string(),
  who: v.string(),
  nonce: v.string(),
});

/** Who holds the lock: the ceremony's id and kind, its administrator, and the server's nonce (empty before there is one). */
export type LockClaim = v.InferOutput<typeof claim>;

export interface LockOptions extends Pick<CallOptions, 'signal'> {
  readonly place?: VersionedPlace;
}

export interface AcquireOptions extends LockOptions {
  /**
   * Asked when another ceremony holds the lock; true takes it over. It must have seen every peer idle.
   * Without it the holder is refused.
   */
  readonly mayTakeOver?: (holder: LockClaim) => Promise<boolean>;
}

export type LockState =
  | { readonly kind: 'free'; readonly version: number }
  | { readonly kind: 'held'; readonly version: number; readonly holder: LockClaim }
  /** There is no KV store of version 2 there. */
  | { readonly kind: 'missing' };

/** Nobody holds it. */
const FREE: LockClaim = { ceremony: '', kind: '', who: '', nonce: '' };

/**
 * Takes the lock, or finds that this ceremony has it already (it was resumed). A write whose reply was lost is settled
 * by reading back.
 * @returns the holder whose lock was taken over, or undefined.
 * @throws QuorateError `ceremony-locked` naming the holder; `server-unsupported` when the store is missing;
 *   `denied`, `server-error`, `server-response`.
 */
export async function acquireLock(
  session: Session,
  own: LockClaim,
  options: AcquireOptions = {},
): Promise<LockClaim | undefined> {
  let taken: LockClaim | undefined;
  await amend(session, options, async (holder) => {
    if (holder === undefined) return own;
    if (holder.ceremony === own.ceremony) return undefined;
    if (!(await (options.mayTakeOver?.(holder) ?? Promise.resolve(false)))) throw locked(holder);
    taken = holder;
    return own;
  });
  return taken;
}

/**
 * Puts the nonce of the operation that the server has started into the lock.
 * @throws QuorateError `ceremony-locked` when the lock is no longer this ceremony's: whoever started something must
 *   cancel it then; otherwise as `acquireLock`.
 */
export async function updateNonce(
  session: Session,
  own: Pick<LockClaim, 'ceremony'>,
  nonce: string,
  options: LockOptions = {},
): Promise<void> {
  await amend(session, options, (holder) => {
    if (holder === undefined) throw new QuorateError('ceremony-locked', 'the ceremony lock was released by somebody');
    if (holder.ceremony !== own.ceremony) throw locked(holder);
    return holder.nonce === nonce ? undefined : { ...holder, nonce };
  });
}

/**
 * Frees the lock. One that somebody else has taken over meanwhile is theirs, and is left alone.
 * @returns whether it was this ceremony's.
 * @throws QuorateError as `acquireLock`, never `ceremony-locked`.
 */
export async function releaseLock(
  session: Session,
  own: Pick<LockClaim, 'ceremony'>,
  options: LockOptions = {},
): Promise<boolean> {
  let mine = false;
  await amend(session, options, (holder) => {
    if (holder?.ceremony !== own.ceremony) return undefined;
    mine = true;
    return FREE;
  });
  return mine;
}

/** Brings the entry to what `change` makes of its holder; undefined ends it. @throws as `amendVersioned`. */
async function amend(
  session: Session,
  { place = LOCK_PLACE, signal }: LockOptions,
  change: (holder: LockClaim | undefined) => LockClaim | undefined | Promise<LockClaim | undefined>,
): Promise<void> {
  await amendVersioned(session.inNamespace(''), place, (data) => change(holderIn(data, place)), signal);
}

/** Undefined while nobody holds it. @throws QuorateError `server-response`. */
function holderIn(data: unknown, { mount, path }: VersionedPlace): LockClaim | undefined {
  if (data === undefined) return undefined;
  const read = v.safeParse(claim, data);
  if (read.success) return read.output;
  if ((data as { readonly ceremony?: unknown }).ceremony === '') return undefined;
  throw new QuorateError('server-response', `${mount}/data/${path} holds something that is no ceremony lock`, {
    hint: 'Somebody else writes there. Look at it, and delete it when no ceremony runs.',
  });
}

/** The lock as it is now. @throws QuorateError `denied`, `server-error`, `server-response`. */
export async function readLock(session: Session, { place = LOCK_PLACE, signal }: LockOptions = {}): Promise<LockState> {
  try {
    const { version, data } = await readVersioned(session.inNamespace(''), place, signal);
    const holder = holderIn(data, place);
    return holder === undefined ? { kind: 'free', version } : { kind: 'held', version, holder };
  } catch (error) {
    if (isQuorateError(error, 'server-unsupported')) return { kind: 'missing' };
    throw error;
  }
}

/** Whether a ceremony can have the lock, for a preflight. `--accept lock` goes on without, or takes it over. */
export async function lockFinding(session: Session, options: LockOptions = {}): Promise<Finding> {
  const { mount, path } = options.place ?? LOCK_PLACE;
  const state = await readLock(session, options).catch((error: unknown) => {
    if (isQuorateError(error, 'denied')) return error;
    throw error;
  });
  if (state instanceof QuorateError) {
    return {
      code: 'lock',
      ok: false,
      finding: `this login may not read the ceremony lock at ${mount}/data/${path}`,
      mend: `Give its policy create, read and update on ${mount}/data/${path}.`,
    };
  }
  switch (state.kind) {
    case 'free':
      return { code: 'lock', ok: true, finding: 'no other ceremony holds the lock' };
    case 'held':
      return {
        code: 'lock',
        ok: false,
        finding: `another ceremony holds the lock: ${describeClaim(state.holder)}`,
        mend:
          'Resume that one, or wait for its end. When it is over for good, --accept lock takes the lock over, ' +
          'provided that every peer is seen idle.',
      };
    case 'missing':
      return {
        code: 'lock',
        ok: false,
        finding: `there is no KV store of version 2 at ${mount}/, so that two ceremonies could run at once`,
        mend: `POST sys/mounts/${mount} with {"type": "kv", "options": {"version": "2"}}, as ceremonies/init.yaml does.`,
      };
  }
}

/** A holder in words, for messages and the record. */
export function describeClaim({ ceremony, kind, who, nonce }: LockClaim): string {
  return `${ceremony} (${kind}), run by ${who}${nonce === '' ? '' : `, nonce ${nonce}`}`;
}

function locked(holder: LockClaim): QuorateError {
  return new QuorateError('ceremony-locked', `another ceremony holds the lock: ${describeClaim(holder)}`, {
    hint: 'Resume that one, or wait for its end. --accept lock takes it over once every peer is seen idle.',
  });
}

import * as v from 'valibot';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { CallOptions, Reply, Session } from '../vault/peer.ts';
import type { Finding } from './kind.ts';

/**
 * One ceremony at a time for each cluster with all its namespaces: an entry in a KV store, version 2, of the root
 * namespace that is only ever written with check-and-set, so that of two who write at once one is refused (20 writers
 * with the same version: one 200, 19 times 400; OpenBao 2.7.2). Nothing in it is secret, and time never frees it: see
 * `acquireLock`.
 */

/** Where the entry is. The ceremony policy of ceremonies/init.yaml allows this place and no other. */
export interface LockPlace {
  readonly mount: string;
  readonly path: string;
}

export const LOCK_PLACE: LockPlace = { mount: 'quorate', path: 'ceremony-lock' };

const claim = v.object({
  ceremony: v.pipe(v.string(), v.minLength(1)),
  kind: v.string(),
  who: v.string(),
  nonce: v.string(),
});

/** Who holds the lock: the ceremony's id and kind, its administrator, and the server's nonce (empty before there is one). */
export type LockClaim = v.InferOutput<typeof claim>;

export interface LockOptions extends Pick<CallOptions, 'signal'> {
  readonly place?: LockPlace;
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

/** A lost reply can be followed by others; each try reads first, so that none does harm. */
const TRIES = 4;

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
  for (let tries = 0; tries < TRIES; tries += 1) {
    const state = await readLock(session, options);
    if (state.kind === 'missing') throw missing(options.place);
    if (state.kind === 'held') {
      if (state.holder.ceremony === own.ceremony) return taken;
      if (!(await (options.mayTakeOver?.(state.holder) ?? Promise.resolve(false)))) throw locked(state.holder);
      taken = state.holder;
    }
    await writeLock(session, state.version, own, options);
  }
  throw unsettled();
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
  for (let tries = 0; tries < TRIES; tries += 1) {
    const state = await readLock(session, options);
    if (state.kind === 'missing') throw missing(options.place);
    if (state.kind === 'free') throw new QuorateError('ceremony-locked', 'the ceremony lock was released by somebody');
    if (state.holder.ceremony !== own.ceremony) throw locked(state.holder);
    if (state.holder.nonce === nonce) return;
    await writeLock(session, state.version, { ...state.holder, nonce }, options);
  }
  throw unsettled();
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
  for (let tries = 0; tries < TRIES; tries += 1) {
    const state = await readLock(session, options);
    if (state.kind !== 'held' || state.holder.ceremony !== own.ceremony) return mine;
    mine = true;
    await writeLock(session, state.version, undefined, options);
  }
  throw unsettled();
}

/** The lock as it is now. @throws QuorateError `denied`, `server-error`, `server-response`. */
export async function readLock(session: Session, options: LockOptions = {}): Promise<LockState> {
  const path = dataPath(options.place);
  const reply = await session.inNamespace('').request('GET', path, undefined, calling(options));
  const data = field(reply.body, 'data');
  const version = field(field(data, 'metadata'), 'version');
  if (reply.status === 404) {
    // Without a word it is a store without the entry; one that was deleted says its version; a mount that is not
    // there is told in words: `no handler for route` (both servers).
    if (typeof version === 'number') return { kind: 'free', version };
    return reply.errors.length === 0 ? { kind: 'free', version: 0 } : { kind: 'missing' };
  }
  if (reply.status !== 200) throw refusal('read', path, reply);
  // A store of version 1 has no versions, and no check-and-set.
  if (typeof version !== 'number') return { kind: 'missing' };
  const holder = field(data, 'data');
  if (field(holder, 'ceremony') === '') return { kind: 'free', version };
  const read = v.safeParse(claim, holder);
  if (read.success) return { kind: 'held', version, holder: read.output };
  throw new QuorateError('server-response', `${path} holds something that is no ceremony lock`, {
    hint: 'Somebody else writes there. Look at it, and delete it when no ceremony runs.',
  });
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

/** Writes once. What came of it the next reading tells, unless the server refused it for another reason. */
async function writeLock(
  session: Session,
  version: number,
  holder: LockClaim | undefined,
  options: LockOptions,
): Promise<void> {
  const path = dataPath(options.place);
  const data = holder ?? { ceremony: '', kind: '', who: '', nonce: '' };
  let reply: Reply;
  try {
    reply = await session.inNamespace('').request('POST', path, { data, options: { cas: version } }, calling(options));
  } catch (error) {
    if (isQuorateError(error, 'server-unreachable') || isQuorateError(error, 'server-timeout')) return;
    throw error;
  }
  if (reply.status === 200) return;
  // A 500 can mean that the audit device failed after the write (OpenBao 2.7.2): read back as well.
  const raced = reply.errors.some((line) => line.includes('check-and-set'));
  if (!raced && reply.status !== 500) throw refusal('write', path, reply);
}

function dataPath({ mount, path }: LockPlace = LOCK_PLACE): string {
  return `${mount}/data/${path}`;
}

function calling({ signal }: LockOptions): CallOptions {
  return signal === undefined ? {} : { signal };
}

function locked(holder: LockClaim): QuorateError {
  return new QuorateError('ceremony-locked', `another ceremony holds the lock: ${describeClaim(holder)}`, {
    hint: 'Resume that one, or wait for its end. --accept lock takes it over once every peer is seen idle.',
  });
}

function missing({ mount }: LockPlace = LOCK_PLACE): QuorateError {
  return new QuorateError(
    'server-unsupported',
    `there is no KV store of version 2 at ${mount}/ for the ceremony lock`,
    {
      hint: `POST sys/mounts/${mount} with {"type": "kv", "options": {"version": "2"}}.`,
    },
  );
}

function unsettled(): QuorateError {
  return new QuorateError('outcome-unknown', 'the ceremony lock could not be written and read back', {
    hint: 'Resume the ceremony when the cluster answers again.',
  });
}

function refusal(what: string, path: string, reply: Reply): QuorateError {
  const said = reply.errors.length === 0 ? '' : `: ${reply.errors.join('; ')}`;
  return reply.status === 403
    ? new QuorateError('denied', `this login may not ${what} the ceremony lock at ${path}`, {
        hint: `Its policy needs create, read and update on ${path}.`,
      })
    : new QuorateError('server-error', `the server answered ${reply.status.toString()} for the ceremony lock${said}`);
}

function field(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null ? (body as Readonly<Record<string, unknown>>)[name] : undefined;
}

import { isDeepStrictEqual } from 'node:util';
import { isQuorateError, QuorateError } from './errors.ts';
import type { Reply, Session } from './vault/peer.ts';

/** An entry of a KV store, version 2, that several write: only ever with check-and-set, so that no write hides another. */
export interface VersionedPlace {
  readonly mount: string;
  readonly path: string;
  /** What to do where the store is missing, or closed to this login; by default the mount or the rule that is needed. */
  readonly hint?: string;
}

/** Whoever asks: a login at one server, or at those of a cluster. */
export type Asker = Pick<Session, 'request'>;

/** `version` counts on when an entry was deleted; 0 where there never was one. `data` is undefined where there is none. */
export interface VersionedEntry {
  readonly version: number;
  readonly data: unknown;
}

/** Others may come between reading and writing; so many of them in a row are no accident. */
const TRIES = 24;

/**
 * The entry as it is now.
 * @throws QuorateError `server-unsupported` (no KV store of version 2 there), `denied`, `server-error`, and as a session does.
 */
export async function readVersioned(
  session: Asker,
  place: VersionedPlace,
  signal?: AbortSignal,
): Promise<VersionedEntry> {
  const path = dataPath(place);
  const reply = await session.request('GET', path, undefined, signal === undefined ? {} : { signal });
  const data = field(reply.body, 'data');
  const version = field(field(data, 'metadata'), 'version');
  if (reply.status === 404) {
    // Without a word it is a store without the entry; one that was deleted says its version; a mount that is not
    // there is told in words: `no handler for route` (both servers).
    if (typeof version === 'number') return { version, data: undefined };
    if (reply.errors.length === 0) return { version: 0, data: undefined };
    throw noStore(place);
  }
  if (reply.status !== 200) throw refusal('read', place, reply);
  // A store of version 1 has no versions, and no check-and-set.
  if (typeof version !== 'number') throw noStore(place);
  return { version, data: field(data, 'data') ?? undefined };
}

/**
 * Brings the entry to what `change` makes of it, which is asked again when somebody else wrote meanwhile, and when a
 * reply was lost: it must find its own change there and return undefined, which ends this.
 * @throws QuorateError `outcome-unknown` when it could not be settled; whatever `change` throws; as `readVersioned`.
 */
export async function amendVersioned(
  session: Asker,
  place: VersionedPlace,
  change: (data: unknown) => object | undefined | Promise<object | undefined>,
  signal?: AbortSignal,
): Promise<void> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const { version, data } = await readVersioned(session, place, signal);
    const changed = await change(data);
    if (changed === undefined) return;
    await writeOnce(session, place, version, changed, signal);
    // Whatever came of it, a write counts only when it was read back.
    if (tries > 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * 20 * tries));
  }
  throw new QuorateError('outcome-unknown', `${dataPath(place)} could not be written and read back`, {
    hint: 'Others write there all the time, or the server does not answer. Try again: what was written is not written twice.',
  });
}

/**
 * Replaces version `version`, where that is still the last. A lost reply is settled by reading, so `data` must have
 * something in it that no other writer's has.
 * @returns whether it did: false when somebody else was faster. @throws as `readVersioned`.
 */
export async function replaceVersioned(
  session: Asker,
  place: VersionedPlace,
  version: number,
  data: object,
  signal?: AbortSignal,
): Promise<boolean> {
  if (await writeOnce(session, place, version, data, signal)) return true;
  return isDeepStrictEqual((await readVersioned(session, place, signal)).data, data);
}

/** Whether the server said that it is written; otherwise nobody knows before it is read. */
async function writeOnce(
  session: Asker,
  place: VersionedPlace,
  version: number,
  data: object,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const path = dataPath(place);
  let reply: Reply;
  try {
    const body = { data, options: { cas: version } };
    reply = await session.request('POST', path, body, signal === undefined ? {} : { signal });
  } catch (error) {
    if (isQuorateError(error, 'server-unreachable') || isQuorateError(error, 'server-timeout')) return false;
    throw error;
  }
  if (reply.status === 200) return true;
  // A 500 can mean that the audit device failed after the write (OpenBao 2.7.2): read back as well.
  const raced = reply.errors.some((line) => line.includes('check-and-set'));
  if (!raced && reply.status !== 500) throw refusal('write', place, reply);
  return false;
}

function dataPath({ mount, path }: VersionedPlace): string {
  return `${mount}/data/${path}`;
}

function noStore({ mount, hint }: VersionedPlace): QuorateError {
  return new QuorateError('server-unsupported', `there is no KV store of version 2 at ${mount}/`, {
    hint: hint ?? `POST sys/mounts/${mount} with {"type": "kv", "options": {"version": "2"}}.`,
  });
}

function refusal(what: string, place: VersionedPlace, reply: Reply): QuorateError {
  const path = dataPath(place);
  const said = reply.errors.length === 0 ? '' : `: ${reply.errors.join('; ')}`;
  return reply.status === 403
    ? new QuorateError('denied', `this login may not ${what} ${path}`, {
        hint: place.hint ?? `Its policy needs create, read and update on ${path}.`,
      })
    : new QuorateError('server-error', `the server answered ${reply.status.toString()} for ${path}${said}`);
}

function field(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null ? (body as Readonly<Record<string, unknown>>)[name] : undefined;
}

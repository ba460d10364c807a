import * as v from 'valibot';
import { isDeepStrictEqual } from 'node:util';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { Session } from '../vault/peer.ts';
import type { Run } from './kind.ts';

/** One reviewed write to the server's API. */
export const write = v.strictObject({
  path: v.pipe(
    v.string(),
    v.regex(/^[A-Za-z0-9_.~@+-]+(\/[A-Za-z0-9_.~@+-]+)*$/, 'an API path without /v1/, such as sys/policies/acl/NAME'),
    v.check((path) => !path.split('/').some((part) => part === '.' || part === '..'), 'no . or .. in a path'),
  ),
  data: v.optional(v.record(v.string(), v.unknown()), {}),
});

export type Write = v.InferOutput<typeof write>;

/**
 * Applies reviewed writes one after another and reads each back. A write whose effect is there already is left out,
 * so that a resumed ceremony does not fail on "path is already in use".
 * @throws QuorateError `server-error`, `denied`; `server-response` when what is read back is not what was written.
 */
export async function applyWrites(run: Run, session: Session, writes: readonly Write[]): Promise<void> {
  for (const { path, data } of writes) {
    if ((await differences(session, path, data)) === 'none') {
      await run.record({ event: 'note', text: `POST ${path}: there already, as written in the script` });
      continue;
    }
    await session.write(path, data, { signal: run.signal });
    const after = await differences(session, path, data);
    if (after !== 'none' && after !== 'unreadable') {
      throw new QuorateError('server-response', `${path} does not read back as written: ${after}`, {
        hint: 'Compare the script with the server, mend the script, and resume the ceremony.',
      });
    }
    await run.record({
      event: 'write',
      peer: session.peer.name,
      request: `POST ${path}`,
      fields: Object.keys(data).sort(),
      status: 200,
    });
  }
}

/**
 * The names of fields that differ between `data` and what the server has at `path`; `none`; or `unreadable` for a path
 * that cannot be read. Fields that the server does not give back (a password) count as different only when nothing
 * else can be compared.
 */
async function differences(session: Session, path: string, data: Readonly<Record<string, unknown>>): Promise<string> {
  const found = await session.read(path).catch((error: unknown) => {
    if (isQuorateError(error, 'server-error') || isQuorateError(error, 'denied')) return undefined;
    throw error;
  });
  if (found === undefined || found === null || typeof found !== 'object') return 'unreadable';
  const there = flatten(found as Record<string, unknown>);
  const comparable = Object.entries(data).filter(([key]) => key in there);
  if (comparable.length === 0 && Object.keys(data).length > 0) return 'unreadable';
  const different = comparable.filter(([key, value]) => !sameValue(value, there[key])).map(([key]) => key);
  return different.length === 0 ? 'none' : different.join(', ');
}

/** Mounts answer with `config` nested; fields of a write may be in either place. */
function flatten(found: Record<string, unknown>): Record<string, unknown> {
  const config = found['config'];
  return typeof config === 'object' && config !== null ? { ...config, ...found } : found;
}

function sameValue(written: unknown, read: unknown): boolean {
  if (isDeepStrictEqual(written, read)) return true;
  // The server turns durations into seconds and text lists into arrays; what is nested is not compared here.
  if (typeof written === 'string' && typeof read === 'string') return written.trim() === read.trim();
  if (typeof written === 'string' && typeof read === 'number') return seconds(written) === read;
  if (typeof written === 'string' && Array.isArray(read)) return written === read.join(',');
  if (typeof written === 'object' && written !== null) return typeof read === 'object';
  return typeof written === 'boolean' || typeof written === 'number' ? false : String(written) === String(read);
}

function seconds(duration: string): number | undefined {
  const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
  const parts = [...duration.matchAll(/(\d+)([smhd]?)/g)];
  if (parts.map((part) => part[0]).join('') !== duration) return undefined;
  return parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * (units[unit === '' || unit === undefined ? 's' : unit] ?? 1),
    0,
  );
}

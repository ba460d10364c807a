import * as v from 'valibot';
import { sameValue } from '../difference.ts';
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
 * so that a resumed ceremony does not fail on "path is already in use". What this ceremony has written and somebody
 * has changed since, to mend what stopped it, stays as it is once that was confirmed; the record says so.
 * @throws QuorateError `server-error`, `denied`; `server-response` when what is read back is not what was written.
 */
export async function applyWrites(run: Run, session: Session, writes: readonly Write[]): Promise<void> {
  for (const { path, data } of writes) {
    const before = await differences(session, path, data);
    if (before === 'none') {
      await run.record({ event: 'note', text: `POST ${path}: there already, as written in the script` });
      continue;
    }
    if (before !== 'unreadable' && wasWritten(run, path) && (await staysMended(run, path, before))) continue;
    await session.write(path, data, { signal: run.signal });
    await run.record({
      event: 'write',
      peer: session.peer.name,
      request: `POST ${path}`,
      fields: Object.keys(data).sort(),
      status: 200,
    });
    const after = await differences(session, path, data);
    if (after !== 'none' && after !== 'unreadable') {
      throw new QuorateError('server-response', `${path} does not read back as written: ${after}`, {
        hint: 'Put it right on the server, resume the ceremony, and confirm that it stays so.',
      });
    }
  }
}

function wasWritten(run: Run, path: string): boolean {
  return run.events.some((one) => one.event === 'write' && one.request === `POST ${path}`);
}

async function staysMended(run: Run, path: string, fields: string): Promise<boolean> {
  const happened = `${path} is no longer as the script wrote it: ${fields}`;
  run.people.say(`${happened}.`);
  if (!(await run.people.acceptException('It stays as it is on the server, and is not written again.', 'mended'))) {
    return false;
  }
  await run.record({
    event: 'exception',
    expected: 'the server has what the script wrote',
    happened,
    decision: 'left as it is on the server after a typed confirmation',
    by: 'administrator',
  });
  return true;
}

/**
 * The names of fields that differ between `data` and what the server has at `path`; `none`; or `unreadable` for a path
 * that cannot be read. Fields that the server does not give back (a password) count as different only when nothing
 * else can be compared.
 */
async function differences(session: Session, path: string, data: Readonly<Record<string, unknown>>): Promise<string> {
  const found = await readBack(session, path).catch((error: unknown) => {
    if (isQuorateError(error, 'server-error') || isQuorateError(error, 'denied')) return undefined;
    throw error;
  });
  if (!isObject(found)) return 'unreadable';
  const there = flatten(found);
  const comparable = Object.entries(data).filter(([key]) => key in there);
  if (comparable.length === 0 && Object.keys(data).length > 0) return 'unreadable';
  const different = comparable.filter(([key, value]) => !sameValue(value, there[key])).map(([key]) => key);
  return different.length === 0 ? 'none' : different.join(', ');
}

/** Mounts answer with `config` nested; fields of a write may be in either place. */
export function flatten(found: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const config = found['config'];
  return isObject(config) ? { ...config, ...found } : found;
}

/** An audit device has no endpoint of its own to be read (Vault 1.14.0): it is in the list of all. */
export async function readBack(session: Session, path: string): Promise<unknown> {
  const device = /^sys\/audit\/(.+)$/.exec(path)?.[1];
  if (device === undefined) return session.read(path);
  const list = await session.read('sys/audit');
  return isObject(list) ? list[`${device}/`] : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

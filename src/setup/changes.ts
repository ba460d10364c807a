import { isDeepStrictEqual } from 'node:util';
import { diffLines, sameValue } from '../difference.ts';
import { QuorateError } from '../errors.ts';
import type { Session } from '../vault/peer.ts';
import type { Resource } from './resource.ts';

/** What a resource needs, found by asking the server. */
export interface Change {
  readonly resource: Resource;
  readonly state: 'same' | 'new' | 'changed';
  /** What would change, each line after `+ ` or `- `. No secrets: what is compared holds none. */
  readonly lines: readonly string[];
}

type Live = Readonly<Record<string, unknown>>;

/** @throws QuorateError `preflight-failed` where something else is in the way; `denied`, `server-error`. */
export async function findChanges(
  session: Session,
  resources: readonly Resource[],
  signal: AbortSignal,
): Promise<readonly Change[]> {
  const changes: Change[] = [];
  for (const resource of resources) changes.push(await findChange(session, resource, signal));
  return changes;
}

/** @throws as `findChanges`. */
export async function findChange(session: Session, resource: Resource, signal: AbortSignal): Promise<Change> {
  const { path, data, kind } = resource;
  const live = await readLive(session, path, signal);
  if (live === undefined) {
    if (kind === 'foreign') {
      throw new QuorateError('preflight-failed', `there is nothing at ${path}, and this setup does not make it`, {
        hint: 'Enable and configure it first: it decides whose tokens are believed.',
      });
    }
    const lines = Object.entries(data).flatMap(([key, value]) => diffLines('', shown(key, value)));
    return { resource, state: 'new', lines };
  }
  if (kind === 'mount' || kind === 'foreign') {
    if (Object.entries(data).every(([key, value]) => sameValue(value, live[key]))) {
      return { resource, state: 'same', lines: [] };
    }
    throw new QuorateError('preflight-failed', `what is at ${path} is of another type or version`, {
      hint: 'Choose another mount in the file, or move that one away.',
    });
  }
  const different = Object.entries(data).filter(([key, value]) => !isSame(key, value, live[key]));
  const lines = different.flatMap(([key, value]) => diffLines(shown(key, live[key]), shown(key, value)));
  return { resource, state: different.length === 0 ? 'same' : 'changed', lines };
}

/** Statements run in their order; of everything else only the members matter. */
function isSame(key: string, wanted: unknown, live: unknown): boolean {
  if (key.endsWith('_statements')) return isDeepStrictEqual(wanted, live);
  if (Array.isArray(wanted) && wanted.length === 0)
    return live === undefined || live === null || sameValue([], live) || isEmpty(live);
  if (key === 'token_bound_cidrs' || key === 'secret_id_bound_cidrs')
    return sameValue(plainCidrs(wanted), plainCidrs(live));
  return sameValue(wanted, live);
}

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

/** The server leaves out the length of a network that is one address. */
function plainCidrs(value: unknown): unknown {
  return Array.isArray(value) ? value.map((one) => String(one).replace(/\/(?:32|128)$/, '')) : value;
}

function shown(key: string, value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string' && value.includes('\n')) return `${key}:\n${value}`;
  if (key.endsWith('_statements') && Array.isArray(value))
    return `${key}:\n${value.map((one) => `  ${String(one)}`).join('\n')}`;
  return `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`;
}

/** What is there; undefined for nothing. Connections and mounts answer with a part of it nested. */
async function readLive(session: Session, path: string, signal: AbortSignal): Promise<Live | undefined> {
  const reply = await session.request('GET', path, undefined, { signal });
  if (
    reply.status === 404 ||
    (reply.status === 400 && reply.errors.some((line) => /no (?:secret|auth) engine/i.test(line)))
  ) {
    return undefined;
  }
  if (reply.status !== 200) {
    throw new QuorateError(
      reply.status === 403 ? 'denied' : 'server-error',
      `${session.peer.name} answered GET ${path} with status ${reply.status.toString()}: ${reply.errors.join('; ')}`,
      { hint: 'A setup needs a token that may read and write mounts, policies, roles and what is in the mounts.' },
    );
  }
  const body = reply.body as { readonly data?: unknown };
  const data = (body.data ?? body) as Live;
  const details = data['connection_details'];
  return typeof details === 'object' && details !== null ? { ...data, ...details } : data;
}

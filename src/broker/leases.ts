import type { CallOptions } from '../vault/peer.ts';
import { type Caller, refusal } from './caller.ts';
import { type LeaseState, lookUp } from './lease.ts';

/** A lease of the database engine as `quorate db leases` shows it. */
export interface ListedLease extends LeaseState {
  readonly role: string;
  /** Its time is over, and the server has not managed to revoke it: the database may be down, or refuse. */
  readonly stuck: boolean;
}

/** Requests that are under way at once. */
const WIDTH = 8;

/**
 * Every living lease of a mount, or of some of its roles, stuck ones first, then by their end.
 * @throws QuorateError `denied` (listing takes a policy with sudo: the operator's of `quorate db setup`), `server-error`.
 */
export async function listLeases(
  caller: Caller,
  mount: string,
  roles: readonly string[],
  options: CallOptions,
): Promise<readonly ListedLease[]> {
  const base = `sys/leases/lookup/${mount}/creds`;
  const wanted = roles.length > 0 ? roles : (await keysOf(caller, base, options)).map((key) => key.replace(/\/$/, ''));
  const found: ListedLease[] = [];
  for (const role of wanted) {
    const keys = await keysOf(caller, `${base}/${role}`, options);
    for (let from = 0; from < keys.length; from += WIDTH) {
      const states = await Promise.all(
        keys.slice(from, from + WIDTH).map((key) => lookUp(caller, `${mount}/creds/${role}/${key}`, options)),
      );
      for (const state of states) if (state !== undefined) found.push({ ...state, role, stuck: state.ttl < 0 });
    }
  }
  return found.sort((a, b) => Number(b.stuck) - Number(a.stuck) || a.ttl - b.ttl);
}

async function keysOf(caller: Caller, path: string, options: CallOptions): Promise<readonly string[]> {
  const reply = await caller.request('LIST', path, undefined, options);
  if (reply.status === 404) return [];
  if (reply.status !== 200) {
    throw refusal(`LIST ${path}`, reply, 'Listing leases takes the operator policy that quorate db setup makes.');
  }
  const { data } = reply.body as { readonly data?: { readonly keys?: unknown } };
  return Array.isArray(data?.keys) ? data.keys.map(String) : [];
}

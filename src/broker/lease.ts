import { QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';
import type { CallOptions, Reply } from '../vault/peer.ts';
import { type Caller, isUnreachable, refusal } from './caller.ts';

/** A database login that the server made, and will end. */
export interface Credential {
  readonly username: string;
  readonly password: Secret;
  readonly lease: Lease;
}

export interface Lease {
  readonly id: string;
  /** Seconds that it had when it was issued or renewed last. */
  readonly ttl: number;
  readonly renewable: boolean;
  /** Milliseconds since 1970, by this machine's clock, no later than the server's own end of it. */
  readonly expires: number;
}

/** What the server says of a lease. */
export interface LeaseState {
  readonly id: string;
  /** RFC 3339. */
  readonly issued: string;
  readonly renewed: string | undefined;
  /** Seconds left; negative while a revocation is overdue. */
  readonly ttl: number;
  readonly renewable: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Asks the database engine for one credential: once, because each request makes another one.
 * @throws QuorateError `credential-reply-lost` when the request left and no answer came: there may be a credential that
 *   nobody holds; `denied`, `sealed`, `server-error` (no such role, or the role's SQL failed), `database-unreachable`.
 */
export async function issue(
  caller: Caller,
  mount: string,
  role: string,
  options: CallOptions = {},
): Promise<Credential> {
  const path = `${mount}/creds/${role}`;
  const asked = Date.now();
  let sent = false;
  const reply = await caller
    .request('GET', path, undefined, {
      ...options,
      repeatable: false,
      onSent: () => {
        sent = true;
      },
    })
    .catch((error: unknown) => {
      if (!sent || !isUnreachable(error)) throw error;
      throw new QuorateError('credential-reply-lost', `a credential of ${role} was asked for, and no answer came`, {
        hint: 'If it was made it ends with the token that asked for it. With --idempotency-key the next call settles it.',
      });
    });
  if (reply.status !== 200) throw issueError(role, path, reply);
  const body = reply.body as Fields;
  const data = (body['data'] ?? {}) as Fields;
  const [username, password, id] = [data['username'], data['password'], body['lease_id']];
  if (typeof username !== 'string' || typeof password !== 'string' || typeof id !== 'string' || id === '') {
    throw new QuorateError('server-response', `${path} answered without a lease, a username and a password`, {
      hint: 'quorate works with dynamic roles of the database engine, with passwords.',
    });
  }
  const ttl = seconds(body['lease_duration']);
  const lease = { id, ttl, renewable: body['renewable'] === true, expires: asked + ttl * 1000 };
  return { username, password: Secret.fromText(password), lease };
}

function issueError(role: string, path: string, reply: Reply): QuorateError {
  const text = reply.errors.join('; ');
  if (/unknown role/i.test(text)) {
    return new QuorateError('server-error', `the server has no role ${role} at ${path}`, {
      hint: 'Is it in the file that quorate db setup applied? --mount names another mount.',
    });
  }
  if (reply.status >= 500 && reply.status !== 503) {
    if (isDatabaseAway(reply)) {
      return new QuorateError('database-unreachable', `the server cannot reach the database of ${role}: ${text}`, {
        hint: 'Nothing was issued. Bring the database back, then try again.',
      });
    }
    return refusal(`GET ${path}`, reply, `The SQL of the role failed: quorate db setup FILE --check compares it.`);
  }
  return refusal(`GET ${path}`, reply);
}

/**
 * Lengthens a lease by `increment` seconds from now, as far as its maximum goes.
 * @returns the lease as it is now; `capped` when it got less than was asked for: its end is final.
 * @throws QuorateError `lease-unknown` (it has ended), `lease-limit` (not renewable), `database-unreachable`, `denied`,
 *   `server-error`.
 */
export async function renew(
  caller: Caller,
  id: string,
  increment: number,
  options: CallOptions = {},
): Promise<{ readonly lease: Lease; readonly capped: boolean }> {
  const asked = Date.now();
  const body = { lease_id: id, increment };
  const reply = await caller.request('POST', 'sys/leases/renew', body, { ...options, repeatable: true });
  if (isUnknown(reply)) throw unknownLease(id);
  if (reply.status === 400 && reply.errors.some((line) => /not renewable/i.test(line))) {
    throw new QuorateError('lease-limit', `the lease ${id} cannot be renewed`, { hint: 'Ask for a new one.' });
  }
  if (reply.status >= 400 && reply.status !== 403 && reply.status !== 503 && isDatabaseAway(reply)) {
    throw new QuorateError('database-unreachable', `the server cannot reach the database of ${id}`, {
      hint: 'The credential lives until the end that it has. Bring the database back before that, and renew it again.',
    });
  }
  if (reply.status !== 200) throw refusal('POST sys/leases/renew', reply);
  const ttl = seconds((reply.body as Fields)['lease_duration']);
  const renewable = (reply.body as Fields)['renewable'] === true;
  // Whole seconds: one may be lost to rounding.
  return { lease: { id, ttl, renewable, expires: asked + ttl * 1000 }, capped: ttl < increment - 1 };
}

/** Undefined when the server knows no such lease (any more). @throws QuorateError `denied`, `sealed`, `server-error`. */
export async function lookUp(caller: Caller, id: string, options: CallOptions = {}): Promise<LeaseState | undefined> {
  const reply = await caller.request('POST', 'sys/leases/lookup', { lease_id: id }, { ...options, repeatable: true });
  if (isUnknown(reply)) return undefined;
  if (reply.status !== 200) throw refusal('POST sys/leases/lookup', reply);
  const data = ((reply.body as Fields)['data'] ?? {}) as Fields;
  return {
    id,
    issued: typeof data['issue_time'] === 'string' ? data['issue_time'] : '',
    renewed: typeof data['last_renewal'] === 'string' ? data['last_renewal'] : undefined,
    ttl: Number(data['ttl'] ?? 0),
    renewable: data['renewable'] === true,
  };
}

/** The drivers' words for a database that does not answer. */
function isDatabaseAway({ errors }: Reply): boolean {
  return errors.some((line) => /connect|connection|EOF|timeout|refused/i.test(line));
}

/** `invalid lease` from a look-up, `lease not found` from a renewal (OpenBao 2.7.2, Vault 1.14.0). */
function isUnknown({ status, errors }: Reply): boolean {
  return status === 400 && errors.some((line) => /invalid lease|lease not found/i.test(line));
}

export function unknownLease(id: string): QuorateError {
  return new QuorateError('lease-unknown', `the server knows no lease ${id}`, {
    hint: 'It has ended, was revoked, or belongs to another namespace.',
  });
}

function seconds(value: unknown): number {
  return typeof value === 'number' && value > 0 ? value : 0;
}

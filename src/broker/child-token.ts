import { QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { isUnknownToken } from '../unknown-token.ts';
import type { CallOptions, Reply } from '../vault/peer.ts';
import { type Caller, refusal } from './caller.ts';

/** A token that a lease hangs on: when it ends, in whatever way, the server ends the lease. */
export interface ChildToken {
  /** Its holder wipes it. */
  readonly token: Secret;
  /** Seconds. */
  readonly ttl: number;
}

export interface ChildRequest {
  readonly role: string;
  /** Seconds; the token role's maximum may cut it. */
  readonly ttl: number;
}

/**
 * Makes one by the token role that `quorate db setup` makes for a role, or, where there is none, of the login's own
 * policies without the default one. A token whose reply was lost ends by itself: asking twice does no harm.
 * @throws QuorateError `denied`, `server-error`, `sealed`; `usage` where the login is a root token and there is no token role.
 */
export async function makeChild(
  caller: Caller,
  { role, ttl }: ChildRequest,
  options: CallOptions = {},
): Promise<ChildToken> {
  const name = `quorate-db-${role}`;
  const common = { ttl: `${ttl.toString()}s`, renewable: true, no_default_policy: true, display_name: 'quorate-db' };
  const often = { ...options, repeatable: true };
  const path = `auth/token/create/${name}`;
  const reply = await caller.request('POST', path, { ...common, policies: [name] }, often);
  if (reply.status === 200) return readChild(path, reply);
  const absent =
    reply.status === 403 || (reply.status === 400 && reply.errors.some((line) => /unknown role/i.test(line)));
  if (!absent) throw refusal(`POST ${path}`, reply);
  const policies = await ownPolicies(caller, options);
  const plain = await caller.request('POST', 'auth/token/create', { ...common, policies }, often);
  if (plain.status !== 200) throw refusal('POST auth/token/create', plain);
  return readChild('auth/token/create', plain);
}

async function ownPolicies(caller: Caller, options: CallOptions): Promise<readonly string[]> {
  const { data } = await lookUpSelf(caller, options);
  const policies = Array.isArray(data['policies']) ? data['policies'].map(String) : [];
  if (policies.includes('root')) {
    throw new QuorateError('usage', 'a root token would hand its power to the token that the credential hangs on', {
      hint: 'Log in as what quorate db setup made, or give that role with --role a token role: quorate db setup.',
    });
  }
  return policies.filter((policy) => policy !== 'default');
}

type Fields = Readonly<Record<string, unknown>>;

/** What the server says of the login's own token. @throws QuorateError as `refusal`. */
export async function lookUpSelf(caller: Caller, options: CallOptions = {}): Promise<{ readonly data: Fields }> {
  const reply = await caller.request('GET', 'auth/token/lookup-self', undefined, options);
  if (reply.status !== 200) throw refusal('GET auth/token/lookup-self', reply);
  return { data: ((reply.body as Fields)['data'] ?? {}) as Fields };
}

function readChild(path: string, { body }: Reply): ChildToken {
  const auth = ((body as Fields)['auth'] ?? {}) as Fields;
  const token = auth['client_token'];
  if (typeof token !== 'string') throw new QuorateError('server-response', `${path} answered without a token`);
  return { token: Secret.fromText(token), ttl: Number(auth['lease_duration'] ?? 0) };
}

/** Whether the server no longer knows the caller's token. Revokes it first. Never throws. */
export async function endToken(caller: Caller, timeout = 10_000): Promise<boolean> {
  try {
    await caller.request('POST', 'auth/token/revoke-self', {}, { timeout, repeatable: true });
    const look = await caller.request('GET', 'auth/token/lookup-self', undefined, { timeout });
    return isUnknownToken(look);
  } catch {
    return false;
  }
}

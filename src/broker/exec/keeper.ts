import { setTimeout as pause } from 'node:timers/promises';
import { isQuorateError, type QuorateError } from '../../errors.ts';
import { isUnknownToken } from '../../unknown-token.ts';
import { type Caller, refusal } from '../caller.ts';
import { type Lease, renew } from '../lease.ts';

/** Something that ends unless it is renewed. */
interface Kept {
  readonly what: 'lease' | 'token' | 'login';
  /** Milliseconds since 1970. */
  end: number;
  /** Milliseconds since 1970 at which it is renewed next; undefined once that is of no more use. */
  due: number | undefined;
  /** Whether its end is the credential's: a login's only once that is seen to stay where it is. */
  counts: boolean;
  /** Milliseconds that it has after a renewal, and whether those were all that is left. */
  readonly renew: () => Promise<{ readonly left: number; readonly final: boolean }>;
}

export interface KeeperRequest {
  readonly lease: Lease;
  /** The lease's own token, and the login that made it: the lease ends with either. */
  readonly child: Caller;
  readonly childTtl: number;
  readonly login: Caller;
  readonly onTrouble: (what: string, error: QuorateError) => void;
}

/** Keeps a credential alive at half of its time, until it cannot live longer. */
export interface Keeper {
  /** Milliseconds since 1970: when the credential ends as things stand. */
  readonly end: number;
  readonly renewals: number;
  stop(): void;
}

const RETRY_LEAST = 500;
const RETRY_MOST = 10_000;
const REQUEST_TIMEOUT = 10_000;
/** Jobs that end sooner need not know how long their login lives. */
const LOOK_AT_LOGIN = 1_000;
/** The server counts in seconds. */
const LEAST_MOVE = 1_500;

export function keep({ lease, child, childTtl, login, onTrouble }: KeeperRequest): Keeper {
  const started = Date.now();
  const stopping = new AbortController();
  let renewals = 0;
  const halfway = (end: number): number => Date.now() + Math.max(RETRY_LEAST, (end - Date.now()) / 2);
  const stopped = (): boolean => stopping.signal.aborted;
  const token: Kept = {
    what: 'token',
    end: started + childTtl * 1000,
    due: started + (childTtl * 1000) / 2,
    counts: true,
    renew: () => renewToken(child, childTtl, token.end),
  };
  const all: Kept[] = [
    {
      what: 'lease',
      end: lease.expires,
      due: lease.renewable ? halfway(lease.expires) : undefined,
      counts: true,
      renew: async () => {
        const { lease: now, capped } = await renew(child, lease.id, lease.ttl, { timeout: REQUEST_TIMEOUT });
        renewals += 1;
        return { left: now.expires - Date.now(), final: capped || !now.renewable };
      },
    },
    token,
    // The login's own time is not known yet; asking for more tells it. With its end all else ends.
    { what: 'login', end: Infinity, due: started + LOOK_AT_LOGIN, counts: false, renew: () => renewToken(login) },
  ];

  const step = async (one: Kept): Promise<void> => {
    const asked = Date.now();
    try {
      const { left, final } = await one.renew();
      one.counts ||= final || (one.end !== Infinity && asked + left < one.end + LEAST_MOVE);
      one.end = asked + left;
      one.due = final ? undefined : halfway(one.end);
    } catch (error) {
      if (!isQuorateError(error)) throw error;
      if (stopped()) return;
      // A login that may not renew itself ends when it ends: its child goes with it, and says so then.
      const hopeless = ['denied', 'lease-limit', 'lease-unknown'].includes(error.code);
      if (one.what === 'login' && hopeless) {
        one.due = undefined;
        return;
      }
      onTrouble(one.what, error);
      // Perhaps the token has ended, and the lease with it.
      if (one.what === 'lease' && error.code === 'denied') token.due = Date.now();
      if (error.code === 'lease-unknown' || (one.what === 'token' && error.code === 'denied')) {
        one.end = Date.now();
        one.due = undefined;
        return;
      }
      const wait = Math.min(RETRY_MOST, Math.max(RETRY_LEAST, (one.end - Date.now()) / 8));
      one.due = error.code === 'lease-limit' ? undefined : Date.now() + wait;
    }
  };

  const run = async (): Promise<void> => {
    while (!stopped()) {
      const next = Math.min(...all.map(({ due }) => due ?? Infinity));
      if (next === Infinity) return;
      await pause(Math.max(0, next - Date.now()), undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopped()) return;
      await Promise.all(all.filter(({ due }) => due !== undefined && due <= Date.now()).map(step));
    }
  };
  void run();

  return {
    get end() {
      return Math.min(...all.map(({ end, counts }) => (counts ? end : Infinity)));
    },
    get renewals() {
      return renewals;
    },
    stop() {
      stopping.abort();
    },
  };
}

/** Without `ttl` the token gets what its own settings say. `end`: when it ends as far as that is known. */
async function renewToken(
  caller: Caller,
  ttl?: number,
  end = Infinity,
): Promise<{ readonly left: number; readonly final: boolean }> {
  const body = ttl === undefined ? {} : { increment: `${ttl.toString()}s` };
  const reply = await caller.request('POST', 'auth/token/renew-self', body, {
    timeout: REQUEST_TIMEOUT,
    repeatable: true,
  });
  if (reply.status === 400) return lookAtToken(caller);
  if (reply.status === 403 && !isUnknownToken(reply)) {
    return lookAtToken(caller).catch((error: unknown) => {
      if (!isQuorateError(error, 'denied')) throw error;
      return { left: end - Date.now(), final: true };
    });
  }
  if (reply.status !== 200) throw refusal('POST auth/token/renew-self', reply);
  const auth = (reply.body as { readonly auth?: { readonly lease_duration?: unknown } }).auth;
  const seconds = Number(auth?.lease_duration ?? 0);
  return { left: seconds * 1000, final: ttl !== undefined && seconds < ttl - 1 };
}

/** One that cannot be renewed says when it ends; 0 is never. */
async function lookAtToken(caller: Caller): Promise<{ readonly left: number; readonly final: boolean }> {
  const reply = await caller.request('GET', 'auth/token/lookup-self', undefined, { timeout: REQUEST_TIMEOUT });
  if (reply.status !== 200) throw refusal('GET auth/token/lookup-self', reply);
  const ttl = Number((reply.body as { readonly data?: { readonly ttl?: unknown } }).data?.ttl ?? 0);
  return { left: ttl === 0 ? Infinity : ttl * 1000, final: true };
}

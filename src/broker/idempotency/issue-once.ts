import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import type { Caller } from '../caller.ts';
import { endToken, makeChild } from '../child-token.ts';
import { type Credential, issue, lookUp } from '../lease.ts';
import { type Kept, Store } from './store.ts';

/** How long a claim may stand without a credential before its holder counts as dead. */
const PATIENCE = 20_000;
const POLL = 300;
const ROUNDS = 5;
/** The token lives as long as the token role lets it: the lease ends by itself, and no process is there to renew. */
const TOKEN_TTL = 32 * 24 * 3600;

export interface OnceRequest {
  readonly mount: string;
  readonly role: string;
  readonly key: string;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
  /** A login with another token of the same cluster. */
  readonly withToken: (token: Secret) => Caller;
  /** Milliseconds; for tests. */
  readonly patience?: number;
}

/**
 * The credential of a key: the earlier one while its lease lives, else a new one.
 *
 * Whoever asks first claims the key, by check-and-set, with a child token that is already in the encrypted claim; only
 * then is a credential asked for, by that token. So whatever gets lost or dies in between, the next one finds the
 * token, revokes it, and with it the credential that may hang on it: there are never two.
 * @throws QuorateError `usage` (no identity), `idempotency-busy`, and as `issue`.
 */
export async function issueOnce(caller: Caller, request: OnceRequest): Promise<Credential> {
  const store = await Store.open(caller, request);
  for (let round = 0; round < ROUNDS; round += 1) {
    const kept = await settled(store, request);
    const { entry } = kept;
    if (entry?.state === 'issued') {
      const earlier = await reuse(caller, await store.unseal(entry.box));
      if (earlier !== undefined) {
        request.say('This key has a credential already: it is used again.');
        return earlier;
      }
    }
    // Its holder has died: the token goes, and the credential with it, whether it was made or not.
    if (entry?.state === 'claimed') await endClaim(request, await store.unseal(entry.box));
    const fresh = await claim(caller, store, kept.version, request);
    if (fresh !== undefined) return fresh;
  }
  throw new QuorateError('idempotency-busy', 'others work with the same idempotency key all the time', {
    hint: 'Give each job a key of its own, for example with the number of its matrix leg in it.',
  });
}

/** The entry, once nobody is at work on it, or whoever was seems dead. */
async function settled(store: Store, { signal, patience = PATIENCE }: OnceRequest): Promise<Kept> {
  let seen: { readonly version: number; readonly since: number } | undefined;
  for (;;) {
    const kept = await store.read();
    if (kept.entry?.state !== 'claimed') return kept;
    if (seen?.version !== kept.version) seen = { version: kept.version, since: Date.now() };
    if (Date.now() - seen.since > patience) return kept;
    await pause(POLL, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) throw new QuorateError('cancelled', 'waiting for the other job with this key was cancelled');
  }
}

async function reuse(caller: Caller, box: Readonly<Record<string, unknown>>): Promise<Credential | undefined> {
  const { username, password, lease } = box;
  if (typeof username !== 'string' || typeof password !== 'string' || typeof lease !== 'string') return undefined;
  const asked = Date.now();
  const state = await lookUp(caller, lease);
  if (state === undefined || state.ttl <= 0) return undefined;
  return {
    username,
    password: Secret.fromText(password),
    lease: { id: lease, ttl: state.ttl, renewable: state.renewable, expires: asked + state.ttl * 1000 },
  };
}

async function endClaim({ withToken }: OnceRequest, box: Readonly<Record<string, unknown>>): Promise<void> {
  if (typeof box['token'] !== 'string') return;
  const token = Secret.fromText(box['token']);
  const own = withToken(token);
  token.wipe();
  try {
    if (await endToken(own)) return;
    throw new QuorateError('idempotency-busy', 'another job left this key with a credential that cannot be ended now', {
      hint: 'Try again: its token has to be revoked first.',
    });
  } finally {
    own.close();
  }
}

/** Undefined when somebody else was faster. */
async function claim(
  caller: Caller,
  store: Store,
  version: number,
  request: OnceRequest,
): Promise<Credential | undefined> {
  const { mount, role, signal, withToken } = request;
  const { token } = await makeChild(caller, { role, ttl: TOKEN_TTL }, { signal });
  const own = withToken(token);
  let kept = false;
  try {
    const mine = randomBytes(16).toString('hex');
    const text = token.exposeText();
    if (!(await store.replace(version, { state: 'claimed', claim: mine, box: await store.seal({ token: text }) })))
      return undefined;
    try {
      const credential = await issue(own, mount, role, { signal });
      const { username, password, lease } = credential;
      const box = await store.seal({ token: text, username, password: password.exposeText(), lease: lease.id });
      kept = await store.replace(version + 1, { state: 'issued', claim: mine, box });
      if (kept) return credential;
      password.wipe();
      return undefined;
    } catch (error) {
      // The next one need not wait, nor look for what this one's token may have made.
      if (await endToken(own)) await store.replace(version + 1, { state: 'ended', claim: mine, box: '' });
      if (isQuorateError(error, 'credential-reply-lost')) return undefined;
      throw error;
    }
  } finally {
    if (!kept) await endToken(own);
    own.close();
    token.wipe();
  }
}

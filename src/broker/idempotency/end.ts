import { QuorateError } from '../../errors.ts';
import type { Caller } from '../caller.ts';
import { unknownLease } from '../lease.ts';
import { revoke, type Revoked, type RevokeOptions } from '../revoke.ts';
import { Store } from './store.ts';

export interface EndRequest extends RevokeOptions {
  readonly mount: string;
  readonly role: string;
  readonly key: string;
}

/**
 * Revokes the credential of a key, and destroys what was stored of it.
 * @throws QuorateError `lease-unknown` when the key has none, `lease-unrevoked`, `idempotency-busy`, `usage`.
 */
export async function endKey(caller: Caller, request: EndRequest): Promise<Revoked & { readonly lease: string }> {
  const store = await Store.open(caller, request);
  const { version, entry } = await store.read();
  if (entry?.state === 'claimed') {
    throw new QuorateError('idempotency-busy', 'somebody is asking for the credential of this key right now', {
      hint: 'Wait until that is done, then revoke it.',
    });
  }
  if (entry?.state !== 'issued') throw unknownLease('of this key');
  const { lease } = await store.unseal(entry.box);
  if (typeof lease !== 'string') throw unknownLease('of this key');
  const revoked = await revoke([caller], lease, request);
  if (!(await store.replace(version, { ...entry, state: 'ended', box: '' }))) {
    throw new QuorateError('idempotency-busy', 'the lease is revoked, but somebody else is at work with this key');
  }
  return { ...revoked, lease };
}

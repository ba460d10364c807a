import type { Run } from '../kind.ts';
import type { Leadership } from '../leadership.ts';
import { refusal } from './replies.ts';

/**
 * Writes a root key and all that hangs on it anew from what the leader has in memory, in one call that takes no shares
 * (`POST sys/rotate/root`, OpenBao 2.7.2). Under a Shamir seal it is wrapped with the key that the leader keeps of the
 * shares: the one of `core/shamir-kek`, which it read when it became active, and not the one that unsealed it.
 * @returns `unknown call` on HashiCorp Vault, which has none; `denied` where this login may not.
 * @throws QuorateError `leader-changed`, `sealed`, `server-error`.
 */
export async function rotateAnew(run: Run, leadership: Leadership): Promise<'done' | 'denied' | 'unknown call'> {
  const { peer, session } = leadership;
  const { flavour } = await peer.sealStatus({ signal: run.signal });
  if (flavour !== 'openbao') return 'unknown call';
  const path = await peer.endpoint('rotate-root-key');
  await leadership.check(run);
  const reply = await session.request('POST', path);
  await run.record({
    event: 'request',
    peer: peer.name,
    request: `POST ${path}`,
    expected: { status: 204 },
    actual: { status: reply.status },
  });
  if (reply.status === 403) return 'denied';
  if (reply.status >= 300) throw refusal(peer.name, `POST ${path}`, reply);
  return 'done';
}

import type { Run } from '../kind.ts';
import type { Leadership } from '../leadership.ts';
import { type AttemptStatus, readAttempt } from '../root-generation/attempt.ts';
import { recordLast } from '../root-generation/giving.ts';
import { presentShares } from '../rotation/share-set.ts';
import type { Apart } from './apart.ts';
import { gather } from './gather.ts';
import { nobodyHandsIn } from './rotating.ts';

/**
 * Shares for a root token, from custodians who are not in the room. Only the receipt of the last giver brings the
 * encoded token, which is worth nothing without the one-time pad of this process. When that receipt does not come, the
 * token that the server made is a stray, and the caller finds and revokes it.
 * @returns the encoded token, or why there is none.
 */
export async function generateApart(
  run: Run,
  apart: Apart,
  leadership: Leadership,
  { nonce }: AttemptStatus,
): Promise<{ readonly encoded: string } | { readonly why: string }> {
  const { peer, session } = leadership;
  const set = presentShares(run, 'the shares');
  let gone: string | undefined;
  for (;;) {
    // Any of the shares that are given from now on may be the one that makes the token.
    await recordLast(run);
    const { kind, receipts } = await gather(run, apart, {
      task: { give: 'root-token', nonce },
      set,
      look: async () => {
        await leadership.check(run);
        const { started, nonce: now, progress, required } = await readAttempt(session);
        const over = !started || now !== nonce;
        if (started && now !== nonce) gone = `another generation runs, with nonce ${now}`;
        const counted = over ? required : progress;
        const status = `${counted.toString()}/${required.toString()}`;
        return { counted, needed: required, over, peers: [{ name: peer.name, status }] };
      },
    });
    const encoded = receipts.find((one) => one.encoded !== undefined)?.encoded;
    if (encoded !== undefined) return { encoded };
    if (kind === 'over') {
      return {
        why: gone ?? 'the generation ended, and no receipt brought the token: it was lost, or cancelled by somebody',
      };
    }
    if (kind === 'nobody') throw nobodyHandsIn(set);
    await run.record({ event: 'share.refused', reason: 'shares-wrong', peer: peer.name });
    run.people.say('  These shares do not make a root token together. All must be given again.');
  }
}

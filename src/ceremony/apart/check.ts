import { QuorateError } from '../../errors.ts';
import type { Run } from '../kind.ts';
import { type Invitation, scriptDigest } from './invitation.ts';
import type { Receipt, ReceiptBody } from './receipt.ts';

/** Someone whose receipt counts, and what is known of their share. */
export interface Signer {
  readonly holder: string;
  /** The fingerprint of their SSH key, `SHA256:...`. */
  readonly ssh?: string | undefined;
  /** Of the share that is wanted, where it is known beforehand. */
  readonly share?: { readonly x: string; readonly fingerprint: string };
}

/** The record's name for an invitation that was handed out. */
export const INVITATION = 'invitation';

/**
 * Whether a receipt is for exactly this: this ceremony, script, step and nonce, one of the invitations that were handed
 * out, and a signature by the key that the roster has for that custodian.
 * @param key the key that signed, as the signature's check told; undefined when it did not hold.
 * @throws QuorateError `signature-invalid`, `receipt-mismatch`, `receipt-duplicate`.
 */
export function checkReceipt(
  run: Pick<Run, 'events' | 'cluster'>,
  invitation: Invitation,
  signers: readonly Signer[],
  held: readonly ReceiptBody[],
  { body }: Receipt,
  key: string | undefined,
): Signer {
  const signer = signers.find(({ ssh }) => ssh !== undefined && ssh === key);
  if (key === undefined || signer?.holder !== body.custodian) {
    const whose = signer === undefined ? 'no custodian of this ceremony' : signer.holder;
    throw new QuorateError(
      'signature-invalid',
      key === undefined
        ? `the signature of this receipt does not hold; it says that it is ${body.custodian}'s`
        : `this receipt is in the name of ${body.custodian}, and was signed by ${whose}`,
      { hint: 'Ask them on the telephone. A receipt is signed with the SSH key that the roster names.' },
    );
  }
  const mismatch = firstMismatch(run, invitation, body);
  if (mismatch !== undefined) {
    throw new QuorateError('receipt-mismatch', `${body.custodian}'s receipt is for another ${mismatch}`, {
      hint: 'It is an old one, or for an invitation that is void by now. Send them the newest invitation.',
    });
  }
  const { share } = signer;
  if (share !== undefined && (share.x !== body.x || share.fingerprint !== body.fingerprint)) {
    throw new QuorateError('receipt-mismatch', `${body.custodian}'s receipt is for another share than the roster's`, {
      hint: 'Compare their roster with the one here.',
    });
  }
  if (held.some(({ custodian }) => custodian === body.custodian)) {
    throw new QuorateError('receipt-duplicate', `${body.custodian}'s receipt is here already`, {
      hint: 'Each counts once. Wait for the next custodian.',
    });
  }
  return signer;
}

function firstMismatch(
  run: Pick<Run, 'events' | 'cluster'>,
  invitation: Invitation,
  body: ReceiptBody,
): string | undefined {
  const { task, round, ceremony, step } = invitation;
  if (body.ceremony !== ceremony) return 'ceremony';
  if (body.script !== scriptDigest(invitation)) return 'script';
  if (body.step !== step.id || body.give !== task.give) return 'step';
  if (body.nonce !== task.nonce) return 'nonce';
  if (body.round !== round) return 'round of shares';
  const known = run.events.some(
    (one) => one.event === 'check' && one.code === INVITATION && one.facts?.['digest'] === body.invitation,
  );
  if (!known) return 'invitation';
  const names = new Set(run.cluster.peers.map(({ name }) => name));
  return body.said.every(({ peer, answer }) => answer === 'elsewhere' || names.has(peer)) ? undefined : 'cluster';
}

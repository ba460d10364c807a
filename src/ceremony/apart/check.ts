import { QuorateError } from '../../errors.ts';
import type { Run } from '../kind.ts';
import { sha256 } from '../record/line.ts';
import { handedOut } from './handed-out.ts';
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

/**
 * Whether a receipt is for an invitation of this ceremony that is over, signed by whom it names, and not kept yet:
 * whoever ran the ceremony was away when it came. It tells what happened, and counts for nothing any more.
 */
export function isLate(
  run: Pick<Run, 'events'>,
  { task, round, ...invitation }: Invitation,
  signers: readonly Signer[],
  { body, bytes }: Receipt,
  key: string | undefined,
): boolean {
  const now = body.nonce === task.nonce && body.round === round;
  const mine = body.ceremony === invitation.ceremony && body.script === scriptDigest(invitation);
  if (now || !mine || !isHandedOut(run, body)) return false;
  const digest = sha256(bytes);
  if (run.events.some((one) => one.event === 'receipt' && one.digest === digest)) return false;
  return key !== undefined && signers.some(({ holder, ssh }) => ssh === key && holder === body.custodian);
}

/** Whether the receipt says of its invitation what was recorded when that was handed out. */
function isHandedOut({ events }: Pick<Run, 'events'>, { invitation, give, step, nonce }: ReceiptBody): boolean {
  return handedOut(events).some(
    (one) => one.digest === invitation && one.give === give && one.step === step && one.nonce === nonce,
  );
}

function firstMismatch(
  run: Pick<Run, 'events' | 'cluster'>,
  { task, round, ...invitation }: Invitation,
  body: ReceiptBody,
): string | undefined {
  if (body.ceremony !== invitation.ceremony) return 'ceremony';
  if (body.script !== scriptDigest(invitation)) return 'script';
  // A resumed ceremony may ask for the same in a later step: then the nonce is the same.
  if (body.give !== task.give) return 'step';
  if (body.nonce !== task.nonce) return body.step === invitation.step.id ? 'nonce' : 'step';
  if (body.round !== round) return 'round of shares';
  if (!isHandedOut(run, body)) return 'invitation';
  // Of a namespace the leader takes the shares, whichever it is.
  const names = new Set([...run.cluster.peers.map(({ name }) => name), run.cluster.namespace]);
  return body.said.every(({ peer, answer }) => answer === 'elsewhere' || names.has(peer)) ? undefined : 'cluster';
}

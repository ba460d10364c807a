import type { Invitation } from './invitation.ts';
import type { Receipt } from './receipt.ts';

/**
 * The way to custodians who take part from their own machines, as a ceremony sees it: invitations go out, receipts
 * come in. No share takes it.
 */
export interface Apart {
  /** Hands out an invitation, with the words that people compare. */
  invite(invitation: Invitation): Promise<void>;
  /**
   * The next line that was handed in, be it pasted or a file; undefined when none came within `patience` milliseconds,
   * and null when people say that none will come. @throws QuorateError `cancelled`.
   */
  next(patience: number): Promise<string | undefined | null>;
  /** The fingerprint (`SHA256:...`) of the SSH key that signed this receipt; undefined when none did. */
  signer(receipt: Receipt): Promise<string | undefined>;
}

import { createHash } from 'node:crypto';
import { QuorateError } from '../../../errors.ts';
import { type Admission, admitShare } from '../../roster/admit.ts';
import { parseRoster, renderRoster } from '../../roster/roster.ts';
import { type Roster, shareCount } from '../../roster/schema.ts';
import { fingerprintShare, type Share } from '../../share.ts';
import { invitationDigest, scriptDigest } from '../invitation.ts';
import type { ReceiptBody } from '../receipt.ts';
import type { Task } from '../task.ts';
import type { Answers } from './giving.ts';
import type { Joining } from './surroundings.ts';

/** The message that was issued to this custodian. @throws QuorateError `share-owner` when none was. */
export function ownMessage(joining: Joining): Extract<Task, { give: 'proof' }>['messages'][number] {
  const { task } = joining.invitation;
  const own = task.give === 'proof' ? task.messages.find(({ holder }) => holder === joining.custodian) : undefined;
  if (own !== undefined) return own;
  throw new QuorateError('share-owner', `nothing was issued to ${joining.custodian}, or it is proved already`, {
    hint: 'Give your name as the script has it. Otherwise there is nothing to do for you now.',
  });
}

/**
 * The roster that a share is checked by: the invitation's, which must be the custodian's own where that is of the same
 * generation. Without the custodian's own the invitation's alone finds slips; it opens nothing to anybody.
 * @throws QuorateError `roster-invalid`, `share-owner`.
 */
export function rosterFor({ invitation, custodian }: Joining, own: Roster | undefined): Roster {
  const { roster } = invitation;
  if (roster === undefined) throw new QuorateError('roster-invalid', 'the invitation has no roster to check shares by');
  if (own?.generation === roster.generation && own.cluster === roster.cluster && !sameShares(own, roster)) {
    throw new QuorateError(
      'roster-invalid',
      'your roster and that of the administrator differ in the same generation',
      {
        hint: 'Give no share. Find out which was reviewed.',
      },
    );
  }
  if (!roster.shares.some(({ holder }) => holder === custodian)) {
    const names = roster.shares.map(({ holder }) => holder).join(', ');
    throw new QuorateError('share-owner', `${custodian} holds none of ${invitation.wanted}: ${names} do`, {
      hint: 'Give your name as the roster has it.',
    });
  }
  return roster;
}

function sameShares(one: Roster, other: Roster): boolean {
  const core = ({ shares, threshold, seal }: Roster): string =>
    JSON.stringify([threshold, seal, shares.map(({ holder, x, fingerprint }) => [holder, x, fingerprint.sha256])]);
  return core(parseRoster(renderRoster(one), 'yours')) === core(parseRoster(renderRoster(other), 'theirs'));
}

export function isSingle(roster: Roster): boolean {
  return shareCount(roster) === 1;
}

/** Whose share it is, by the roster. @throws QuorateError as `admitShare`: then nothing was sent. */
export function admitOwn(
  { custodian }: Joining,
  share: Share,
  roster: Roster,
  others: readonly Roster[],
): Admission & { readonly fingerprint: string } {
  const admission = admitShare(share, { roster, others, expectedHolder: custodian });
  if (admission.fingerprint === undefined) throw new QuorateError('bug', 'a share of the roster has no fingerprint');
  return { ...admission, fingerprint: admission.fingerprint };
}

/** What the custodian signs, of a share that was given or shown. */
export function receiptOf(joining: Joining, x: string, fingerprint: string, answers: Answers): ReceiptBody {
  const { invitation, custodian, now } = joining;
  const { ceremony, step, task, round } = invitation;
  return {
    receipt: 1,
    ceremony,
    script: scriptDigest(invitation),
    invitation: invitationDigest(invitation),
    step: step.id,
    give: task.give,
    nonce: task.nonce,
    round,
    custodian,
    x,
    fingerprint: `sha256:${fingerprint}`,
    time: now().toISOString(),
    ...answers,
  };
}

/** What the custodian signs, of an issued share that they have decrypted. */
export function proofOf(joining: Joining, share: Share, message: Uint8Array, answers: Answers): ReceiptBody {
  const { salt, sha256 } = fingerprintShare(share);
  const ciphertext = `sha256:${createHash('sha256').update(message).digest('hex')}`;
  return { ...receiptOf(joining, share.x, sha256, answers), proof: { salt, ciphertext } };
}

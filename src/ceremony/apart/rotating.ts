import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Run } from '../kind.ts';
import type { Leadership } from '../leadership.ts';
import { currentAttempt, recordLastCall } from '../rotation/attempt.ts';
import type { Collected, Collection, CollectOptions } from '../rotation/collect.ts';
import { assertOwn, type RotationOperation, type RotationPurpose } from '../rotation/operation.ts';
import type { ShareSet } from '../rotation/share-set.ts';
import type { Verification } from '../rotation/verify.ts';
import type { Apart } from './apart.ts';
import { gather, type Gathered, type Standing } from './gather.ts';

/**
 * Both halves of a rotation with custodians who give their shares to the active peer themselves. The server's state
 * decides; a receipt brings what the server told one custodian alone: the new shares, or the plain yes to the last call.
 */

/** What no server has said: looking again would not help. */
const PEOPLE = new Set<string>(['cancelled', 'bug', 'deadline-passed', 'roster-invalid', 'record-invalid']);

/** As `collectShares`, for custodians who are not in the room. Any of them may be the last. */
export async function collectApart(
  run: Run,
  apart: Apart,
  { leadership, operation, nonce, use }: Collection,
  set: ShareSet,
  { refusalIsAnswer = false, beforeLast }: CollectOptions,
): Promise<Collected> {
  const { peer } = operation;
  const look = async (): Promise<Standing> => {
    await leadership.check(run);
    const status = await operation.status();
    const { started, progress, required } = status;
    // Where nothing is verified the last share ends it.
    const ended = beforeLast !== undefined && (!started || status.nonce !== nonce);
    if (!ended) assertOwn(peer, status, nonce);
    const over = ended || status.verificationNonce !== '';
    const counted = over ? required : progress;
    return { counted, needed: required, over, peers: [{ name: peer, status: outOf(counted, required) }] };
  };
  for (;;) {
    await beforeLast?.();
    const task = { give: 'rotation', nonce, purpose: purposeOf(operation), use } as const;
    const { kind, receipts } = await gather(run, apart, { task, set, look });
    if (kind === 'nobody') throw nobodyHandsIn(set);
    if (kind === 'over') {
      const issued = receipts.find((one) => one.issued !== undefined)?.issued;
      return { kind: 'complete', issued, givers: receipts.map(({ custodian }) => custodian) };
    }
    await recordWrong(run, peer);
    if (refusalIsAnswer) return { kind: 'wrong set' };
  }
}

/** As `giveNewShares`, for custodians who are not in the room. From the invitation on, any share may be the last. */
export async function verifyApart(
  run: Run,
  apart: Apart,
  leadership: Leadership,
  operation: RotationOperation,
  set: ShareSet,
): Promise<Verification> {
  const { peer } = operation;
  for (;;) {
    await leadership.check(run);
    const begun = await operation.verification();
    if (begun === undefined) {
      throw new QuorateError('leader-changed', `${peer} no longer holds the verification`);
    }
    const { nonce, threshold } = begun;
    if (currentAttempt(run.events)?.lastCallSent !== true) await recordLastCall(run, leadership);
    const look = async (): Promise<Standing> => {
      await leadership.check(run);
      const now = await operation.verification();
      const counted = now === undefined ? threshold : now.progress;
      return {
        counted,
        needed: threshold,
        over: now === undefined,
        fell: now !== undefined && now.nonce !== nonce,
        peers: [{ name: peer, status: outOf(counted, threshold) }],
      };
    };
    let gathered: Gathered;
    try {
      const task = { give: 'verification', nonce, purpose: purposeOf(operation) } as const;
      gathered = await gather(run, apart, { task, set, look });
    } catch (error) {
      if (!isQuorateError(error) || PEOPLE.has(error.code)) throw error;
      return { kind: 'open', why: error.message };
    }
    const { kind, receipts } = gathered;
    if (kind === 'nobody') throw nobodyHandsIn(set);
    if (kind === 'over') {
      const yes = receipts.some(({ said }) => said.some(({ answer }) => answer === 'complete'));
      return yes ? { kind: 'complete' } : { kind: 'open', why: 'no receipt says that the last share was answered yes' };
    }
    await recordWrong(run, peer);
  }
}

async function recordWrong(run: Run, peer: string): Promise<void> {
  await run.record({ event: 'share.refused', reason: 'shares-wrong', peer });
  run.people.say(`  ${peer} says that the shares given do not belong together, or not here. All must be given again.`);
}

/** The error when no other receipt will come. */
export function nobodyHandsIn({ name }: ShareSet): QuorateError {
  return new QuorateError('ceremony-interrupted', `more of ${name} are needed, and nobody hands in a receipt`, {
    hint: 'Resume the ceremony when those who hold them are there.',
  });
}

function purposeOf({ path }: RotationOperation): RotationPurpose {
  return path.includes('recovery') ? 'rotate-recovery-key' : 'rotate-root-key';
}

function outOf(counted: number, needed: number): string {
  return `${counted.toString()}/${needed.toString()}`;
}

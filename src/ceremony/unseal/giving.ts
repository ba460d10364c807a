import { isQuorateError, type QuorateError } from '../../errors.ts';
import type { SealStatus } from '../../vault/peer.ts';
import type { Given } from '../asking.ts';
import type { Run } from '../kind.ts';
import { shareText } from '../share.ts';
import { named, type Target } from './target.ts';

export interface GiveOptions {
  readonly migrate?: boolean;
  /** Milliseconds that a peer may take after its last share (a Raft follower joins first). */
  readonly joinTimeout: number;
}

export type Outcome = 'settled' | 'wrong set';

/** Faults after which the same share is given once more, when the peer's progress shows that it was not counted. */
const ON_THE_WAY = new Set<string>(['server-unreachable', 'server-timeout', 'server-response']);

/** Gives one share to one peer and settles what came of it; never throws for the peer's faults. */
export async function giveShare(
  run: Run,
  target: Target,
  given: Given,
  options: GiveOptions,
  again = false,
): Promise<Outcome> {
  const { share, admission } = given;
  if (target.counted.has(share.x)) return 'settled';
  const before = target.seal;
  const last = before.progress + 1 >= before.threshold;
  const text = shareText(share);
  let after: SealStatus;
  try {
    after = await target.peer.unseal(text, {
      signal: run.signal,
      ...(options.migrate === true ? { migrate: true } : {}),
    });
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    const settled = await settleFault(run, target, error, given);
    if (settled !== 'not counted') return settled;
    if (!again && ON_THE_WAY.has(error.code)) return await giveShare(run, target, given, options, true);
    run.people.say(`${named(target.peer.name, error.message)}. That share was not counted there.`);
    return 'settled';
  } finally {
    text.wipe();
  }
  await recordAccepted(run, target, given, after, last);
  await adopt(run, target, after, share.x, { last, answered: true, holder: admission.holder });
  return 'settled';
}

async function recordAccepted(
  run: Run,
  target: Target,
  { share, admission }: Given,
  after: SealStatus,
  last: boolean,
): Promise<void> {
  await run.record({
    event: 'share.accepted',
    x: share.x,
    peer: target.peer.name,
    request: `POST ${target.peer.unsealPath}`,
    expected: last ? { sealed: false } : { sealed: true, progress: target.seal.progress + 1 },
    actual: { sealed: after.sealed, progress: after.progress },
    ...(admission.holder === undefined ? {} : { who: admission.holder }),
    ...(admission.fingerprint === undefined ? {} : { fingerprint: `sha256:${admission.fingerprint}` }),
    ...(admission.generation === 0 ? {} : { generation: admission.generation }),
    ...(after.nonce === '' ? {} : { nonce: after.nonce }),
  });
}

/** Takes over what the peer said after a share: counted, unsealed, joining, or reset by somebody else. */
async function adopt(
  run: Run,
  target: Target,
  after: SealStatus,
  x: string,
  { last, answered, holder }: { last: boolean; answered: boolean; holder: string | undefined },
): Promise<void> {
  const before = target.seal;
  target.seal = after;
  delete target.why;
  if (!after.sealed) {
    target.state = 'unsealed';
    return;
  }
  if (last && after.progress === 0) {
    // A Raft follower that joins answers like a reset (OpenBao 2.7.2, Vault 1.14.0) and unseals some seconds later.
    target.state = 'opening';
    target.answered = answered;
    return;
  }
  const sameAttempt = before.nonce === '' || after.nonce === before.nonce;
  if (!sameAttempt) {
    await foreignReset(run, target);
    target.counted.clear();
  } else if (answered && after.progress === before.progress) {
    // The server counts equal shares once.
    run.people.say(`${target.peer.name} had ${holder ?? 'that'}${holder === undefined ? '' : "'s"} share already.`);
  }
  target.counted.add(x);
}

/**
 * After a call that failed: the share may have been counted or not, and the peer is asked.
 * Its progress and nonce tell, because an attempt's nonce lives until it ends (observed on both servers).
 */
async function settleFault(
  run: Run,
  target: Target,
  error: QuorateError,
  { share, admission }: Given,
): Promise<Outcome | 'not counted'> {
  const before = target.seal;
  const last = before.progress + 1 >= before.threshold;
  let seal: SealStatus;
  try {
    seal = await target.peer.sealStatus({ signal: run.signal });
  } catch (gone) {
    if (!isQuorateError(gone) || gone.code === 'cancelled' || gone.code === 'bug') throw gone;
    await run.record({ event: 'share.refused', reason: error.code, peer: target.peer.name });
    target.state = 'lost';
    target.why = gone.message;
    run.people.say(`  ${named(target.peer.name, gone.message)}. The others go on.`);
    return 'settled';
  }
  if (error.code === 'shares-wrong') {
    // Progress is 0 again; which of the shares was wrong the server does not know.
    await run.record({ event: 'share.refused', reason: error.code, peer: target.peer.name });
    target.seal = seal;
    target.counted.clear();
    return 'wrong set';
  }
  const sameAttempt = before.nonce === '' || seal.nonce === before.nonce;
  const counted = seal.sealed && seal.progress === before.progress + 1 && sameAttempt;
  const ended = last && seal.progress === 0 && before.progress > 0;
  if (!seal.sealed || counted || ended) {
    // It said why, and not that the set was wrong.
    if (seal.sealed && !counted && error.code === 'server-error') {
      run.people.say(`  ${named(target.peer.name, error.message)}. ${error.hint ?? ''}`);
    }
    await run.record({
      event: 'request',
      peer: target.peer.name,
      request: `POST ${target.peer.unsealPath}`,
      expected: { answer: true },
      actual: { answer: error.code, sealed: seal.sealed, progress: seal.progress },
    });
    if (counted || !seal.sealed) await recordAccepted(run, target, { share, admission }, seal, last);
    await adopt(run, target, seal, share.x, { last, answered: false, holder: admission.holder });
    return 'settled';
  }
  await run.record({ event: 'share.refused', reason: error.code, peer: target.peer.name });
  if (!sameAttempt) {
    await foreignReset(run, target);
    target.counted.clear();
  }
  target.seal = seal;
  return 'not counted';
}

async function foreignReset(run: Run, target: Target): Promise<void> {
  const text = `the unseal attempt on ${target.peer.name} was reset by somebody else or by a restart`;
  run.people.say(`${text}; shares already given to it must be given again.`);
  await run.record({
    event: 'exception',
    expected: 'one unseal attempt, one nonce',
    happened: text,
    decision: 'counted from zero',
    by: 'quorate',
  });
}

import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { collectApart } from '../apart/rotating.ts';
import { askForShare, type Given as GivenShare } from '../asking.ts';
import type { Run } from '../kind.ts';
import { Leadership } from '../leadership.ts';
import { tellNonce } from '../lock-steps.ts';
import { aboutToStart, NOT_FINISHED, type OperationUse } from './attempt.ts';
import { assertOwn, RotationOperation, type RotationPurpose, type RotationRequest } from './operation.ts';
import type { Given, Issued, RotationStatus } from './replies.ts';
import { asking, isSingle, type ShareSet } from './share-set.ts';
import { sweep } from './sweep.ts';

const TRIES = 4;
const AFTER_CHANGE = 2000;

/** After these the operation starts again on whichever peer leads then: what was given is void. */
const START_AGAIN = new Set<string>(['leader-changed', 'server-unreachable', 'server-timeout', 'sealed', 'not-ready']);

export interface Collection {
  readonly use: OperationUse;
  readonly leadership: Leadership;
  readonly operation: RotationOperation;
  readonly nonce: string;
}

export type Collected =
  /** `issued` is undefined where the reply with it was lost. */
  | { readonly kind: 'complete'; readonly issued: Issued | undefined; readonly givers: readonly string[] }
  | { readonly kind: 'wrong set' };

/**
 * Starts an operation on the active peer, with nothing else under way on any, and does `work` with it. When the
 * leadership changes, all is cancelled everywhere and it starts again. When `work` fails it is cancelled; when it
 * succeeds it stays as it is.
 */
export async function withOperation<T>(
  run: Run,
  purpose: RotationPurpose,
  use: OperationUse,
  request: RotationRequest,
  work: (collection: Collection) => Promise<T>,
  options: { readonly tolerate?: boolean } = {},
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    await sweep(run, { tolerate: options.tolerate === true || tries > 1 });
    let leadership: Leadership | undefined;
    let operation: RotationOperation | undefined;
    try {
      leadership = await Leadership.find(run);
      operation = await RotationOperation.on(leadership.session, purpose);
      const nonce = await start(run, leadership, operation, use, request);
      await tellNonce(run, leadership.session, nonce);
      return await work({ use, leadership, operation, nonce });
    } catch (error) {
      // Nothing that takes effect was sent: an operation without an owner only stands in the way, or is a ghost.
      await operation?.cancel().catch(() => undefined);
      if (!isQuorateError(error) || !START_AGAIN.has(error.code) || tries === TRIES) throw error;
      run.people.say(`${error.message}. The ${use} starts again from the beginning; shares must be given again.`);
      await run.record({
        event: 'exception',
        expected: `one leader during the ${use}`,
        happened: `${error.code}: ${error.message}`.slice(0, 390),
        decision: 'cancelled on every peer and started again',
        by: 'quorate',
      });
      // A peer that has just lost the leadership does not tell at once what it still holds.
      await sleep(AFTER_CHANGE, undefined, { signal: run.signal });
    } finally {
      leadership?.close();
    }
  }
}

async function start(
  run: Run,
  leadership: Leadership,
  operation: RotationOperation,
  use: OperationUse,
  request: RotationRequest,
): Promise<string> {
  await leadership.check(run);
  await run.record({ event: 'note', text: aboutToStart(use) });
  const { nonce, shares, threshold } = await operation.start(request);
  if (nonce === '' || shares !== request.shares || threshold !== request.threshold) {
    throw new QuorateError('server-response', `${operation.peer} started another operation than was asked for`);
  }
  await run.record({
    event: 'request',
    peer: operation.peer,
    request: `PUT ${operation.path}/init`,
    expected: { started: true, shares: request.shares, threshold: request.threshold },
    actual: { started: true, shares, threshold, nonce, for: use },
  });
  return nonce;
}

export interface CollectOptions {
  /** A wrong set is a result and not a mistake to be put right. */
  readonly refusalIsAnswer?: boolean;
  /**
   * For an operation that takes effect with the last share: called right before it is given. Nothing but a 200 is then
   * taken for done, and nothing but a plain refusal for not done: all else is `complete` without what was issued.
   */
  readonly beforeLast?: () => Promise<void>;
}

/**
 * Collects today's shares until they complete the operation. Each is checked against the set's roster first and given
 * once; what became of a lost reply is read from the server's progress.
 * @throws QuorateError `leader-changed`, `ceremony-interrupted` when nobody gives another share.
 */
export async function collectShares(
  run: Run,
  collection: Collection,
  set: ShareSet,
  options: CollectOptions = {},
): Promise<Collected> {
  if (run.apart !== undefined) return collectApart(run, run.apart, collection, set, options);
  const { leadership, operation, nonce } = collection;
  const { refusalIsAnswer = false, beforeLast } = options;
  const counted = new Map<string, string>();
  const asked = asking(run, set);
  for (;;) {
    await leadership.check(run);
    const status = await operation.status();
    assertOwn(operation.peer, status, nonce);
    if (status.verificationNonce !== '') return { kind: 'complete', issued: undefined, givers: [...counted.values()] };
    const { required, progress } = status;
    if (progress === 0) counted.clear();
    const given = await askForShare(
      asked,
      {
        needed: required,
        given: progress,
        ...(set.roster === undefined ? {} : { shares: set.roster.shares.length + (set.roster.unlisted ?? 0) }),
        present: [...counted.values()],
        peers: [{ name: operation.peer, status: `${progress.toString()}/${required.toString()}` }],
        single: isSingle(set, required),
        taken: new Set(counted.keys()),
      },
      { unlistedShare: false, ...(set.roster === undefined ? {} : { roster: set.roster }) },
    );
    if (given === null) throw nobodyLeft(set, required - progress);
    try {
      const decides = beforeLast !== undefined && progress + 1 >= required;
      if (decides) await beforeLast();
      await leadership.check(run);
      const outcome = decides
        ? await giveDeciding(run, operation, nonce, given)
        : await giveOne(run, operation, status, nonce, given);
      if (outcome.kind === 'complete' || outcome.kind === 'progress') {
        counted.set(given.share.x, given.admission.holder ?? `x ${given.share.x}`);
        await recordCounted(run, operation, given, status, nonce, outcome.kind === 'complete');
      }
      if (outcome.kind === 'complete') return { ...outcome, givers: [...counted.values()] };
      if (outcome.kind !== 'wrong set') continue;
      counted.clear();
      await run.record({ event: 'share.refused', reason: 'shares-wrong', peer: operation.peer });
      if (refusalIsAnswer) return outcome;
      await run.people.refused(wrongSet(operation.peer));
    } finally {
      given.share.bytes.wipe();
    }
  }
}

type Settled =
  | { readonly kind: 'progress' }
  | { readonly kind: 'wrong set' }
  | { readonly kind: 'not counted' }
  | { readonly kind: 'complete'; readonly issued: Issued | undefined };

async function giveOne(
  run: Run,
  operation: RotationOperation,
  before: RotationStatus,
  nonce: string,
  given: GivenShare,
  again = false,
): Promise<Settled> {
  const outcome = await operation.give(given.share, nonce);
  switch (outcome.kind) {
    case 'progress':
    case 'wrong set':
    case 'complete':
      return outcome;
    case 'counted before':
      return { kind: 'progress' };
    case 'verifying':
      return { kind: 'complete', issued: undefined };
    case 'gone':
    case 'nonce changed':
      throw new QuorateError('leader-changed', `the operation on ${operation.peer} is no longer there`);
    case 'unclear':
      break;
  }
  await recordUnclear(run, operation, 'update', outcome);
  const after = await operation.status();
  assertOwn(operation.peer, after, nonce);
  if (after.verificationNonce !== '') return { kind: 'complete', issued: undefined };
  if (after.progress > before.progress) return { kind: 'progress' };
  // The last share of a set that is wrong brings the progress back to 0.
  if (after.progress < before.progress) return { kind: 'wrong set' };
  if (again || before.required === 1) return { kind: 'not counted' };
  // Not counted, so far; should it be counted meanwhile, the server says so.
  return giveOne(run, operation, before, nonce, given, true);
}

/** The share whose giving takes effect: an answer that is neither yes nor no is not looked into here. */
async function giveDeciding(
  run: Run,
  operation: RotationOperation,
  nonce: string,
  given: GivenShare,
): Promise<Settled> {
  const outcome = await operation.give(given.share, nonce);
  switch (outcome.kind) {
    case 'complete':
      return outcome;
    case 'unclear':
      await recordUnclear(run, operation, 'update', outcome);
      return { kind: 'complete', issued: undefined };
    default:
      await run.record({ event: 'note', text: NOT_FINISHED });
      if (outcome.kind === 'wrong set' || outcome.kind === 'progress') return outcome;
      if (outcome.kind === 'counted before') return { kind: 'progress' };
      throw new QuorateError('leader-changed', `the operation on ${operation.peer} is no longer there`);
  }
}

/** Records a call whose effect its reply does not tell. */
export async function recordUnclear(
  run: Run,
  operation: RotationOperation,
  part: 'update' | 'verify',
  { code, why }: Extract<Given, { kind: 'unclear' }>,
): Promise<void> {
  await run.record({
    event: 'request',
    peer: operation.peer,
    request: `PUT ${operation.path}/${part}`,
    expected: { status: 200 },
    actual: { answer: code, said: why.slice(0, 390) },
  });
}

async function recordCounted(
  run: Run,
  operation: RotationOperation,
  { share, admission }: GivenShare,
  before: RotationStatus,
  nonce: string,
  complete: boolean,
): Promise<void> {
  await run.record({
    event: 'share.accepted',
    x: share.x,
    peer: operation.peer,
    request: `PUT ${operation.path}/update`,
    expected: { progress: before.progress + 1 },
    actual: complete ? { complete } : { progress: before.progress + 1 },
    nonce,
    ...(admission.holder === undefined ? {} : { who: admission.holder }),
    ...(admission.fingerprint === undefined ? {} : { fingerprint: `sha256:${admission.fingerprint}` }),
    ...(admission.generation === 0 ? {} : { generation: admission.generation }),
  });
  run.people.say(`  accepted${admission.holder === undefined ? '' : ` from ${admission.holder}`} (share ${share.x})`);
}

/** The error when people leave. */
export function nobodyLeft({ name }: ShareSet, missing: number): QuorateError {
  return new QuorateError(
    'ceremony-interrupted',
    `${missing.toString()} more of ${name} are needed, and nobody gives one`,
    {
      hint: 'Resume the ceremony when those who hold them are there.',
    },
  );
}

function wrongSet(peer: string): QuorateError {
  return new QuorateError('shares-wrong', `${peer} says that the shares given do not belong together, or not here`, {
    hint: 'One is mistyped, of another cluster, or of an older generation. All must be given again.',
  });
}

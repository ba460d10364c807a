import type { Run } from '../kind.ts';
import type { Leadership } from '../leadership.ts';
import type { RecordLine } from '../record/events.ts';

/**
 * How far a rotation got, from its record. The servers say what is; the record says which of it is ours, and which
 * calls may have left.
 */

/** Which set of shares opens the cluster, and what showed it. */
export interface Live {
  readonly set: 'new' | 'old';
  readonly by: string;
}

export interface Attempt {
  /** From 1; each start counts, so that files of an attempt that came to nothing stay apart. */
  readonly number: number;
  readonly nonce: string;
  /** From its start on. */
  readonly events: readonly RecordLine[];
  /** The share that completes the verification may have been sent: from then on nothing is cancelled. */
  readonly lastCallSent: boolean;
  readonly live: Live | undefined;
}

export type OperationUse = 'rotation' | 'drill';

/** What the record says right before an operation is started, and its text. */
export const aboutToStart = (use: OperationUse): string => `about to start a ${use} on the active peer`;
export const ABOUT_TO_FINISH = 'about to give the last new share: from here on nothing but a 200 counts';
/** The server answered the last call with a refusal that changes nothing. */
export const NOT_FINISHED = 'the last call was refused: nothing has taken effect';
export const LIVE_SET = 'live-set';
const LAST_CALL = 'last-call';
/** No set of shares opens anything: only the snapshot is left. */
const NO_LIVE_SET = 'no-live-set';

/** The rotation that counts: the newest one, unless it was found to have changed nothing. */
export function currentAttempt(events: readonly RecordLine[]): Attempt | undefined {
  const starts = events.flatMap((event, index) => (startedNonce(event, 'rotation') === undefined ? [] : [index]));
  const last = starts.at(-1);
  const first = last === undefined ? undefined : events[last];
  if (last === undefined || first === undefined) return undefined;
  const own = events.slice(last);
  const live = liveOf(own);
  if (live?.set === 'old') return undefined;
  return {
    number: starts.length,
    nonce: startedNonce(first, 'rotation') ?? '',
    events: own,
    lastCallSent: lastNote(own, ABOUT_TO_FINISH) > lastNote(own, NOT_FINISHED),
    live,
  };
}

/** To be called right before the call that may make a rotation take effect: from here on nothing but a 200 counts. */
export async function recordLastCall(run: Pick<Run, 'record'>, { peer, term }: Leadership): Promise<void> {
  const finding = `${peer.name} leads at the last call`;
  await run.record({ event: 'check', code: LAST_CALL, ok: true, finding, facts: { leader: term ?? null } });
  await run.record({ event: 'note', text: ABOUT_TO_FINISH });
}

/**
 * Whether the last call went to the very leadership that there is now. What it had begun it has ended then: nothing
 * of it can be torn.
 */
export function sameSinceLastCall({ events }: Attempt, { term }: Leadership): boolean {
  const last = events.findLast((event) => event.event === 'check' && event.code === LAST_CALL);
  return term !== undefined && last?.event === 'check' && last.facts?.['leader'] === term;
}

export async function recordNoLiveSet(run: Run, finding: string): Promise<void> {
  await run.record({ event: 'check', code: NO_LIVE_SET, ok: false, finding: finding.slice(0, 390) });
}

/** Whether a rotation ended there: then its snapshot is the way back, even while a peer still serves from memory. */
export function foundNoLiveSet(events: readonly RecordLine[]): boolean {
  const last = events.findLast(
    (event) => event.event === 'check' && (event.code === NO_LIVE_SET || event.code === LIVE_SET),
  );
  return last?.event === 'check' && last.code === NO_LIVE_SET;
}

function lastNote(events: readonly RecordLine[], text: string): number {
  return events.findLastIndex((event) => event.event === 'note' && event.text === text);
}

/** Whether an operation with this nonce was started by this ceremony, as far as its record can tell. */
export function isOwn(events: readonly RecordLine[], nonce: string, progress: number): boolean {
  for (const use of ['rotation', 'drill'] as const) {
    if (events.some((event) => startedNonce(event, use) === nonce)) return true;
    // Stopped between the start and its line: nobody has given a share to it yet.
    const begun = events.findLastIndex((event) => event.event === 'note' && event.text === aboutToStart(use));
    const known = events.findLastIndex((event) => startedNonce(event, use) !== undefined);
    if (begun > known && progress === 0) return true;
  }
  return false;
}

function startedNonce(event: RecordLine, use: OperationUse): string | undefined {
  if (event.event !== 'request' || event.actual['for'] !== use) return undefined;
  const { nonce } = event.actual;
  return typeof nonce === 'string' ? nonce : undefined;
}

function liveOf(events: readonly RecordLine[]): Live | undefined {
  const found = events.findLast((event) => event.event === 'check' && event.code === LIVE_SET && event.ok);
  if (found?.event !== 'check') return undefined;
  const { set, by } = found.facts ?? {};
  return set === 'new' || set === 'old' ? { set, by: String(by) } : undefined;
}

import type { RecordLine } from '../record/events.ts';

/** The record's name for an invitation that was handed out. */
export const INVITATION = 'invitation';

/** An invitation that this ceremony has handed out, in this sitting or one before. */
export interface HandedOut {
  readonly digest: string;
  readonly give: string;
  /** The id of the step. */
  readonly step: string;
  readonly nonce: string;
  /** Its place in the record. */
  readonly index: number;
}

export function handedOut(events: readonly RecordLine[]): readonly HandedOut[] {
  return events.flatMap((one, index) => {
    if (one.event !== 'check' || one.code !== INVITATION || one.facts === undefined) return [];
    const { digest, give, step, nonce } = one.facts;
    return [{ digest: String(digest), give: String(give), step: String(step), nonce: String(nonce), index }];
  });
}

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
  /** Whose seal it was about; empty for the cluster's own. */
  readonly namespace: string;
  /** Its place in the record. */
  readonly index: number;
}

export function handedOut(events: readonly RecordLine[]): readonly HandedOut[] {
  return events.flatMap((one, index) => {
    if (one.event !== 'check' || one.code !== INVITATION || one.facts === undefined) return [];
    const [digest, give, step, nonce, namespace] = ['digest', 'give', 'step', 'nonce', 'namespace'].map((name) =>
      String(one.facts?.[name] ?? ''),
    ) as [string, string, string, string, string];
    return [{ digest, give, step, nonce, namespace, index }];
  });
}

/** `unchecked` is what nobody looked at: no proof of anything, and no pass. `note` is for people and decides nothing. */
export type Outcome = 'ok' | 'fail' | 'unchecked' | 'note';

export interface VerifyFinding {
  readonly about: 'record' | 'head' | 'outputs' | 'signatures' | 'roles';
  readonly outcome: Outcome;
  readonly text: string;
  /** The line of the record or of SHA256SUMS, from 1. */
  readonly line?: number;
}

import type { DatabaseProof } from './proof.ts';

/** What happened to one job's credential. Nothing in it is secret. */
export interface Receipt {
  readonly role: string;
  readonly lease: string;
  readonly username: string;
  /** RFC 3339, this machine's clock, like all times here. */
  readonly issued: string;
  readonly ended: string;
  /** How the program ended; both null when it never started. */
  readonly program: { readonly status: number | null; readonly signal: string | null };
  readonly renewals: number;
  /** Null when it is not known to be revoked; the server ends it at `expires` at the latest. */
  readonly revoked: { readonly at: string; readonly tries: number } | null;
  readonly expires: string;
  readonly proof: {
    /** `gone`: the server knows it no more. */
    readonly lease: 'gone' | 'unknown';
    readonly token: 'gone' | 'unknown';
    /** With `--prove`. */
    readonly database?: DatabaseProof;
  };
  /** Whether everything that was to be proved is. */
  readonly proved: boolean;
}

/** Whether the database's answers are those after a revocation. */
export function isProof({ login, session }: DatabaseProof): boolean {
  return login === 'refused' && (session === 'ended' || session === 'none');
}

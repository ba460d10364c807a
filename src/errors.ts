import { inspect } from 'node:util';

/** Exit statuses of the quorate command. Commands that run a program exit with its status instead. */
export const EXIT = {
  done: 0,
  usage: 1,
  refused: 2,
  sealed: 3,
  denied: 4,
  unverified: 5,
  bug: 70,
  cancelled: 130,
} as const;

export type Exit = (typeof EXIT)[keyof typeof EXIT];

/**
 * Every way in which quorate fails, with the exit status it leads to.
 * Codes are a public contract: scripts match on them, so a code is never renamed or reused.
 */
export const ERROR_CODES = {
  // Used wrongly: nothing was sent anywhere.
  'usage': EXIT.usage,
  'document-invalid': EXIT.usage,
  'file-missing': EXIT.usage,
  'file-exists': EXIT.usage,
  'file-mode': EXIT.usage,
  'file-invalid': EXIT.usage,
  'environment-hostile': EXIT.usage,
  'terminal-needed': EXIT.usage,
  'terminal-refused': EXIT.usage,
  'program-missing': EXIT.usage,
  'cluster-unknown': EXIT.usage,
  'policy': EXIT.usage,
  'key-unusable': EXIT.usage,
  'database-target-unknown': EXIT.usage,
  'hsm-library-invalid': EXIT.usage,
  'hsm-token-ambiguous': EXIT.usage,
  // A server, a peer or a program said no, or could not be reached.
  'server-error': EXIT.refused,
  'server-response': EXIT.refused,
  'server-unreachable': EXIT.refused,
  'server-timeout': EXIT.refused,
  'server-identity': EXIT.refused,
  'server-redirect': EXIT.refused,
  'server-unsupported': EXIT.refused,
  'program-failed': EXIT.refused,
  'preflight-failed': EXIT.refused,
  'already-initialised': EXIT.refused,
  'init-reply-lost': EXIT.refused,
  'ceremony-interrupted': EXIT.refused,
  'deadline-passed': EXIT.refused,
  'leader-changed': EXIT.refused,
  'ceremony-locked': EXIT.refused,
  'outcome-unknown': EXIT.refused,
  'no-way-back': EXIT.refused,
  'database-unreachable': EXIT.refused,
  'database-failed': EXIT.refused,
  'database-account-unfit': EXIT.refused,
  'database-password-lost': EXIT.refused,
  'lease-unknown': EXIT.refused,
  'lease-limit': EXIT.refused,
  'credential-reply-lost': EXIT.refused,
  'idempotency-busy': EXIT.refused,
  'hsm-token-missing': EXIT.refused,
  'hsm-token-uninitialised': EXIT.refused,
  'hsm-token-in-use': EXIT.refused,
  'hsm-session-lost': EXIT.refused,
  'hsm-timeout': EXIT.refused,
  'hsm-mechanism-missing': EXIT.refused,
  'hsm-key-missing': EXIT.refused,
  'hsm-key-ambiguous': EXIT.refused,
  'hsm-key-exists': EXIT.refused,
  'hsm-failed': EXIT.refused,
  // Sealed, or not ready.
  'sealed': EXIT.sealed,
  'not-initialised': EXIT.sealed,
  'not-ready': EXIT.sealed,
  // Denied.
  'denied': EXIT.denied,
  'token-missing': EXIT.denied,
  'ticket-opened': EXIT.denied,
  'login-audience': EXIT.denied,
  'login-claims': EXIT.denied,
  'login-expired': EXIT.denied,
  'login-clock': EXIT.denied,
  'login-untrusted': EXIT.denied,
  'login-role': EXIT.denied,
  'login-wrap-opened': EXIT.denied,
  'database-denied': EXIT.denied,
  'pin-wrong': EXIT.denied,
  'pin-locked': EXIT.denied,
  'pin-last-try': EXIT.denied,
  'pin-unusable': EXIT.denied,
  // A verification failed.
  'share-invalid': EXIT.unverified,
  'share-unknown': EXIT.unverified,
  'share-duplicate': EXIT.unverified,
  'share-generation': EXIT.unverified,
  'share-owner': EXIT.unverified,
  'share-undecryptable': EXIT.unverified,
  'shares-wrong': EXIT.unverified,
  'roster-invalid': EXIT.unverified,
  'record-invalid': EXIT.unverified,
  'signature-invalid': EXIT.unverified,
  'cluster-mismatch': EXIT.unverified,
  'invitation-invalid': EXIT.unverified,
  'receipt-invalid': EXIT.unverified,
  'receipt-mismatch': EXIT.unverified,
  'receipt-duplicate': EXIT.unverified,
  'lease-unrevoked': EXIT.unverified,
  'statement-invalid': EXIT.unverified,
  'commitment-mismatch': EXIT.unverified,
  'epoch-stale': EXIT.unverified,
  'epoch-uncommitted': EXIT.unverified,
  'epoch-conflict': EXIT.unverified,
  'state-missing': EXIT.unverified,
  'separation-broken': EXIT.unverified,
  'separation-unproved': EXIT.unverified,
  'hsm-key-unfit': EXIT.unverified,
  'hsm-decryption-failed': EXIT.unverified,
  // The rest.
  'bug': EXIT.bug,
  'cancelled': EXIT.cancelled,
} as const satisfies Record<string, Exit>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A fault in a document that a person wrote, with its place where that is known (both from 1). */
export interface Fault {
  readonly message: string;
  readonly line?: number;
  readonly column?: number;
}

export interface QuorateErrorDetails {
  /** What the reader should do now. One or two sentences. */
  readonly hint?: string;
  /** For documents: every fault found. */
  readonly faults?: readonly Fault[];
  /** In place of the code's own exit status, for commands that exit with the status of another program. */
  readonly exit?: number;
}

/**
 * The one error class of quorate. The message says what failed, the hint what to do.
 * It is made fresh where a failure is understood and never carries a request, a response, a header,
 * or a `cause`: any of these could hold a token or a share. Callers must not put values of secrets,
 * nor text that a server or a person supplied unchecked, into the message.
 */
export class QuorateError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly faults: readonly Fault[];
  readonly #exit: number | undefined;

  constructor(code: ErrorCode, message: string, details: QuorateErrorDetails = {}) {
    super(message);
    this.name = 'QuorateError';
    this.code = code;
    this.hint = details.hint;
    this.faults = details.faults ?? [];
    this.#exit = details.exit;
  }

  /** The process exit status that this error leads to. */
  get exit(): number {
    return this.#exit ?? ERROR_CODES[this.code];
  }

  /** The same error with another exit status, unless it has one of its own, or somebody cancelled. */
  endingWith(exit: number): QuorateError {
    if (this.code === 'cancelled' || this.#exit !== undefined) return this;
    return new QuorateError(this.code, this.message, {
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      faults: this.faults,
      exit,
    });
  }

  /** The shape that `--format json` prints under `error`. */
  toJSON(): Record<string, unknown> {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.faults.length === 0 ? {} : { faults: this.faults }),
      exit: this.exit,
    };
  }

  [inspect.custom](): string {
    return `QuorateError ${this.code}: ${this.message}`;
  }
}

/** Whether `error` is a QuorateError, of the given code when one is named. */
export function isQuorateError(error: unknown, code?: ErrorCode): error is QuorateError {
  return error instanceof QuorateError && (code === undefined || error.code === code);
}

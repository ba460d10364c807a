import { type ErrorCode, QuorateError } from '../../errors.ts';
import type { Reply } from '../../vault/peer.ts';

/**
 * What servers answer to rotations, told apart by text and status together: the status alone does not say whose fault
 * it is, and the texts carry artefacts of Go, so they are matched in part (observed on OpenBao 2.7.2, Vault 1.14.0).
 */

/** An operation under way, or idle (`started` false, `nonce` empty). */
export interface RotationStatus {
  readonly started: boolean;
  readonly nonce: string;
  /** Of the new shares. */
  readonly shares: number;
  readonly threshold: number;
  readonly progress: number;
  /** How many of today's shares it takes. */
  readonly required: number;
  /** Not empty once today's shares were complete: the new ones wait to be verified. */
  readonly verificationNonce: string;
}

/** What was issued at the quorum: OpenPGP messages in base64, one for each key in the order of the request. */
export interface Issued {
  readonly shares: readonly string[];
  /** Lower-case hexadecimal, in the same order; empty where no keys were given. */
  readonly fingerprints: readonly string[];
  readonly verificationNonce: string;
}

export type Given =
  | { readonly kind: 'progress'; readonly progress: number }
  | { readonly kind: 'counted before' }
  | { readonly kind: 'complete'; readonly issued: Issued }
  /** The set does not open the root key together; the server does not know which share is wrong. Progress is 0. */
  | { readonly kind: 'wrong set' }
  /** The shares were complete before: the new ones wait to be verified. */
  | { readonly kind: 'verifying' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'nonce changed' }
  /** It may have been counted, or applied, or not: only the server's state tells. */
  | { readonly kind: 'unclear'; readonly code: ErrorCode; readonly why: string };

export type Verified =
  | { readonly kind: 'progress'; readonly progress: number }
  | { readonly kind: 'complete' }
  | { readonly kind: 'wrong set' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'nonce changed' }
  | { readonly kind: 'unclear'; readonly code: ErrorCode; readonly why: string };

const GONE = [
  'no rotation in progress',
  'no rotation configuration found',
  'no barrier rekey in progress',
  'no recovery rekey in progress',
  'no rekey in progress',
  'no rekey configuration found',
];
const WRONG_SET = [
  'message authentication failed',
  'duplicate part detected',
  'all parts must be the same length',
  'does not match submitted values',
  'incorrect key shares supplied',
  'root key does not match',
  'invalid key',
];

/** The payload of an answer, with OpenBao's envelope or without one. */
export function payloadOf(reply: Reply): Readonly<Record<string, unknown>> {
  const { body } = reply;
  if (typeof body !== 'object' || body === null) return {};
  const { data } = body as { data?: unknown };
  return (typeof data === 'object' && data !== null ? data : body) as Readonly<Record<string, unknown>>;
}

/** Whether a refusal says that nothing is under way (400 on both servers). */
export function saysGone(reply: Reply): boolean {
  return reply.status === 400 && says(reply, GONE);
}

export function readStatus(reply: Reply): RotationStatus {
  const it = payloadOf(reply);
  return {
    started: it['started'] === true,
    nonce: text(it['nonce']),
    shares: whole(it['n']),
    threshold: whole(it['t']),
    progress: whole(it['progress']),
    required: whole(it['required']),
    verificationNonce: text(it['verification_nonce']),
  };
}

/** @throws QuorateError `denied`: then nothing was counted. */
export function readGiven(peer: string, reply: Reply): Given {
  if (reply.status === 200) {
    const it = payloadOf(reply);
    if (it['complete'] !== true) return { kind: 'progress', progress: whole(it['progress']) };
    return {
      kind: 'complete',
      issued: {
        shares: texts(it['keys_base64']),
        fingerprints: texts(it['pgp_fingerprints']).map((one) => one.toLowerCase()),
        verificationNonce: text(it['verification_nonce']),
      },
    };
  }
  if (reply.status === 400 && says(reply, ['already been provided'])) return { kind: 'counted before' };
  if (reply.status === 400 && says(reply, ['verification must be performed'])) return { kind: 'verifying' };
  return refused(peer, reply);
}

/** @throws QuorateError `denied`: then nothing was counted. */
export function readVerified(peer: string, reply: Reply): Verified {
  if (reply.status !== 200) return refused(peer, reply);
  const it = payloadOf(reply);
  return it['complete'] === true ? { kind: 'complete' } : { kind: 'progress', progress: whole(it['progress']) };
}

type Refused = Extract<Given & Verified, { kind: string }>;

function refused(peer: string, reply: Reply): Refused {
  const { status } = reply;
  if (status === 403) throw refusal(peer, 'that share', reply);
  if (saysGone(reply)) return { kind: 'gone' };
  if (status === 400 && says(reply, ['incorrect nonce supplied'])) return { kind: 'nonce changed' };
  // HashiCorp Vault says it with 500.
  if ((status === 400 || status === 500) && says(reply, WRONG_SET)) return { kind: 'wrong set' };
  const said = reply.errors.length === 0 ? '' : `: ${reply.errors.join('; ')}`;
  return {
    kind: 'unclear',
    code: status === 503 ? 'sealed' : 'server-error',
    why: `status ${status.toString()}${said}`,
  };
}

/** The error for an answer that is no success: `denied` (403), `sealed` (503), `server-error`. */
export function refusal(peer: string, asked: string, reply: Reply): QuorateError {
  const said = reply.errors.length === 0 ? '' : `: ${reply.errors.join('; ')}`;
  if (reply.status === 403) {
    return new QuorateError('denied', `${peer} denied ${asked}${said}`, {
      hint: 'Is the token still valid, and do its policies allow this?',
    });
  }
  if (reply.status === 503) return new QuorateError('sealed', `${peer} is sealed`, { hint: 'Unseal it first.' });
  return new QuorateError('server-error', `${peer} answered ${asked} with status ${reply.status.toString()}${said}`);
}

function says(reply: Reply, parts: readonly string[]): boolean {
  return reply.errors.some((line) => parts.some((part) => line.toLowerCase().includes(part)));
}

function whole(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) ? value : 0;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(text) : [];
}

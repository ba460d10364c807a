import { type ErrorCode, type QuorateErrorDetails, QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';
import type { Pkcs11Library } from './library.ts';
import type { Session } from './session.ts';

/** What is asked of the process that holds the library: `on` is the library, or the number of a session. */
export interface Request {
  readonly id: number;
  readonly on: 'process' | 'library' | number;
  readonly method: string;
  readonly args: readonly unknown[];
}

/** `ms` is the time that the call took in the library, without the way to and fro. */
export type Reply = { readonly id: number; readonly ms: number } & (
  | { readonly value: unknown }
  | { readonly error: { readonly code: ErrorCode; readonly message: string } & QuorateErrorDetails }
);

type Later<T> = T extends (...args: infer A) => infer R ? (...args: A) => Promise<R> : never;

/** The methods of the library that another process answers; sessions are opened and closed by the parent's side. */
export type LibraryMethod = Exclude<
  { [K in keyof Pkcs11Library]: Pkcs11Library[K] extends (...args: never) => unknown ? K : never }[keyof Pkcs11Library],
  'openSession' | 'withSession' | 'close' | typeof Symbol.dispose
>;

export type SessionMethod = Exclude<keyof Session, 'close' | typeof Symbol.dispose>;

/** A session of another process; its methods are those of `Session`, with promises. */
export type RemoteSession = { readonly [K in SessionMethod]: Later<Session[K]> };

const isPlain = (value: object): boolean => Object.getPrototypeOf(value) === Object.prototype;

/** Secrets travel as their bytes, in the pipe between two processes of ours. The bytes are the caller's to wipe. */
export function packed(value: unknown, bytes: Uint8Array[]): unknown {
  if (value instanceof Secret) {
    const copy = value.expose((own) => new Uint8Array(own));
    bytes.push(copy);
    return { secret: copy };
  }
  if (typeof value !== 'object' || value === null || !isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, packed(one, bytes)]));
}

/** Undoes `packed`; the secrets made are added to `secrets`, for who wipes them. */
export function unpacked(value: unknown, secrets: Secret[]): unknown {
  if (typeof value !== 'object' || value === null || !isPlain(value)) return value;
  const { secret } = value as { secret?: unknown };
  if (secret instanceof Uint8Array) {
    const made = new Secret(secret);
    secret.fill(0);
    secrets.push(made);
    return made;
  }
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unpacked(one, secrets)]));
}

/** An error as it is sent; what is no QuorateError is a bug, of which only the kind is told. */
export function packedError(error: unknown): Extract<Reply, { error: unknown }>['error'] {
  if (!(error instanceof QuorateError)) {
    return {
      code: 'bug',
      message: `the library's process failed (${error instanceof Error ? error.name : 'unknown'})`,
    };
  }
  const { code, message, hint } = error;
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}

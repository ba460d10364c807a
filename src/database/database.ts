import { QuorateError } from '../errors.ts';
import type { Secret } from '../secret.ts';

/** MariaDB speaks MySQL's protocol. */
export type Engine = 'postgresql' | 'mysql';

/**
 * How a connection is protected, in PostgreSQL's words: `prefer` falls back to plain, `require` encrypts and checks
 * nothing, `verify-ca` checks the authority, `verify-full` also the name.
 */
export type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** Where a database is; nothing secret. */
export interface DatabaseTarget {
  readonly engine: Engine;
  /** A name or an address; for PostgreSQL also the absolute path of a socket's folder, for MySQL of the socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly tls: TlsMode;
  /** PEM file of the authority that `verify-ca` and `verify-full` go by; without one Node's own. */
  readonly caFile?: string;
}

export type Row = Readonly<Record<string, unknown>>;

/** One open session on a database. */
export interface DatabaseSession {
  /**
   * One statement; values stand for `$1` (PostgreSQL) or `?` (MySQL).
   * @throws QuorateError `database-denied` (the user may not do that), `database-failed`, `database-unreachable` (the
   *   connection broke).
   */
  query(sql: string, values?: readonly unknown[]): Promise<readonly Row[]>;
  close(): Promise<void>;
}

export interface LoginOptions {
  /** Milliseconds until the login is given up. Default 10 s. */
  readonly timeout?: number;
}

/** Logging in to databases, for proofs: that a credential works, or works no more. */
export interface Databases {
  /**
   * @throws QuorateError `database-denied` (the database refused the login itself), `database-unreachable` (no answer,
   *   TLS failed, or it is starting up), `database-failed` (the login was fine, this database is not there for it).
   */
  open(target: DatabaseTarget, user: string, password: Secret, options?: LoginOptions): Promise<DatabaseSession>;
}

/** A statement that the user may not run. It is not quoted: it may hold data. */
export function notAllowed(system: string, { host, port, database }: DatabaseTarget): QuorateError {
  return new QuorateError(
    'database-denied',
    `${system} at ${host}:${port.toString()}, database ${database}, does not allow this user that statement`,
    { hint: 'Which rights does the account need? quorate db setup FILE --account-sql prints those of the connection.' },
  );
}

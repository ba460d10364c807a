import { connect as connectSocket, isIP, type Socket } from 'node:net';
import mysql from 'mysql2/promise';
import { QuorateError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { type DatabaseSession, type DatabaseTarget, type LoginOptions, notAllowed, type Row } from './database.ts';
import { tlsOptions } from './tls.ts';

const TIMEOUT = 10_000;

/** Access denied by password, by plugin (MySQL, MariaDB), by a locked account (MySQL, MariaDB), by an expired password. */
const DENIED: ReadonlySet<number> = new Set([1045, 1698, 3118, 4151, 1820, 1862]);
/** Of a statement: on a database, a table, a column, a routine, or for want of a global privilege. */
const NOT_ALLOWED: ReadonlySet<number> = new Set([1044, 1142, 1143, 1227, 1370]);
/** Too many connections; shutting down. */
const AWAY: ReadonlySet<number> = new Set([1040, 1053, 1203]);

/** Throws as `Databases.open` says. */
export async function openMysql(
  target: DatabaseTarget,
  user: string,
  password: Secret,
  options: LoginOptions = {},
): Promise<DatabaseSession> {
  const tls = await tlsOptions(target);
  const connect = (ssl: typeof tls): Promise<mysql.Connection> =>
    mysql.createConnection({
      ...(target.host.startsWith('/') ? { socketPath: target.host } : { host: target.host, port: target.port }),
      user,
      password: password.exposeText(),
      ...(target.database === '' ? {} : { database: target.database }),
      ...(ssl === undefined ? {} : { ssl: sslOptions(ssl, target) }),
      ...(target.tls === 'verify-full' && isIP(target.host) !== 0 ? { stream: () => namedSocket(target) } : {}),
      connectTimeout: options.timeout ?? TIMEOUT,
      // Its parsers are otherwise made by `new Function`.
      disableEval: true,
      supportBigNumbers: true,
    });
  try {
    const connection = await connect(tls).catch((error: unknown) => {
      if (target.tls !== 'prefer' || (error as { code?: unknown }).code !== 'HANDSHAKE_NO_SSL_SUPPORT') throw error;
      return connect(undefined);
    });
    connection.on('error', () => undefined);
    return session(connection, target);
  } catch (error) {
    throw understand(error, target);
  }
}

function sslOptions(
  { ca, rejectUnauthorized }: { readonly ca?: unknown; readonly rejectUnauthorized?: boolean | undefined },
  { tls }: DatabaseTarget,
): mysql.SslOptions {
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: rejectUnauthorized ?? true,
    // Without this the driver checks no name.
    verifyIdentity: tls === 'verify-full',
    ...(typeof ca === 'string' ? { ca } : {}),
  };
}

/**
 * The driver tells TLS no address, only names, and Node then takes the certificate for `localhost`'s (observed on mysql2
 * 3.24.6: a certificate for localhost passed for any address). Node's TLS does look at the socket's own `_host`.
 */
function namedSocket({ host, port }: DatabaseTarget): Socket {
  return Object.assign(connectSocket(port, host).setNoDelay(true), { _host: host });
}

function session(connection: mysql.Connection, target: DatabaseTarget): DatabaseSession {
  return {
    async query(sql, values = []) {
      try {
        const [rows] = await connection.query(sql, [...values]);
        return Array.isArray(rows) ? (rows as unknown as readonly Row[]) : [];
      } catch (error) {
        if (NOT_ALLOWED.has(Number((error as { errno?: unknown }).errno))) throw notAllowed('MariaDB or MySQL', target);
        throw understand(error, target);
      }
    },
    async close() {
      await connection.end().catch(() => undefined);
    },
  };
}

/** Only the number or the system's code is passed on: the server's text may quote the statement. */
function understand(error: unknown, { host, port, database }: DatabaseTarget): QuorateError {
  const { errno, code, sqlState } = error as { errno?: unknown; code?: unknown; sqlState?: unknown };
  const place = `${host}:${port.toString()}`;
  // Faults of the system have an `errno` too, but no SQLSTATE.
  if (typeof errno !== 'number' || typeof sqlState !== 'string' || AWAY.has(errno)) {
    const why = typeof code === 'string' ? ` (${code})` : '';
    return new QuorateError('database-unreachable', `MariaDB or MySQL at ${place} cannot be reached${why}`, {
      hint: 'Does it run, and do address and TLS mode fit?',
    });
  }
  const number = errno.toString();
  if (DENIED.has(errno)) {
    return new QuorateError('database-denied', `MariaDB or MySQL at ${place} refused the login (${number})`, {
      hint: 'Is the credential still valid, and may it log in from this machine?',
    });
  }
  return new QuorateError(
    'database-failed',
    `MariaDB or MySQL at ${place}, database ${database}, failed with ${number}`,
  );
}

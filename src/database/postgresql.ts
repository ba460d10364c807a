import pg from 'pg';
import { QuorateError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { type DatabaseSession, type DatabaseTarget, type LoginOptions, notAllowed, type Row } from './database.ts';
import { tlsOptions } from './tls.ts';

const TIMEOUT = 10_000;

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: class 28 is "invalid authorization". */
const DENIED = /^28/;
/** Shutting down, crashed, or starting up; too many connections. */
const AWAY = /^(?:57P0[123]|53300)$/;
/** insufficient_privilege, of a statement. */
const NOT_ALLOWED = '42501';
/** Any SQLSTATE: the server answered. */
const SQLSTATE = /^[0-9A-Z]{5}$/;

/** Throws as `Databases.open` says. The driver reads PG* variables only for what is not given: all is given here. */
export async function openPostgresql(
  target: DatabaseTarget,
  user: string,
  password: Secret,
  options: LoginOptions = {},
): Promise<DatabaseSession> {
  const tls = await tlsOptions(target);
  const connect = async (ssl: pg.ClientConfig['ssl']): Promise<pg.Client> => {
    const client = new pg.Client({
      host: target.host,
      port: target.port,
      database: target.database,
      user,
      password: password.exposeText(),
      ssl: ssl ?? false,
      connectionTimeoutMillis: options.timeout ?? TIMEOUT,
      application_name: 'quorate',
    });
    // A connection that breaks while nobody waits for it is noticed at the next query.
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  };
  try {
    const client = await connect(tls).catch((error: unknown) => {
      if (target.tls !== 'prefer' || !saysNoTls(error)) throw error;
      return connect(undefined);
    });
    return session(client, target);
  } catch (error) {
    throw understand(error, target);
  }
}

function session(client: pg.Client, target: DatabaseTarget): DatabaseSession {
  return {
    async query(sql, values = []) {
      try {
        const { rows } = await client.query<Row>(sql, [...values]);
        return rows;
      } catch (error) {
        if ((error as { readonly code?: unknown }).code === NOT_ALLOWED) throw notAllowed('PostgreSQL', target);
        throw understand(error, target);
      }
    },
    async close() {
      await client.end().catch(() => undefined);
    },
  };
}

function saysNoTls(error: unknown): boolean {
  return error instanceof Error && error.message.includes('does not support SSL');
}

/** Only the SQLSTATE or the system's code is passed on: the server's text may quote the statement. */
function understand(error: unknown, { host, port, database }: DatabaseTarget): QuorateError {
  const code = (error as { readonly code?: unknown }).code;
  const place = `${host}:${port.toString()}`;
  if (typeof code !== 'string' || !SQLSTATE.test(code) || AWAY.test(code)) {
    const why = typeof code === 'string' ? ` (${code})` : '';
    return new QuorateError('database-unreachable', `PostgreSQL at ${place} cannot be reached${why}`, {
      hint: 'Does it run, and do address and TLS mode fit?',
    });
  }
  if (DENIED.test(code)) {
    return new QuorateError('database-denied', `PostgreSQL at ${place} refused the login (${code})`, {
      hint: 'Is the credential still valid, and does pg_hba.conf let this machine in?',
    });
  }
  return new QuorateError('database-failed', `PostgreSQL at ${place}, database ${database}, failed with ${code}`);
}

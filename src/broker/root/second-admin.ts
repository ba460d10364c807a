import { createHmac, createHash, pbkdf2Sync, randomBytes } from 'node:crypto';
import type { DatabaseSession, DatabaseTarget, Databases } from '../../database/database.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import { quoting } from '../quoting.ts';

/** Somebody's session on the database with the connection's account. */
export interface AccountSession {
  readonly id: string;
  /** Where it comes from, as far as the database tells. */
  readonly from: string;
}

/** Another administrator of the database: who can give the connection's account a new password when the server lost its own. */
export interface SecondAdmin {
  /**
   * That the account is there, that this administrator is somebody else and can alter it, and that the account is not
   * the only superuser. Changes nothing. @throws QuorateError `database-account-unfit`.
   */
  check(): Promise<void>;
  /** Who is logged in with the account right now. @throws as a query. */
  sessions(): Promise<readonly AccountSession[]>;
  /** @throws QuorateError `database-failed`, `database-unreachable`: it is not known then whether it took effect. */
  setPassword(password: Secret): Promise<void>;
  close(): Promise<void>;
}

export interface SecondAdminRequest {
  readonly target: DatabaseTarget;
  readonly user: string;
  readonly password: Secret;
  /** The connection's own account. */
  readonly account: string;
}

/** @throws QuorateError as `Databases.open`. */
export async function openSecondAdmin(
  databases: Databases,
  { target, user, password, account }: SecondAdminRequest,
): Promise<SecondAdmin> {
  if (user === account) throw unfit(`${user} is the connection's own account: a second administrator is somebody else`);
  const session = await databases.open(target, user, password);
  return target.engine === 'postgresql' ? postgresql(session, user, account) : mysql(session, user, account);
}

function unfit(what: string, hint = 'Name another administrator of the database with --second-admin.'): QuorateError {
  return new QuorateError('database-account-unfit', what, { hint });
}

const ALONE = 'Make an account of its own for the connection: quorate db setup FILE --account-sql prints how.';

const close = (session: DatabaseSession) => (): Promise<void> => session.close();

function postgresql(session: DatabaseSession, user: string, account: string): SecondAdmin {
  const role = quoting('postgresql')(account);
  return {
    async check() {
      const [row] = await session.query(
        `SELECT r.rolsuper AS super, r.rolconnlimit AS most,
           (SELECT count(*)::int FROM pg_roles o WHERE o.rolsuper AND o.rolcanlogin AND o.oid <> r.oid) AS others
         FROM pg_roles r WHERE r.rolname = $1`,
        [account],
      );
      if (row === undefined) throw unfit(`the database knows no ${account}`, 'Is --target the right database?');
      if (row['super'] === true && row['others'] === 0) {
        throw unfit(`${account} is the only superuser of this database server, and must not be rotated`, ALONE);
      }
      // To what it is already: it takes the same right as a new password does.
      await session
        .query(`ALTER ROLE ${role} CONNECTION LIMIT ${String(Number(row['most']))}`)
        .catch((error: unknown) => {
          if (!isQuorateError(error, 'database-denied')) throw error;
          throw unfit(`${user} may not alter ${account}, and could not help when its password is lost`);
        });
    },
    async sessions() {
      const rows = await session.query(
        "SELECT pid::text AS id, coalesce(client_addr::text, '(not told)') AS at FROM pg_stat_activity WHERE usename = $1",
        [account],
      );
      return rows.map((row) => ({ id: String(row['id']), from: String(row['at']) }));
    },
    async setPassword(password) {
      // The database's statement log then never sees the password.
      await session.query(`ALTER ROLE ${role} PASSWORD '${scramVerifier(password)}'`);
    },
    close: close(session),
  };
}

/**
 * What PostgreSQL stores for a password, RFC 5803 section 3 in its own notation:
 * https://www.postgresql.org/docs/current/catalog-pg-authid.html. The password has to be plain ASCII.
 */
export function scramVerifier(password: Secret, salt: Uint8Array = randomBytes(16), rounds = 4096): string {
  const salted = password.expose((bytes) => pbkdf2Sync(bytes, salt, rounds, 32, 'sha256'));
  const keyed = (name: string): Buffer => createHmac('sha256', salted).update(name).digest();
  const client = keyed('Client Key');
  const stored = createHash('sha256').update(client).digest('base64');
  const server = keyed('Server Key').toString('base64');
  client.fill(0);
  salted.fill(0);
  return `SCRAM-SHA-256$${rounds.toString()}:${Buffer.from(salt).toString('base64')}$${stored}:${server}`;
}

function mysql(session: DatabaseSession, user: string, account: string): SecondAdmin {
  const hosts = async (): Promise<readonly string[]> =>
    (await session.query('SELECT host AS at FROM mysql.user WHERE user = ?', [account])).map((row) =>
      String(row['at']),
    );
  return {
    async check() {
      const there = await hosts().catch((error: unknown) => {
        if (!isQuorateError(error, 'database-denied')) throw error;
        throw unfit(`${user} may not read mysql.user, to see the account ${account}`);
      });
      if (there.length === 0) throw unfit(`the database knows no ${account}`, 'Is --target the right database?');
      const rows = await session.query(
        `SELECT privilege_type AS held, SUBSTRING_INDEX(grantee, "'@'", 1) AS who,
           grantee = CONCAT("'", REPLACE(CURRENT_USER(), '@', "'@'"), "'") AS own
         FROM information_schema.user_privileges`,
      );
      const held = new Set(rows.filter((row) => Number(row['own']) === 1).map((row) => String(row['held'])));
      if (!held.has('CREATE USER')) throw unfit(`${user} may not alter users (CREATE USER)`);
      if (!held.has('PROCESS')) throw unfit(`${user} may not see the sessions of others (PROCESS)`);
      const supers = new Set(rows.filter((row) => row['held'] === 'SUPER').map((row) => String(row['who']).slice(1)));
      if (supers.has(account) && supers.size === 1) {
        throw unfit(`${account} is the only superuser of this database server, and must not be rotated`, ALONE);
      }
    },
    async sessions() {
      const rows = await session.query('SELECT id, host AS at FROM information_schema.processlist WHERE user = ?', [
        account,
      ]);
      return rows.map((row) => ({ id: String(row['id']), from: String(row['at']).replace(/:\d+$/, '') }));
    },
    async setPassword(password) {
      for (const host of await hosts())
        await session.query('ALTER USER ?@? IDENTIFIED BY ?', [account, host, password.exposeText()]);
    },
    close: close(session),
  };
}

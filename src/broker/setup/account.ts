import type { DatabaseSession, DatabaseTarget } from '../../database/database.ts';
import { QuorateError } from '../../errors.ts';
import { portOf, type Setup } from './schema.ts';
import { groupOf } from './templates.ts';

/** The setup's database as this machine logs in to it. `caFile` is absolute. */
export function targetOf({ connection }: Setup, caFile: string | undefined): DatabaseTarget {
  return {
    engine: connection.engine === 'postgresql' ? 'postgresql' : 'mysql',
    host: connection.host,
    port: portOf(connection),
    database: connection.database,
    tls: connection.tls,
    ...(caFile === undefined ? {} : { caFile }),
  };
}

/**
 * Whether the account that the connection would use is one to use: not the only superuser (a rotation of its password
 * that goes wrong would lock everybody out), and with the rights that the statements need.
 * @returns warnings.
 * @throws QuorateError `database-account-unfit`; what the database's queries throw.
 */
export async function checkAccount(database: DatabaseSession, setup: Setup): Promise<readonly string[]> {
  return setup.connection.engine === 'postgresql' ? postgresql(database, setup) : mysql(database, setup);
}

const HINT = 'quorate db setup FILE --account-sql prints what makes a dedicated account with the rights it needs.';

function unfit(admin: string, what: string): QuorateError {
  return new QuorateError('database-account-unfit', `${admin} ${what}`, { hint: HINT });
}

async function postgresql(database: DatabaseSession, { connection, roles }: Setup): Promise<readonly string[]> {
  const { admin } = connection;
  const [own] = await database.query(
    `SELECT rolsuper, rolcreaterole, current_setting('server_version_num')::int AS version,
       pg_has_role('pg_signal_backend', 'MEMBER') AS signals,
       (SELECT count(*)::int FROM pg_roles WHERE rolsuper AND rolcanlogin AND rolname <> current_user) AS others
     FROM pg_roles WHERE rolname = current_user`,
  );
  if (own?.['rolsuper'] === true) {
    if (own['others'] === 0) throw unfit(admin, 'is the only superuser of this database server, and must not be used');
    return [`${admin} is a superuser. A dedicated account needs far less: see --account-sql.`];
  }
  if (own?.['rolcreaterole'] !== true) throw unfit(admin, 'may not create roles (CREATEROLE)');
  if (own['signals'] !== true) throw unfit(admin, 'may not end the sessions of others (pg_signal_backend)');
  for (const group of new Set(roles.map((role) => groupOf(role, connection)))) {
    const [there] = await database.query(
      `SELECT pg_has_role(oid, 'MEMBER') AS member,
         EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles me ON me.oid = m.member
                 WHERE m.roleid = r.oid AND me.rolname = current_user AND m.admin_option) AS grants
       FROM pg_roles r WHERE rolname = $1`,
      [group],
    );
    if (there === undefined)
      throw unfit(`there is no group ${group}:`, 'it has to be made, with what its members may do');
    if (there['member'] !== true)
      throw unfit(admin, `is no member of ${group}, and could not hand over what its members make`);
    // From PostgreSQL 16 on CREATEROLE alone does not let an account grant any role.
    if (Number(own['version']) >= 160_000 && there['grants'] !== true) {
      throw unfit(admin, `may not grant ${group} (WITH ADMIN OPTION)`);
    }
  }
  return [];
}

async function mysql(database: DatabaseSession, { connection }: Setup): Promise<readonly string[]> {
  const { admin, engine } = connection;
  const rows = await database.query(
    `SELECT privilege_type AS held, grantee = CONCAT("'", SUBSTRING_INDEX(CURRENT_USER(), '@', 1), "'@'",
       SUBSTRING_INDEX(CURRENT_USER(), '@', -1), "'") AS own, SUBSTRING_INDEX(grantee, '@', 1) AS who
     FROM information_schema.user_privileges`,
  );
  const own = new Set(rows.filter((row) => Number(row['own']) === 1).map((row) => String(row['held'])));
  if (own.has('SUPER') && own.has('CREATE USER')) {
    // One account may have several hosts: those are not somebody else.
    const name = String(rows.find((row) => Number(row['own']) === 1)?.['who']);
    const others = rows.some((row) => row['held'] === 'SUPER' && String(row['who']) !== name);
    if (!others) throw unfit(admin, 'is the only superuser of this database server, and must not be used');
    return [`${admin} is a superuser. A dedicated account needs far less: see --account-sql.`];
  }
  if (!own.has('CREATE USER')) throw unfit(admin, 'may not create users (CREATE USER)');
  if (engine === 'mariadb' && !own.has('CONNECTION ADMIN'))
    throw unfit(admin, 'may not end the sessions of others (CONNECTION ADMIN)');
  return [];
}

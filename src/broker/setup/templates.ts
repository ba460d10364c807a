import type { Setup, SetupConnection, SetupRole } from './schema.ts';

/** The SQL of one role, as the server's database engine takes it. */
export interface Statements {
  readonly creation_statements: readonly string[];
  readonly revocation_statements: readonly string[];
}

/** What each template may do in MariaDB and MySQL, on one database. */
const RIGHTS: Readonly<Record<SetupRole['template'], readonly string[]>> = {
  'read-only': ['SELECT', 'SHOW VIEW'],
  'read-write': ['SELECT', 'SHOW VIEW', 'INSERT', 'UPDATE', 'DELETE', 'EXECUTE', 'CREATE TEMPORARY TABLES'],
  'migration': [
    ...['SELECT', 'SHOW VIEW', 'INSERT', 'UPDATE', 'DELETE', 'EXECUTE', 'CREATE TEMPORARY TABLES', 'LOCK TABLES'],
    ...['CREATE', 'ALTER', 'DROP', 'INDEX', 'REFERENCES', 'CREATE VIEW', 'TRIGGER'],
    ...['CREATE ROUTINE', 'ALTER ROUTINE', 'EVENT'],
  ],
};

/** The group whose rights a PostgreSQL role takes part in; by default named after the database. */
export function groupOf(role: SetupRole, { database }: SetupConnection): string {
  const suffix = { 'read-only': 'read', 'read-write': 'write', 'migration': 'owner' }[role.template];
  return role.group ?? `${database}_${suffix}`;
}

export function statementsOf(role: SetupRole, connection: SetupConnection): Statements {
  return connection.engine === 'postgresql' ? postgresql(role, connection) : mysql(role, connection);
}

/**
 * Rights come from a group, so that the admin account needs none itself. VALID UNTIL ends the password even while the
 * server is sealed or the revocation fails. A migration acts as its group from the start, so that what it makes
 * belongs to the group and outlives it; what it made as itself is handed over when it goes, which takes membership in
 * both. Sessions are ended: PostgreSQL keeps those of a dropped role open (observed on 15).
 */
function postgresql(role: SetupRole, connection: SetupConnection): Statements {
  const group = groupOf(role, connection);
  const creation = [
    `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE "${group}";`,
    'GRANT "{{name}}" TO CURRENT_USER;',
    ...(role.template === 'migration' ? [`ALTER ROLE "{{name}}" SET role TO '${group}';`] : []),
  ];
  const revocation = [
    'ALTER ROLE "{{name}}" WITH NOLOGIN;',
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}';",
    `REASSIGN OWNED BY "{{name}}" TO "${role.template === 'migration' ? group : connection.admin}";`,
    'DROP OWNED BY "{{name}}";',
    'DROP ROLE "{{name}}";',
  ];
  return { creation_statements: creation, revocation_statements: revocation };
}

/** MySQL has no VALID UNTIL, and no statement that ends an account's sessions; MariaDB has the latter. */
function mysql(role: SetupRole, connection: SetupConnection): Statements {
  const { engine, tls, database } = connection;
  const user = "'{{name}}'@'%'";
  const rights = RIGHTS[role.template].join(', ');
  return {
    creation_statements: [
      `CREATE USER ${user} IDENTIFIED BY '{{password}}'${tls === 'disable' ? '' : ' REQUIRE SSL'};`,
      `GRANT ${rights} ON \`${database}\`.* TO ${user};`,
    ],
    revocation_statements: [
      `ALTER USER IF EXISTS ${user} ACCOUNT LOCK;`,
      ...(engine === 'mariadb' ? [`KILL HARD CONNECTION USER ${user};`] : []),
      `DROP USER IF EXISTS ${user};`,
    ],
  };
}

/**
 * Names that tell which connection made a user: another server's users on the same database must not be taken for
 * ours. PostgreSQL cuts names at 63 characters, MySQL at 32; the time is when it was made.
 */
export function usernameTemplate({ engine, name }: SetupConnection): string {
  if (engine === 'postgresql') {
    return `{{printf "%s-%s-%s-%s" "${name.slice(0, 18)}" (.RoleName | truncate 18) (random 12 | lowercase) (unix_time)}}`;
  }
  return `{{printf "%s-%s-%s" "${name.slice(0, 9)}" (random 10 | lowercase) (unix_time)}}`;
}

/** The SQL that a database's own administrator runs once, so that the setup has an account of its own to work with. */
export function accountSql(setup: Setup): string {
  return setup.connection.engine === 'postgresql' ? postgresqlAccount(setup) : mysqlAccount(setup);
}

function postgresqlAccount({ connection, roles }: Setup): string {
  const { admin, database } = connection;
  const groups = [...new Set(roles.map((role) => groupOf(role, connection)))];
  const lines = [
    `-- For psql, as a superuser, in the database ${database}. Groups that are there already: leave their line out.`,
    ...groups.map((group) => `CREATE ROLE "${group}" NOLOGIN;`),
    `CREATE ROLE "${admin}" LOGIN CREATEROLE NOSUPERUSER;`,
    `GRANT pg_signal_backend TO "${admin}";`,
    ...groups.map((group) => `GRANT "${group}" TO "${admin}" WITH ADMIN OPTION;`),
    `-- Asks for its password: a long random one, the same as in ${connection['admin-password-file']}.`,
    `\\password ${admin}`,
    "-- What the groups may do is the application's to say. For tables in the schema public, for example:",
    ...roles.flatMap((role) => exampleGrants(role, groupOf(role, connection), database)),
  ];
  return `${lines.join('\n')}\n`;
}

function exampleGrants({ template }: SetupRole, group: string, database: string): string[] {
  const connect = `-- GRANT CONNECT ON DATABASE "${database}" TO "${group}"; GRANT USAGE ON SCHEMA public TO "${group}";`;
  if (template === 'migration') return [`${connect} GRANT CREATE ON SCHEMA public TO "${group}";`];
  const rights = template === 'read-only' ? 'SELECT' : 'SELECT, INSERT, UPDATE, DELETE';
  return [connect, `-- GRANT ${rights} ON ALL TABLES IN SCHEMA public TO "${group}";`];
}

function mysqlAccount({ connection, roles }: Setup): string {
  const { admin, database, engine, tls } = connection;
  const rights = [...new Set(roles.flatMap(({ template }) => RIGHTS[template]))];
  const lines = [
    `-- As an administrator of the database. Put a long random password here, the same as in ${connection['admin-password-file']}.`,
    `CREATE USER '${admin}'@'%' IDENTIFIED BY '...'${tls === 'disable' ? '' : ' REQUIRE SSL'};`,
    `GRANT CREATE USER, PROCESS${engine === 'mariadb' ? ', CONNECTION ADMIN' : ''} ON *.* TO '${admin}'@'%';`,
    `GRANT ${rights.join(', ')} ON \`${database}\`.* TO '${admin}'@'%' WITH GRANT OPTION;`,
  ];
  return `${lines.join('\n')}\n`;
}

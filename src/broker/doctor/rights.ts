import { randomBytes } from 'node:crypto';
import type { DatabaseSession, Engine } from '../../database/database.ts';
import { isQuorateError } from '../../errors.ts';
import { fault, type Finding, ok, warning } from '../../finding.ts';
import { quoting } from '../quoting.ts';
import type { SetupRole } from '../setup/schema.ts';

/** What a role is for, in the words of the setup's templates: it says what it must be able to do, and what it must not. */
export type Expectation = SetupRole['template'];

/** What a credential turned out to be able to do. Tables as `schema.table`. */
export interface Rights {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  /** Where it can make tables: schemas (PostgreSQL), databases (MySQL). */
  readonly makes: readonly string[];
  readonly drops: boolean;
  /** What no job's credential should have: superuser, ... */
  readonly powers: readonly string[];
}

/** So many tables and schemas are tried. */
const MOST = 25;
const SYSTEM = "('pg_catalog', 'information_schema', 'mysql', 'performance_schema', 'sys')";

/**
 * Tries it all with the credential's own session. Nothing is changed: reading and writing are explained, which checks the
 * rights and runs nothing; tables are made in a transaction that is rolled back, or under names that are there already.
 */
export async function tryRights(session: DatabaseSession, engine: Engine): Promise<Rights> {
  const tables = await session.query(
    `SELECT table_schema AS s, table_name AS t FROM information_schema.tables
     WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ${SYSTEM} ORDER BY 1, 2 LIMIT ${MOST.toString()}`,
  );
  const quote = quoting(engine);
  const [reads, writes]: [string[], string[]] = [[], []];
  for (const row of tables) {
    const [schema, table] = [String(row['s']), String(row['t'])];
    const name = `${quote(schema)}.${quote(table)}`;
    if (await allows(session, `EXPLAIN SELECT 1 FROM ${name}`)) reads.push(`${schema}.${table}`);
    const insert = `EXPLAIN INSERT INTO ${name} ${engine === 'postgresql' ? 'DEFAULT VALUES' : '() VALUES ()'}`;
    if ((await allows(session, insert)) || (await allows(session, `EXPLAIN DELETE FROM ${name} WHERE 1 = 0`))) {
      writes.push(`${schema}.${table}`);
    }
  }
  const common = { reads, writes };
  return engine === 'postgresql'
    ? { ...common, ...(await makingInPostgresql(session)) }
    : {
        ...common,
        ...(await makingInMysql(
          session,
          tables.map((row) => [String(row['s']), String(row['t'])] as const),
        )),
      };
}

export const probeName = (): string => `quorate_doctor_${randomBytes(6).toString('hex')}`;

/** Whether the user can run it; what the database refuses for another reason (it is read-only, say) cannot be done either. */
async function allows(session: DatabaseSession, sql: string): Promise<boolean> {
  try {
    await session.query(sql);
    return true;
  } catch (error) {
    if (isQuorateError(error, 'database-denied') || isQuorateError(error, 'database-failed')) return false;
    throw error;
  }
}

type Making = Pick<Rights, 'makes' | 'drops' | 'powers'>;

async function makingInPostgresql(session: DatabaseSession): Promise<Making> {
  const schemas = await session.query(
    `SELECT nspname AS s FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
     ORDER BY 1 LIMIT ${MOST.toString()}`,
  );
  const quote = quoting('postgresql');
  const rolledBack = async (sql: string): Promise<boolean> => {
    await session.query('BEGIN');
    try {
      return await allows(session, sql);
    } finally {
      await session.query('ROLLBACK');
    }
  };
  const makes: string[] = [];
  for (const row of schemas) {
    const schema = String(row['s']);
    if (await rolledBack(`CREATE TABLE ${quote(schema)}.${quote(probeName())} ()`)) makes.push(schema);
  }
  const [own] = await session.query(
    `SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,
       EXISTS (SELECT FROM pg_roles o WHERE o.rolsuper AND pg_has_role(session_user, o.oid, 'MEMBER')) AS nearsuper,
       EXISTS (SELECT FROM pg_roles o WHERE o.rolname IN ('pg_execute_server_program', 'pg_write_server_files',
         'pg_read_server_files') AND pg_has_role(session_user, o.oid, 'MEMBER')) AS files
     FROM pg_roles WHERE rolname = session_user`,
  );
  const words: Readonly<Record<string, string>> = {
    rolsuper: 'SUPERUSER',
    rolcreaterole: 'CREATEROLE',
    rolcreatedb: 'CREATEDB',
    rolreplication: 'REPLICATION',
    rolbypassrls: 'BYPASSRLS',
    nearsuper: 'membership in a superuser',
    files: "the server's files or programs",
  };
  const powers = Object.entries(words).flatMap(([key, word]) => (own?.[key] === true ? [word] : []));
  if (makes.length > 0 && (await rolledBack(`CREATE SCHEMA ${quote(probeName())}`))) makes.push('(new schemas)');
  return { makes, drops: makes.length > 0, powers };
}

/** DDL cannot be rolled back: what is there already is made again, and what is not there is dropped. */
async function makingInMysql(
  session: DatabaseSession,
  tables: readonly (readonly [string, string])[],
): Promise<Making> {
  const quote = quoting('mysql');
  const makes = new Set<string>();
  let drops = false;
  for (const [schema, table] of tables) {
    if (makes.has(schema)) continue;
    const at = quote(schema);
    if (await allows(session, `CREATE TABLE IF NOT EXISTS ${at}.${quote(table)} (id int)`)) makes.add(schema);
    if (await allows(session, `DROP TABLE IF EXISTS ${at}.${quote(probeName())}`)) drops = true;
  }
  if (tables.length === 0) {
    // Nothing is there to try it with: what the database says of the rights has to do.
    const rights = await session.query(
      "SELECT table_schema AS s, privilege_type AS held FROM information_schema.schema_privileges WHERE privilege_type IN ('CREATE', 'DROP')",
    );
    for (const row of rights) {
      if (row['held'] === 'CREATE') makes.add(String(row['s']));
      else drops = true;
    }
  }
  const rows = await session.query(
    "SELECT DISTINCT privilege_type AS held FROM information_schema.user_privileges WHERE privilege_type <> 'USAGE'",
  );
  const grants = await session.query(
    "SELECT 1 AS one FROM information_schema.schema_privileges WHERE is_grantable = 'YES' LIMIT 1",
  );
  const powers = [
    ...rows.map((row) => `${String(row['held'])} on everything`),
    ...(grants.length > 0 ? ['GRANT OPTION'] : []),
  ];
  return { makes: [...makes], drops, powers };
}

const list = (names: readonly string[]): string =>
  `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${(names.length - 3).toString()} more` : ''}`;

const MEND_WRITE = 'Take those rights from the group of the role, or from PUBLIC.';
const MEND_MAKE =
  'Take CREATE from it; in PostgreSQL before 15 everybody has it: REVOKE CREATE ON SCHEMA public FROM PUBLIC.';

/** What the role should and should not be able to do, against what it can. */
export function judgeRights(rights: Rights, expectation: Expectation | undefined): readonly Finding[] {
  const { reads, writes, makes, drops, powers } = rights;
  const can = `reads ${count(reads)}, writes ${count(writes)}, makes tables in ${makes.length === 0 ? 'no place' : list(makes)}`;
  const findings: Finding[] = powers.map((power) =>
    fault(
      'power',
      `it has ${power}, which no job needs`,
      "Take it from the role's group, or from the role's statements.",
    ),
  );
  if (expectation === undefined) {
    const mend = 'Say what the role is for: --setup FILE, whose template counts, or --expect.';
    return [...findings, warning('rights', `it ${can}; nothing says whether it should`, mend)];
  }
  if (expectation === 'read-only' && reads.length === 0) {
    findings.push(fault('read', 'it is to read, and can read no table', 'Grant SELECT to the group of the role.'));
  }
  if (expectation === 'read-only' && writes.length > 0) {
    findings.push(fault('write', `it is to read only, and can write ${list(writes)}`, MEND_WRITE));
  }
  if (expectation === 'read-write' && writes.length === 0) {
    findings.push(
      fault('write', 'it is to write, and can write no table', 'Grant INSERT, UPDATE, DELETE to its group.'),
    );
  }
  if (expectation !== 'migration' && (makes.length > 0 || drops)) {
    const where = makes.length === 0 ? 'can drop tables' : `can make tables in ${list(makes)}`;
    findings.push(fault('ddl', `it is no migration role, and ${where}`, MEND_MAKE));
  }
  if (expectation === 'migration' && makes.length === 0) {
    findings.push(fault('ddl', 'it is to migrate, and can make no table', 'Grant CREATE on the schema to its group.'));
  }
  return findings.length > 0 ? findings : [ok('rights', `as a ${expectation} role should: it ${can}`)];
}

const count = (names: readonly string[]): string =>
  names.length === 0 ? 'no table' : names.length === 1 ? list(names) : `${names.length.toString()} tables`;

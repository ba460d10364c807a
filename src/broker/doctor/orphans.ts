import type { DatabaseSession, Engine } from '../../database/database.ts';
import { fault, type Finding, ok, warning } from '../../finding.ts';
import type { Connection } from '../connection.ts';
import type { ListedLease } from '../leases.ts';
import { quoting } from '../quoting.ts';

/** How a connection names its users: what matches was made by it, or by another one with the same template. */
export interface NamePattern {
  /** With a group `time`: when the user was made, in seconds since 1970. */
  readonly regexp: RegExp;
}

/** The plugins' own (OpenBao 2.7.2). MySQL's is cut at 32 characters, which takes the time away. */
const DEFAULTS: Readonly<Record<Engine, string | undefined>> = {
  postgresql: '{{printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time)}}',
  mysql: undefined,
};

/** Undefined for a template that tells too little, or that is not understood. */
export function namePattern(template: string | undefined, engine: Engine): NamePattern | undefined {
  const text = template ?? DEFAULTS[engine];
  const [, format, rest] =
    /^\s*\{\{-?\s*printf "([^"\\]*)"((?:\s+(?:"[^"\\]*"|\([^()]*\)))*)\s*-?\}\}\s*$/.exec(text ?? '') ?? [];
  if (format === undefined || rest === undefined) return undefined;
  const values = [...rest.matchAll(/"([^"\\]*)"|\(([^()]*)\)/g)].map(([, literal, call]) =>
    literal === undefined ? piece(call ?? '') : escape(literal),
  );
  const parts = format.split('%s');
  if (parts.length !== values.length + 1 || parts.some((part) => part.includes('%'))) return undefined;
  let source = escape(parts[0] ?? '');
  for (const [index, value] of values.entries()) {
    if (value === undefined) return undefined;
    source += value + escape(parts[index + 1] ?? '');
  }
  // Without the time nobody can tell an old user from a new one; twice the same group is no expression.
  return source.split('(?<time>').length === 2 ? { regexp: new RegExp(`^${source}$`) } : undefined;
}

const escape = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

/** One part of a name, as an expression. */
function piece(call: string): string | undefined {
  const [first = '', ...filters] = call.split('|').map((one) => one.trim().replaceAll(/\s+/g, ' '));
  if (first === 'unix_time' && filters.length === 0) return '(?<time>[0-9]{9,11})';
  const [, count] = /^random ([0-9]{1,2})$/.exec(first) ?? [];
  if (count !== undefined && filters.every((one) => one === 'lowercase' || one === 'uppercase')) {
    return `[A-Za-z0-9]{${count}}`;
  }
  const [, most] = /^truncate ([0-9]{1,2})$/.exec(filters[0] ?? '') ?? [];
  if ((first === '.RoleName' || first === '.DisplayName') && filters.length <= 1) {
    return filters.length === 0 ? '.{0,63}' : most === undefined ? undefined : `.{0,${most}}`;
  }
  return undefined;
}

/** A user of the database that a connection seems to have made. */
export interface MadeUser {
  readonly name: string;
  /** Seconds since 1970. */
  readonly made: number;
  readonly hasSession: boolean;
  /** Whether the database would let it in. */
  readonly canLogIn: boolean;
}

/** @throws QuorateError `database-denied` when the session may not see the users. */
export async function findMadeUsers(
  session: DatabaseSession,
  engine: Engine,
  { regexp }: NamePattern,
): Promise<readonly MadeUser[]> {
  const rows = await session.query(
    engine === 'postgresql'
      ? `SELECT rolname AS name, rolcanlogin AND (rolvaliduntil IS NULL OR rolvaliduntil > now()) AS opens,
           EXISTS (SELECT FROM pg_stat_activity WHERE usename = rolname) AS busy FROM pg_roles`
      : `SELECT DISTINCT user AS name, 1 AS opens,
           user IN (SELECT user FROM information_schema.processlist) AS busy FROM mysql.user`,
  );
  return rows.flatMap((row) => {
    const name = String(row['name']);
    const made = regexp.exec(name)?.groups?.['time'];
    if (made === undefined) return [];
    return [{ name, made: Number(made), hasSession: truth(row['busy']), canLogIn: truth(row['opens']) }];
  });
}

const truth = (value: unknown): boolean => value === true || Number(value) === 1;

/** A credential that is being made has no lease yet; both times are the server's. */
const YOUNG = 120;
/** Its lease is issued a moment after its SQL has begun; leaders' clocks may differ. */
const [EARLIER, LATER] = [5, 60];

/**
 * Those for which there is no lease: none was issued around the time that is in the name. A user that came to life in
 * the same minute as one with a lease is not found; none that has a lease ever is.
 * @param now seconds since 1970.
 */
export function orphansAmong(
  users: readonly MadeUser[],
  leases: readonly Pick<ListedLease, 'issued'>[],
  now: number,
): readonly MadeUser[] {
  const issued = leases.map((one) => Date.parse(one.issued) / 1000);
  return users.filter(
    ({ made }) => now - made > YOUNG && !issued.some((at) => at >= made - EARLIER && at <= made + LATER),
  );
}

export function judgeOrphans(orphans: readonly MadeUser[], { name }: Connection): readonly Finding[] {
  if (orphans.length === 0) return [ok('user', `every database user of the connection ${name} has a lease`)];
  return orphans.map((one) => {
    const about = `user "${one.name}"`;
    const since = new Date(one.made * 1000).toISOString();
    const state = one.hasSession
      ? ', and somebody is logged in with it'
      : one.canLogIn
        ? ''
        : ', and can log in no more';
    const text = `no lease of this server belongs to it, made ${since}${state}`;
    const mend =
      'Another Vault with a connection of the same name has users that look alike: ask before it is dropped. quorate db doctor at a terminal offers to, with --admin.';
    return one.canLogIn ? fault(about, text, mend) : warning(about, text, mend);
  });
}

/**
 * Drops a user that owns nothing, with what was granted to it.
 * @throws QuorateError `database-denied`, `database-failed` (it owns something, or is somebody's grantor).
 */
export async function dropUser(session: DatabaseSession, engine: Engine, name: string): Promise<'dropped' | 'owner'> {
  if (engine === 'mysql') {
    const hosts = await session.query('SELECT host AS at FROM mysql.user WHERE user = ?', [name]);
    for (const row of hosts) await session.query('DROP USER ?@?', [name, String(row['at'])]);
    return 'dropped';
  }
  const [owns] = await session.query(
    `SELECT EXISTS (SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND deptype = 'o'
       AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = $1)) AS anything`,
    [name],
  );
  if (truth(owns?.['anything'])) return 'owner';
  const quoted = quoting('postgresql')(name);
  await session.query(`DROP OWNED BY ${quoted}`);
  await session.query(`DROP ROLE ${quoted}`);
  return 'dropped';
}

import type { DatabaseTarget } from '../../database/database.ts';
import { QuorateError } from '../../errors.ts';
import type { Credential } from '../lease.ts';

/** A credential and where it is good for, as texts: exists only while something is written. */
export interface Fields {
  readonly username: string;
  readonly password: string;
  /** Undefined where no format wants it. */
  readonly target: DatabaseTarget | undefined;
  /** The id of its lease, which is no secret, where that is asked for. */
  readonly lease?: string;
}

/** Which variable holds what. */
export type Source =
  'username' | 'password' | 'host' | 'port' | 'database' | 'sslmode' | 'sslrootcert' | 'url' | 'jdbc-url' | 'lease';
export const SOURCES: readonly Source[] = [
  'username',
  'password',
  'host',
  'port',
  'database',
  'sslmode',
  'sslrootcert',
  'url',
  'jdbc-url',
  'lease',
];

/** Variables by the names that programs look for. Those whose value is not known are left out. */
export const PRESETS = {
  // libpq: psql, pg_dump, and nearly every driver.
  pg: {
    PGHOST: 'host',
    PGPORT: 'port',
    PGDATABASE: 'database',
    PGUSER: 'username',
    PGPASSWORD: 'password',
    PGSSLMODE: 'sslmode',
    PGSSLROOTCERT: 'sslrootcert',
  },
  // The clients of MySQL and MariaDB read MYSQL_PWD, MYSQL_HOST and MYSQL_TCP_PORT; programs by convention the others.
  mysql: {
    MYSQL_HOST: 'host',
    MYSQL_TCP_PORT: 'port',
    MYSQL_DATABASE: 'database',
    MYSQL_USER: 'username',
    MYSQL_PWD: 'password',
  },
  url: { DATABASE_URL: 'url' },
  spring: {
    SPRING_DATASOURCE_URL: 'jdbc-url',
    SPRING_DATASOURCE_USERNAME: 'username',
    SPRING_DATASOURCE_PASSWORD: 'password',
  },
  plain: { DB_USERNAME: 'username', DB_PASSWORD: 'password' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Source>>>>;

export type Preset = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as readonly Preset[];

export type Mapping = Readonly<Record<string, Source>>;

/** Whether a mapping can be filled only when it is known where the database is. */
export const needsTarget = (mapping: Mapping): boolean =>
  Object.values(mapping).some((source) => !['username', 'password', 'lease'].includes(source));

/** The text of a credential; the caller drops it as soon as it is written. */
export function fieldsOf({ username, password, lease }: Credential, target: DatabaseTarget | undefined): Fields {
  return { username, password: password.exposeText(), target, lease: lease.id };
}

/** The variables of a mapping. @throws QuorateError `usage` for a character that no variable can hold. */
export function variablesOf(fields: Fields, mapping: Mapping): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  for (const [name, source] of Object.entries(mapping)) {
    const value = valueOf(fields, source);
    if (value === undefined) continue;
    if (value.includes('\0')) throw cannotHold('a variable', 'a NUL');
    variables.set(name, value);
  }
  return variables;
}

function valueOf(fields: Fields, source: Source): string | undefined {
  const { username, password, target, lease } = fields;
  switch (source) {
    case 'username':
      return username;
    case 'password':
      return password;
    case 'host':
      return target?.host;
    case 'port':
      return target?.port.toString();
    case 'database':
      return target?.database;
    case 'sslmode':
      return target?.tls;
    case 'sslrootcert':
      return target?.caFile;
    case 'url':
      return target === undefined ? undefined : urlOf(fields, target);
    case 'jdbc-url':
      return target === undefined ? undefined : jdbcUrl(target);
    case 'lease':
      return lease;
  }
}

/** `postgresql://user:password@host:port/database?sslmode=...`; for MySQL `mysql://`, with MySQL's own `ssl-mode`. */
export function urlOf({ username, password }: Fields, target: DatabaseTarget): string {
  const { engine, host, port, database, tls, caFile } = target;
  const login = `${encode(username)}:${encode(password)}`;
  const at = `${urlHost(host)}:${port.toString()}/${encode(database)}`;
  if (engine === 'mysql') return `mysql://${login}@${at}?ssl-mode=${mysqlMode(tls)}`;
  const authority = caFile === undefined ? '' : `&sslrootcert=${encode(caFile)}`;
  return `postgresql://${login}@${at}?sslmode=${tls}${authority}`;
}

function jdbcUrl({ engine, host, port, database }: DatabaseTarget): string {
  return `jdbc:${engine === 'mysql' ? 'mariadb' : engine}://${urlHost(host)}:${port.toString()}/${encode(database)}`;
}

/** An IPv6 address stands in brackets; a socket's path is encoded. */
function urlHost(host: string): string {
  return /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(host) ? `[${host}]` : encode(host);
}

export function mysqlMode(tls: DatabaseTarget['tls']): string {
  const words = {
    'disable': 'DISABLED',
    'prefer': 'PREFERRED',
    'require': 'REQUIRED',
    'verify-ca': 'VERIFY_CA',
    'verify-full': 'VERIFY_IDENTITY',
  };
  return words[tls];
}

/** Everything but RFC 3986's unreserved characters: libraries differ in what else they take as it is. */
export function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** A format has no way to write something; quorate does not write something else. */
export function cannotHold(what: string, character: string): QuorateError {
  return new QuorateError('usage', `${what} cannot hold ${character}, which this credential has`, {
    hint: 'Choose another format; json and yaml hold everything. The credential was revoked.',
  });
}

import { QuorateError } from '../../errors.ts';
import { cannotHold, type Fields, type Mapping, mysqlMode, urlOf, variablesOf } from './fields.ts';

/** How a credential can be written, besides JSON and YAML. */
export type TextFormat = 'env' | 'url' | 'pgpass' | 'my.cnf' | 'github' | 'gitlab' | 'dotenv' | 'pg-service';

/**
 * The text of a credential in a format that a program reads, ending with a newline.
 * @throws QuorateError `usage` when the format cannot express it: nothing is left out, and nothing replaced.
 */
export function render(format: TextFormat, fields: Fields, mapping: Mapping): string {
  switch (format) {
    case 'env':
      return lines([...variablesOf(fields, mapping)].map(([name, value]) => `export ${name}=${shellQuote(value)}`));
    case 'dotenv':
      return lines([...variablesOf(fields, mapping)].map(([name, value]) => `${name}=${dotenvQuote(value)}`));
    case 'gitlab':
      return lines([...variablesOf(fields, mapping)].map(([name, value]) => `${name}=${gitlabValue(value)}`));
    case 'github':
      return [...variablesOf(fields, mapping)].map(([name, value]) => githubBlock(name, value)).join('');
    case 'url':
      return lines([urlOf(fields, known(fields))]);
    case 'pgpass':
      return lines([pgpass(fields)]);
    case 'my.cnf':
      return myCnf(fields);
    case 'pg-service':
      return pgService(fields);
  }
}

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

export function known({ target }: Fields): NonNullable<Fields['target']> {
  if (target !== undefined) return target;
  throw new QuorateError('database-target-unknown', 'it is not known where the database is', {
    hint: 'Name it: --target postgresql://db.example:5432/app?sslmode=verify-full (or mysql://...), without a login.',
  });
}

/** For POSIX shells: between single quotes everything is itself but a single quote. */
export function shellQuote(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}

/**
 * For the dotenv readers of Node, npm, Ruby, Python and Compose, which agree on little: a quoted text that needs no
 * escape is read alike by all. A backslash before a quote or another one is not.
 */
function dotenvQuote(value: string): string {
  if (/\r/.test(value)) throw cannotHold('a dotenv file', 'a carriage return');
  if (/\\[\\']/.test(value) || value.endsWith('\\')) throw cannotHold('a dotenv file', 'such a backslash');
  if (!value.includes("'")) return `'${value}'`;
  // Between double quotes $ and \ mean something to most.
  if (!/["\\$`]/.test(value)) return `"${value}"`;
  throw cannotHold('a dotenv file', 'such quotes');
}

/** GitLab's dotenv reports: no quoting, blanks at the ends are cut, one line. */
function gitlabValue(value: string): string {
  if (/[\r\n]/.test(value)) throw cannotHold("GitLab's dotenv report", 'a newline');
  if (value.trim() !== value) throw cannotHold("GitLab's dotenv report", 'a blank at its end');
  if (/^(["'])[\s\S]*\1$/.test(value)) throw cannotHold("GitLab's dotenv report", 'quotes around it');
  return value;
}

/** `NAME<<MARK`, the value, `MARK`: for the files that GITHUB_ENV and GITHUB_OUTPUT name. */
function githubBlock(name: string, value: string): string {
  // The runner ends lines at a lone carriage return too.
  if (value.includes('\r')) throw cannotHold("GitHub's environment file", 'a carriage return');
  let mark = 'QUORATE';
  while (value.split('\n').includes(mark)) mark += '_';
  return `${name}<<${mark}\n${value}\n${mark}\n`;
}

/**
 * Tells GitHub's runner to strike secrets out of the log. It masks line by line, so each line is named, and each form
 * in which it will appear.
 */
export function githubMasks(secrets: readonly string[]): string {
  const parts = new Set(
    secrets.flatMap((secret) => [secret, ...secret.split(/[\r\n]+/)]).filter((part) => part.trim() !== ''),
  );
  const escape = (text: string): string => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
  return [...parts].map((part) => `::add-mask::${escape(part)}\n`).join('');
}

/** https://www.postgresql.org/docs/current/libpq-pgpass.html */
function pgpass(fields: Fields): string {
  const { host, port, database } = known(fields);
  const parts = [host, port.toString(), database === '' ? '*' : database, fields.username, fields.password];
  if (parts.some((part) => /[\r\n\0]/.test(part))) throw cannotHold('a pgpass file', 'a newline');
  return parts.map((part) => part.replaceAll(/[\\:]/g, '\\$&')).join(':');
}

/** A section of a connection service file; libpq takes a line as it is, but for blanks at its end. */
function pgService(fields: Fields): string {
  const { host, port, database, tls, caFile } = known(fields);
  const { username: user, password } = fields;
  const entries = { host, port: port.toString(), dbname: database, user, password, sslmode: tls, sslrootcert: caFile };
  const present = Object.entries(entries).filter(([, value]) => value !== undefined && value !== '');
  for (const [, value] of present) {
    if (/[\r\n\0]/.test(value ?? '')) throw cannotHold('a service file', 'a newline');
    if (/\s$/.test(value ?? '')) throw cannotHold('a service file', 'a blank at its end');
    if (Buffer.byteLength(value ?? '') > 900) throw cannotHold('a service file', 'so long a text');
  }
  return lines(['[quorate]', ...present.map(([key, value]) => `${key}=${value ?? ''}`)]);
}

/** An option file of MySQL's and MariaDB's clients, whose quoted values know these escapes. */
function myCnf(fields: Fields): string {
  const { target, username, password } = fields;
  const quote = (value: string): string => {
    if (value.includes('\0')) throw cannotHold('an option file', 'a NUL');
    const escapes: Readonly<Record<string, string>> = {
      '\n': '\\n',
      '\r': '\\r',
      '\t': '\\t',
      '\b': '\\b',
      '"': '\\"',
      '\\': '\\\\',
    };
    return `"${value.replaceAll(/[\n\r\t\b"\\]/g, (character) => escapes[character] ?? character)}"`;
  };
  const place: readonly string[] =
    target === undefined
      ? []
      : [
          ...(target.host.startsWith('/')
            ? [`socket=${quote(target.host)}`]
            : [`host=${quote(target.host)}`, `port=${target.port.toString()}`, 'protocol=tcp']),
          ...tlsOptions(target),
        ];
  return lines(['[client]', `user=${quote(username)}`, `password=${quote(password)}`, ...place]);
}

/**
 * Words that MariaDB's clients know, and `ssl-mode`, which MySQL's know; `loose-` lets the others pass over what they do
 * not know, with a warning, which is accepted only where it is about whom to trust.
 */
function tlsOptions({ tls, caFile, host }: NonNullable<Fields['target']>): readonly string[] {
  if (host.startsWith('/') || tls === 'prefer') return [];
  if (tls === 'disable') return ['loose-skip-ssl'];
  return [
    'loose-ssl',
    ...(tls === 'verify-full' ? ['loose-ssl-verify-server-cert'] : []),
    ...(tls === 'require' ? [] : [`loose-ssl-mode=${mysqlMode(tls)}`]),
    ...(caFile === undefined ? [] : [`ssl-ca=${caFile}`]),
  ];
}

import type { DatabaseTarget, Engine, TlsMode } from '../database/database.ts';
import { QuorateError } from '../errors.ts';
import { type Caller, refusal } from './caller.ts';

const SCHEMES: Readonly<Record<string, Engine>> = {
  'postgresql:': 'postgresql',
  'postgres:': 'postgresql',
  'mysql:': 'mysql',
  'mariadb:': 'mysql',
};
const PORTS: Readonly<Record<Engine, number>> = { postgresql: 5432, mysql: 3306 };
const MODES: readonly TlsMode[] = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'];
/** The words of Go's MySQL driver, which are in the server's connection. */
const GO_MODES: Readonly<Record<string, TlsMode>> = {
  'true': 'verify-full',
  'false': 'disable',
  'skip-verify': 'require',
  'preferred': 'prefer',
};

function unknown(message: string): QuorateError {
  return new QuorateError('database-target-unknown', message, {
    hint: 'Name it: --target postgresql://db.example:5432/app?sslmode=verify-full (or mysql://...), without a login.',
  });
}

/**
 * Where the database is, from an address without a login, as people give it.
 * @throws QuorateError `database-target-unknown`. The text is not quoted: somebody may put a password in it.
 */
export function parseTarget(text: string): DatabaseTarget {
  const url = URL.parse(text);
  const engine = url === null ? undefined : SCHEMES[url.protocol];
  if (url === null || engine === undefined) throw unknown('--target is not the address of a database');
  if (url.username !== '' || url.password !== '') throw unknown('--target has a login in it, which has no place there');
  return fromUrl(url, engine);
}

/** From the server's own connection, `connection_url` of `MOUNT/config/NAME`. */
export function parseConnectionUrl(text: string): DatabaseTarget {
  const mysql = /@(?:tcp|unix)\((?<at>[^)]*)\)\/(?<database>[^?]*)(?:\?(?<query>.*))?$/.exec(text)?.groups;
  if (mysql !== undefined) return fromGo(mysql['at'] ?? '', mysql['database'] ?? '', mysql['query'] ?? '');
  const url = URL.parse(text.replaceAll(/\{\{[^}]*\}\}/g, 'x'));
  const engine = url === null ? undefined : SCHEMES[url.protocol];
  if (url === null || engine === undefined)
    throw unknown('the connection on the server has an address of another kind');
  return fromUrl(url, engine);
}

function fromUrl(url: URL, engine: Engine): DatabaseTarget {
  // A socket's folder is an encoded host, or stands in the query as libpq has it.
  const host = url.searchParams.get('host') ?? decodeURIComponent(url.hostname.replace(/^\[(.*)\]$/, '$1'));
  const mode = url.searchParams.get('sslmode') ?? url.searchParams.get('ssl-mode') ?? 'prefer';
  const tls = MODES.find((one) => one === mode.toLowerCase().replace('_', '-'));
  if (host === '' || tls === undefined) throw unknown('the address of the database has no host, or an unknown sslmode');
  const caFile = url.searchParams.get('sslrootcert') ?? undefined;
  return {
    engine,
    host,
    port: url.port === '' ? PORTS[engine] : Number(url.port),
    database: decodeURIComponent(url.pathname.replace(/^\//, '')),
    tls,
    ...(caFile === undefined ? {} : { caFile }),
  };
}

function fromGo(at: string, database: string, query: string): DatabaseTarget {
  const mode = new URLSearchParams(query).get('tls') ?? 'verify-full';
  const common = { engine: 'mysql', database, tls: GO_MODES[mode] ?? 'verify-full' } as const;
  if (at.startsWith('/')) return { ...common, host: at, port: PORTS.mysql };
  const url = URL.parse(`mysql://${at}`);
  if (url === null || url.hostname === '') throw unknown('the connection on the server has an address of another kind');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { ...common, host, port: url.port === '' ? PORTS.mysql : Number(url.port) };
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Asks the server where the database of a role is.
 * @throws QuorateError `database-target-unknown` when it does not say, or may not; `server-unreachable` and the like.
 */
export async function findTarget(
  caller: Caller,
  mount: string,
  role: string,
  signal: AbortSignal,
): Promise<DatabaseTarget> {
  const read = async (path: string): Promise<Fields> => {
    const reply = await caller.request('GET', path, undefined, { signal });
    if (reply.status === 403 || reply.status === 404) {
      throw unknown(
        `the server does not tell where the database of ${role} is (GET ${path}: ${reply.status.toString()})`,
      );
    }
    if (reply.status !== 200) throw refusal(`GET ${path}`, reply);
    return ((reply.body as Fields)['data'] ?? {}) as Fields;
  };
  const name = (await read(`${mount}/roles/${role}`))['db_name'];
  const details = (await read(`${mount}/config/${String(name)}`))['connection_details'];
  const url = typeof details === 'object' && details !== null ? (details as Fields)['connection_url'] : undefined;
  if (typeof url !== 'string') throw unknown(`the server does not tell where the database of ${role} is`);
  const target = parseConnectionUrl(url);
  // A file of the server's machine, which means nothing on this one.
  const { caFile: _theirs, ...rest } = target;
  return rest;
}

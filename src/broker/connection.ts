import type { DatabaseTarget } from '../database/database.ts';
import { QuorateError } from '../errors.ts';
import type { CallOptions, Reply } from '../vault/peer.ts';
import { type Caller, refusal } from './caller.ts';
import { parseConnectionUrl } from './target.ts';

/** A connection of the database engine, `MOUNT/config/NAME`, as far as the server tells. */
export interface Connection {
  readonly mount: string;
  readonly name: string;
  /** The account that the server logs in with. */
  readonly username: string;
  /** Where the server reaches the database; undefined where it is no kind that quorate logs in to. */
  readonly target: DatabaseTarget | undefined;
  readonly allowedRoles: readonly string[];
  /** How users are named; undefined for the server's own way. */
  readonly usernameTemplate: string | undefined;
  /** All that the server tells, to compare. The password is never among it. */
  readonly settings: Readonly<Record<string, unknown>>;
}

type Fields = Readonly<Record<string, unknown>>;

/** @throws QuorateError `denied`, `server-error` (no such connection), `server-response`, and as a request does. */
export async function readConnection(
  caller: Caller,
  mount: string,
  name: string,
  options: CallOptions = {},
): Promise<Connection> {
  const path = `${mount}/config/${name}`;
  const reply = await caller.request('GET', path, undefined, options);
  if (reply.status === 404) {
    throw new QuorateError('server-error', `the server has no connection ${name} at ${mount}`, {
      hint: `bao list ${mount}/config names those that it has; --mount names another mount.`,
    });
  }
  if (reply.status !== 200) throw refusal(`GET ${path}`, reply);
  const settings = ((reply.body as Fields)['data'] ?? {}) as Fields;
  const details = (settings['connection_details'] ?? {}) as Fields;
  const { username, connection_url: url, username_template: template } = details;
  if (typeof username !== 'string' || username === '' || typeof url !== 'string') {
    throw new QuorateError('server-response', `the connection ${name} has no username of its own`, {
      hint: 'quorate works with connections that have a username and a password.',
    });
  }
  const roles = settings['allowed_roles'];
  return {
    mount,
    name,
    username,
    target: targetOf(url),
    allowedRoles: Array.isArray(roles) ? roles.map(String) : [],
    usernameTemplate: typeof template === 'string' && template !== '' ? template : undefined,
    settings,
  };
}

function targetOf(url: string): DatabaseTarget | undefined {
  try {
    // A file of the server's machine means nothing on this one.
    const { caFile: _theirs, ...rest } = parseConnectionUrl(url);
    return rest;
  } catch {
    return undefined;
  }
}

/** `ok`: it has logged in afresh. `refused`: the database does not take its password (any more). */
export type ServerLogin = 'ok' | 'refused';

/**
 * Has the server drop the connections that it has open, and log in afresh with the password that it holds (OpenBao
 * 2.7.2 does so at once, and says what came of it).
 * @throws QuorateError `database-unreachable`: the server cannot reach the database, or it is not up; `denied`, `sealed`,
 *   and as a request does.
 */
export async function logInAfresh(
  caller: Caller,
  { mount, name }: Pick<Connection, 'mount' | 'name'>,
  options: CallOptions = {},
): Promise<ServerLogin> {
  const path = `${mount}/reset/${name}`;
  const reply = await caller.request('POST', path, {}, { ...options, repeatable: true });
  if (reply.status < 300) return 'ok';
  if (isLoginRefused(reply)) return 'refused';
  if (reply.status === 403 || reply.status === 503) throw refusal(`POST ${path}`, reply);
  throw new QuorateError(
    'database-unreachable',
    `the server cannot reach the database of ${name}: ${reply.errors.join('; ')}`,
    { hint: 'Nothing was changed by this. Bring the database back, then run it again.' },
  );
}

/** PostgreSQL's class 28 and what MySQL and MariaDB call access denied, as the server passes them on. */
function isLoginRefused({ errors }: Reply): boolean {
  return errors.some((line) =>
    /SQLSTATE 28|password authentication failed|Error (?:1045|1698|3118|4151)\b/i.test(line),
  );
}

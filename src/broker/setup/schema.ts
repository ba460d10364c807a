import * as v from 'valibot';
import { cidr } from '../../cidr.ts';
import { setupLogins, setupName as name, setupSeconds as seconds, unique } from './logins.ts';

/** What stands between quotes in SQL; wide enough for what people use, with no quote in it. */
const identifier = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z_][A-Za-z0-9_$-]{0,62}$/, 'letters, digits, _, $ and -, as a database names things'),
);
const path = v.pipe(v.string(), v.minLength(1));
const host = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,253}$|^[0-9A-Fa-f:]{2,39}$/, 'a name or an address'));
const connection = v.pipe(
  v.strictObject({
    name,
    'engine': v.picklist(['postgresql', 'mariadb', 'mysql'], 'postgresql, mariadb or mysql'),
    host,
    'port': v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))),
    'database': identifier,
    'tls': v.optional(
      v.picklist(['verify-full', 'verify-ca', 'require', 'disable'], 'verify-full, verify-ca, require or disable'),
      'verify-full',
    ),
    'ca': v.optional(path),
    'ca-on-server': v.optional(
      v.pipe(v.string(), v.regex(/^\/[A-Za-z0-9._/-]+$/, 'an absolute path on the Vault server')),
    ),
    'admin': identifier,
    'admin-password-file': path,
  }),
  v.check(
    (one) => one.engine === 'postgresql' || (one.tls !== 'verify-ca' && one['ca-on-server'] === undefined),
    'verify-ca and ca-on-server are for PostgreSQL only',
  ),
);

const role = v.pipe(
  v.strictObject({
    name,
    'template': v.picklist(['read-only', 'read-write', 'migration'], 'read-only, read-write or migration'),
    'group': v.optional(identifier),
    'ttl': v.optional(seconds, '15m'),
    'max-ttl': v.optional(seconds, '1h'),
  }),
  v.check((one) => one.ttl <= one['max-ttl'], 'ttl is longer than max-ttl'),
);

/** What `quorate db setup` makes true on the server. */
export const setupSchema = v.pipe(
  v.strictObject({
    mount: v.optional(name, 'database'),
    connection,
    network: v.optional(v.array(cidr), []),
    roles: v.pipe(
      v.array(role),
      v.minLength(1),
      v.check((roles) => unique(roles.map((one) => one.name)), 'two roles have the same name'),
    ),
    login: v.optional(setupLogins, []),
    idempotency: v.optional(v.boolean(), true),
  }),
  v.check(
    ({ roles, login: logins }) =>
      logins.every((one) => one.roles.every((wanted) => roles.some(({ name: there }) => there === wanted))),
    'a login names a role that is not in this file',
  ),
  v.check(
    ({ connection: { engine }, roles }) => engine === 'postgresql' || roles.every(({ group }) => group === undefined),
    'group is for PostgreSQL only',
  ),
);

export type Setup = v.InferOutput<typeof setupSchema>;
export type SetupConnection = Setup['connection'];
export type SetupRole = Setup['roles'][number];

export const portOf = ({ engine, port }: SetupConnection): number => port ?? (engine === 'postgresql' ? 5432 : 3306);

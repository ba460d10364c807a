import type { Resource } from '../../setup/resource.ts';
import { loginPolicy, leasePolicy, policiesOf, tokenRole } from './policies.ts';
import { IDEMPOTENCY } from '../idempotency/places.ts';
import { portOf, type Setup, type SetupConnection, type SetupLogin } from './schema.ts';
import { statementsOf, usernameTemplate } from './templates.ts';

/** Everything, in the order in which it is written. `ca` is the text of the connection's authority. */
export function resourcesOf(setup: Setup, ca: string | undefined): readonly Resource[] {
  const { mount, connection, roles, login, idempotency, network } = setup;
  const plain = (path: string, data: Readonly<Record<string, unknown>>): Resource => ({ path, data, kind: 'plain' });
  const mounted = (path: string, data: Readonly<Record<string, unknown>>): Resource => ({ path, data, kind: 'mount' });
  const authMounts = [...new Set(login.map((one) => `${one.method} ${one.mount}`))].map((pair): Resource => {
    const [type = '', at = ''] = pair.split(' ');
    // A jwt mount is of no use before somebody has told it whose tokens to believe.
    return { path: `sys/auth/${at}`, data: { type }, kind: type === 'jwt' ? 'foreign' : 'mount' };
  });
  return [
    mounted(`sys/mounts/${mount}`, { type: 'database' }),
    ...(idempotency
      ? [
          mounted(`sys/mounts/${IDEMPOTENCY.kv}`, { type: 'kv', options: { version: '2' } }),
          // What a record replaces is gone for good; a writer must know what it replaces.
          plain(`${IDEMPOTENCY.kv}/config`, { max_versions: 1, cas_required: true }),
          mounted(`sys/mounts/${IDEMPOTENCY.transit}`, { type: 'transit' }),
        ]
      : []),
    { path: `${mount}/config/${connection.name}`, data: connectionData(setup, ca), kind: 'connection' },
    ...roles.map((role) =>
      plain(`${mount}/roles/${role.name}`, {
        db_name: connection.name,
        default_ttl: role.ttl,
        max_ttl: role['max-ttl'],
        ...statementsOf(role, connection),
      }),
    ),
    ...Object.entries(policiesOf(setup)).map(([name, policy]) => plain(`sys/policies/acl/${name}`, { policy })),
    ...roles.map((role) =>
      plain(`auth/token/roles/${tokenRole(role.name)}`, {
        allowed_policies: [leasePolicy(role.name)],
        token_no_default_policy: true,
        orphan: false,
        renewable: true,
        token_explicit_max_ttl: role['max-ttl'],
        token_bound_cidrs: network,
      }),
    ),
    ...authMounts,
    ...login.map((one) => plain(`auth/${one.mount}/role/${one.name}`, loginData(one, network))),
  ];
}

function connectionData({ connection, roles }: Setup, ca: string | undefined): Record<string, unknown> {
  return {
    plugin_name: connection.engine === 'postgresql' ? 'postgresql-database-plugin' : 'mysql-database-plugin',
    connection_url: connectionUrl(connection, ca !== undefined),
    username: connection.admin,
    username_template: usernameTemplate(connection),
    allowed_roles: roles.map(({ name }) => name),
    ...(connection.engine === 'postgresql'
      ? // The database then never sees a password in its statement log.
        { password_authentication: 'scram-sha-256' }
      : ca === undefined
        ? {}
        : { tls_ca: ca }),
  };
}

/**
 * PostgreSQL's plugin takes its authority from a file on the server, or the server's own; MySQL's takes its text, and
 * then wants no TLS mode in the address (OpenBao 2.7.2).
 */
function connectionUrl(connection: SetupConnection, hasCa: boolean): string {
  const { engine, database, tls } = connection;
  const host = connection.host.includes(':') ? `[${connection.host}]` : connection.host;
  const at = `${host}:${portOf(connection).toString()}`;
  const authority = connection['ca-on-server'] === undefined ? '' : `&sslrootcert=${connection['ca-on-server']}`;
  if (engine === 'postgresql') {
    return `postgresql://{{username}}:{{password}}@${at}/${database}?sslmode=${tls}${authority}`;
  }
  if (tls === 'verify-full' && hasCa) return `{{username}}:{{password}}@tcp(${at})/${database}`;
  const mode = { 'disable': 'false', 'require': 'skip-verify', 'verify-ca': 'true', 'verify-full': 'true' }[tls];
  return `{{username}}:{{password}}@tcp(${at})/${database}?tls=${mode}`;
}

function loginData(login: SetupLogin, network: readonly string[]): Readonly<Record<string, unknown>> {
  const token = {
    token_policies: login.roles.map(loginPolicy),
    token_no_default_policy: true,
    token_ttl: login.ttl,
    token_max_ttl: login.ttl,
    token_bound_cidrs: network,
  };
  if (login.method === 'approle') {
    return {
      ...token,
      bind_secret_id: true,
      secret_id_num_uses: login['secret-id-uses'],
      secret_id_ttl: login['secret-id-ttl'],
      secret_id_bound_cidrs: network,
    };
  }
  return {
    ...token,
    role_type: 'jwt',
    user_claim: login['user-claim'],
    bound_audiences: [login.audience],
    bound_claims: login.claims,
  };
}

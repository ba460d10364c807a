import type { Resource } from '../../setup/resource.ts';
import { leasePolicy, policiesOf, tokenRole } from './policies.ts';
import { IDEMPOTENCY } from '../idempotency/places.ts';
import type { LoadedSetup } from './load.ts';
import { portOf, type Setup, type SetupConnection } from './schema.ts';
import { loginResources } from './login-resources.ts';
import { statementsOf, usernameTemplate } from './templates.ts';

/** Everything, in the order in which it is written. */
export function resourcesOf({ setup, ca, files }: LoadedSetup): readonly Resource[] {
  const { mount, connection, roles, login, idempotency, network } = setup;
  const plain = (path: string, data: Readonly<Record<string, unknown>>): Resource => ({ path, data, kind: 'plain' });
  const mounted = (path: string, data: Readonly<Record<string, unknown>>): Resource => ({ path, data, kind: 'mount' });
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
    { path: `${mount}/config/${connection.name}`, data: connectionData(setup, ca?.text), kind: 'connection' },
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
    ...loginResources(login, network, files),
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

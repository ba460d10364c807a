import { type PolicyRule, policyText } from '../../setup/resource.ts';
import { IDEMPOTENCY } from '../idempotency/places.ts';
import type { Setup, SetupRole } from './schema.ts';

/** The policy of the child token that a lease hangs on: to get it, keep it, end it, and see that it is gone. */
export const leasePolicy = (role: string): string => `quorate-db-${role}`;
/** The policy of who may ask for the role's credentials. */
export const loginPolicy = (role: string): string => `quorate-db-${role}-login`;
/** The policy of people who look after all leases of a mount. */
export const operatorPolicy = (mount: string): string => `quorate-db-${mount}-operator`;
/** The policy of who rotates the connection's own password, and mends it: whoever has it can point the connection elsewhere. */
export const adminPolicy = (mount: string, connection: string): string => `quorate-db-${mount}-${connection}-admin`;
/** The token role that child tokens of a role are made by: it binds them to networks, which a plain child cannot be. */
export const tokenRole = (role: string): string => `quorate-db-${role}`;

const LEASES = [
  ['sys/leases/lookup', 'update'],
  ['sys/leases/renew', 'update'],
  ['sys/leases/revoke', 'update'],
  ['auth/token/lookup-self', 'read'],
  ['auth/token/renew-self', 'update'],
  ['auth/token/revoke-self', 'update'],
] as const;

/** By name, the policies that a setup needs. */
export function policiesOf(setup: Setup): Readonly<Record<string, string>> {
  const policies: Record<string, string> = {};
  for (const role of setup.roles) {
    policies[leasePolicy(role.name)] = policyText([[`${setup.mount}/creds/${role.name}`, 'read'], ...LEASES]);
    policies[loginPolicy(role.name)] = policyText(loginRules(setup, role));
  }
  policies[operatorPolicy(setup.mount)] = policyText([
    // Listing leases takes sudo.
    [`sys/leases/lookup/${setup.mount}/creds/*`, 'list', 'sudo'],
    [`sys/leases/lookup/${setup.mount}/creds`, 'list', 'sudo'],
    [`${setup.mount}/roles`, 'list'],
    [`${setup.mount}/roles/*`, 'read'],
    [`${setup.mount}/config`, 'list'],
    [`${setup.mount}/config/*`, 'read'],
    ...LEASES,
  ]);
  const { name } = setup.connection;
  policies[adminPolicy(setup.mount, name)] = policyText([
    [`${setup.mount}/config/${name}`, 'read', 'update'],
    [`${setup.mount}/reset/${name}`, 'update'],
    [`${setup.mount}/rotate-root/${name}`, 'update'],
    // One is made and revoked to prove that the server logs in.
    ...setup.roles.map((role) => [`${setup.mount}/creds/${role.name}`, 'read'] as const),
    ...LEASES,
  ]);
  return policies;
}

function loginRules(setup: Setup, role: SetupRole): PolicyRule[] {
  const own = '{{identity.entity.id}}';
  const { kv, transit } = IDEMPOTENCY;
  return [
    [`${setup.mount}/creds/${role.name}`, 'read'],
    // Where the database is; the connection's password is never given back.
    [`${setup.mount}/roles/${role.name}`, 'read'],
    [`${setup.mount}/config/${setup.connection.name}`, 'read'],
    ...LEASES,
    [`auth/token/create/${tokenRole(role.name)}`, 'update'],
    ...(setup.idempotency
      ? ([
          [`${kv}/data/${own}/*`, 'create', 'update', 'read'],
          [`${kv}/metadata/${own}`, 'list'],
          [`${kv}/metadata/${own}/*`, 'read', 'list', 'delete'],
          [`${transit}/encrypt/${own}`, 'create', 'update'],
          [`${transit}/decrypt/${own}`, 'update'],
        ] as const)
      : []),
  ];
}

import type { Resource } from '../../setup/resource.ts';
import type { SetupLogin } from './logins.ts';
import { loginPolicy } from './policies.ts';

/** The texts of the files that a setup names, by the names it has for them. */
export type SetupFiles = ReadonlyMap<string, string>;

/** The auth methods that logins need, what their tokens are believed by, and their roles. */
export function loginResources(
  logins: readonly SetupLogin[],
  network: readonly string[],
  files: SetupFiles,
): readonly Resource[] {
  const methods = new Map<string, readonly Resource[]>();
  for (const one of logins) if (!methods.has(one.mount)) methods.set(one.mount, methodOf(one, files));
  const roles = logins.map((one): Resource => ({
    path: `auth/${one.mount}/role/${one.name}`,
    data: roleOf(one, network),
    kind: 'plain',
  }));
  return [...[...methods.values()].flat(), ...roles];
}

function methodOf(login: SetupLogin, files: SetupFiles): readonly Resource[] {
  const { method, mount } = login;
  const path = `sys/auth/${mount}`;
  if (method === 'approle') return [{ path, data: { type: method }, kind: 'mount' }];
  // A jwt mount is of no use before somebody has told it whose tokens to believe.
  if (login.issuer === undefined) return [{ path, data: { type: method }, kind: 'foreign' }];
  return [
    { path, data: { type: method }, kind: 'mount' },
    { path: `auth/${mount}/config`, data: trustOf(login, login.issuer, files), kind: 'plain' },
  ];
}

/** All that says whose tokens are believed: a key or an address that somebody adds is a difference. */
function trustOf(
  login: Extract<SetupLogin, { readonly method: 'jwt' }>,
  issuer: string,
  files: SetupFiles,
): Readonly<Record<string, unknown>> {
  const { 'public-keys': keys, 'issuer-ca': ca } = login;
  return {
    bound_issuer: issuer,
    oidc_discovery_url: keys === undefined ? issuer : '',
    oidc_discovery_ca_pem: ca === undefined ? '' : (files.get(ca) ?? ''),
    jwks_url: '',
    jwt_validation_pubkeys: keys === undefined ? [] : publicKeys(files.get(keys) ?? ''),
  };
}

function publicKeys(pem: string): readonly string[] {
  const found = pem.match(/-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----/g) ?? [];
  return found.map((key) => key.trim());
}

function roleOf(login: SetupLogin, network: readonly string[]): Readonly<Record<string, unknown>> {
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
    bound_claims_type: login.match === 'glob' ? 'glob' : 'string',
  };
}

import { type NodeAuth, nodeLogin, type NodeRoleConfig } from '../wallet-config.ts';
import { QuorateError } from '../errors.ts';
import { type PolicyRule, policyText, type Resource } from '../setup/resource.ts';
import { envelopesPlace, statementsPlace } from './kv-store.ts';

/** A node as a setup needs to know it: a part of its description in `quorate.yaml`. */
export interface SetupNode {
  readonly mount: string;
  readonly network: readonly string[];
  readonly role?: NodeRoleConfig | undefined;
  /** How it logs in: `mount`, `role` and `role-id` are taken from there where the role does not name them. */
  readonly auth?: NodeAuth | undefined;
}

/** The policy of a node: it reads and writes its own two entries of a wallet, and nothing else. */
export const nodePolicy = (wallet: string, node: string): string => `quorate-shares-${wallet}-${node}`;
/** The policy of operators: they carry what nodes have stated from store to store, and reach no share. */
export const operatorPolicy = (wallet: string, node: string): string => `${nodePolicy(wallet, node)}-operator`;

/**
 * Old versions of an entry hold ciphertext whose key is destroyed, or what was stated before: kept, so that a wrong
 * write can be taken back by the store's administrator, but not for ever.
 */
const VERSIONS = 32;

/**
 * What a node of a wallet needs on its own server, in the order in which it is written.
 * @param certificate the PEM that the role's `certificate` names.
 * @throws QuorateError `policy` when the role and the login of a node do not fit.
 */
export function nodeResources(
  wallet: string,
  node: string,
  described: SetupNode,
  certificate?: string,
): readonly Resource[] {
  const { mount } = described;
  const plain = (path: string, data: Readonly<Record<string, unknown>>): Resource => ({ path, data, kind: 'plain' });
  const data = (path: string): string => `${mount}/data/${path}`;
  const [envelopes, statements] = [envelopesPlace(mount, wallet).path, statementsPlace(mount, wallet).path];
  const own: readonly PolicyRule[] = [
    [data(envelopes), 'create', 'read', 'update'],
    [data(statements), 'create', 'read', 'update'],
  ];
  const carried: readonly PolicyRule[] = [[data(statements), 'create', 'read', 'update']];
  return [
    { path: `sys/mounts/${mount}`, data: { type: 'kv', options: { version: '2' } }, kind: 'mount' },
    plain(`${mount}/config`, { cas_required: true, max_versions: VERSIONS }),
    plain(`sys/policies/acl/${nodePolicy(wallet, node)}`, { policy: policyText(own) }),
    plain(`sys/policies/acl/${operatorPolicy(wallet, node)}`, { policy: policyText(carried) }),
    ...roleResources(wallet, node, described, certificate),
  ];
}

function roleResources(
  wallet: string,
  node: string,
  { role: given, auth, network }: SetupNode,
  certificate: string | undefined,
): readonly Resource[] {
  const role: NodeRoleConfig | undefined =
    given ??
    (auth?.method === 'approle'
      ? { 'method': 'approle', 'ttl': '10m', 'secret-id-uses': 1, 'secret-id-ttl': '24h' }
      : undefined);
  const login = nodeLogin(wallet, node, { role, auth });
  if (role === undefined || login === undefined) return [];
  if (auth !== undefined && auth.method !== role.method) {
    throw new QuorateError(
      'policy',
      `${node} of ${wallet} logs in by ${auth.method}, and its role is for ${role.method}`,
      {
        hint: 'Make auth and role of the node in quorate.yaml the same method.',
      },
    );
  }
  const { mount, role: name } = login;
  const token = {
    token_policies: [nodePolicy(wallet, node)],
    token_no_default_policy: true,
    // Nothing is written for one: a fleet that boots at once costs the server no disk.
    token_type: 'batch',
    token_ttl: role.ttl,
    token_max_ttl: role.ttl,
    token_bound_cidrs: network,
  };
  const plain = (path: string, data: Readonly<Record<string, unknown>>): Resource => ({ path, data, kind: 'plain' });
  // Somebody else must have said whose tokens such a mount believes.
  const foreign = role.method === 'kubernetes' || role.method === 'jwt';
  const method: Resource = {
    path: `sys/auth/${mount}`,
    data: { type: role.method },
    kind: foreign ? 'foreign' : 'mount',
  };
  switch (role.method) {
    case 'approle': {
      const at = `auth/${mount}/role/${name}`;
      const roleId = auth?.['role-id'];
      return [
        method,
        plain(at, {
          ...token,
          bind_secret_id: true,
          secret_id_num_uses: role['secret-id-uses'],
          secret_id_ttl: role['secret-id-ttl'],
          secret_id_bound_cidrs: network,
        }),
        ...(roleId === undefined ? [] : [plain(`${at}/role-id`, { role_id: roleId })]),
      ];
    }
    case 'cert':
      return [
        method,
        plain(`auth/${mount}/certs/${name}`, {
          ...token,
          certificate: certificate ?? '',
          allowed_common_names: role['common-names'] ?? [],
          allowed_dns_sans: role['dns-names'] ?? [],
        }),
      ];
    case 'kubernetes':
      return [
        method,
        plain(`auth/${mount}/role/${name}`, {
          ...token,
          bound_service_account_names: [role['service-account']],
          bound_service_account_namespaces: [role['service-account-namespace']],
          audience: role.audience,
        }),
      ];
    case 'jwt':
      return [
        method,
        plain(`auth/${mount}/role/${name}`, {
          ...token,
          role_type: 'jwt',
          user_claim: role['user-claim'],
          bound_audiences: [role.audience],
          bound_subject: role.subject,
          bound_claims: role.claims,
        }),
      ];
  }
}

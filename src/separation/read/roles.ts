import { createHash } from 'node:crypto';
import type { ExportedMount, ExportedRole } from '../model.ts';
import type { Reader } from './reader.ts';
import { type Answer, flagOf, listsOf, textOf, textsOf } from './values.ts';

/** The lists that each kind of login keeps below its mount, and what is on them. */
const LISTS: Readonly<Record<string, readonly (readonly [list: string, kind: ExportedRole['kind']])[]>> = {
  token: [['roles', 'token']],
  approle: [['role', 'role']],
  jwt: [
    ['role', 'role'],
    ['cel/role', 'cel'],
  ],
  oidc: [
    ['role', 'role'],
    ['cel/role', 'cel'],
  ],
  kubernetes: [['role', 'role']],
  cert: [['certs', 'cert']],
  userpass: [['users', 'user']],
  ldap: [
    ['users', 'user'],
    ['groups', 'group'],
  ],
  radius: [['users', 'user']],
  kerberos: [['groups', 'group']],
};

/** What a login must be. Everything else of a role stays where it is. */
const BOUND_TEXTS = [
  'bound_service_account_names',
  'bound_service_account_namespaces',
  'bound_service_account_namespace_selector',
  'bound_subject',
  'allowed_names',
  'allowed_common_names',
  'allowed_dns_sans',
  'allowed_email_sans',
  'allowed_uri_sans',
  'allowed_organizational_units',
  'required_extensions',
  'user_claim',
  'groups_claim',
];

/** Everything below one mount that hands out policies. A kind of login that is not known is noted as unread. */
export async function readRoles(
  reader: Reader,
  namespace: string,
  { path, type }: ExportedMount,
): Promise<readonly ExportedRole[]> {
  const lists = LISTS[type];
  const below = `auth/${path.replace(/\/$/, '')}`;
  if (lists === undefined) {
    reader.miss(namespace, below, `nothing is known of logins by ${type}`);
    return [];
  }
  const roles = lists.map(([list, kind]) => {
    const from = `${below}/${list}`;
    // What a program in CEL hands out is known when it runs.
    if (kind === 'cel') return readPrograms(reader, namespace, path, from);
    return reader.readAll(namespace, from, async (answer, name) => {
      const id = type === 'approle' ? await reader.read(namespace, `${from}/${name}/role-id`) : undefined;
      return roleOf(answer, { mount: path, kind, name }, id === undefined ? '' : textOf(id, 'role_id'));
    });
  });
  return (await Promise.all(roles)).flat();
}

async function readPrograms(
  reader: Reader,
  namespace: string,
  mount: string,
  from: string,
): Promise<readonly ExportedRole[]> {
  const names = await reader.list(namespace, from);
  for (const name of names) reader.miss(namespace, `${from}/${name}`, 'a program decides what it hands out');
  return names.map((name) => roleOf({}, { mount, kind: 'cel', name }, ''));
}

function roleOf(answer: Answer, what: Pick<ExportedRole, 'mount' | 'kind' | 'name'>, roleId: string): ExportedRole {
  return {
    ...what,
    policies: [...new Set([...textsOf(answer, 'token_policies'), ...textsOf(answer, 'policies')])].sort(),
    noDefault: flagOf(answer, 'token_no_default_policy'),
    open: answer['bind_secret_id'] === false,
    ...(roleId === '' ? {} : { roleId }),
    bound: boundOf(answer),
    groups: what.kind === 'user' ? textsOf(answer, 'groups') : [],
    ...(what.kind === 'token' ? { token: tokenRole(answer) } : {}),
  };
}

function tokenRole(answer: Answer): NonNullable<ExportedRole['token']> {
  return {
    allowed: textsOf(answer, 'allowed_policies'),
    allowedGlobs: textsOf(answer, 'allowed_policies_glob'),
    disallowed: textsOf(answer, 'disallowed_policies'),
    disallowedGlobs: textsOf(answer, 'disallowed_policies_glob'),
    aliases: textsOf(answer, 'allowed_entity_aliases'),
    orphan: flagOf(answer, 'orphan'),
  };
}

function boundOf(answer: Answer): Record<string, string[]> {
  const bound: Record<string, string[]> = {};
  for (const key of BOUND_TEXTS) {
    const values = textsOf(answer, key);
    if (values.length > 0) bound[key] = values.sort();
  }
  const certificate = textOf(answer, 'certificate').trim();
  if (certificate !== '') bound['certificate'] = [`sha256:${createHash('sha256').update(certificate).digest('hex')}`];
  for (const [claim, values] of Object.entries(listsOf(answer, 'bound_claims')))
    bound[`claim ${claim}`] = values.sort();
  return bound;
}

/**
 * What an export asks for, below the path of a namespace. Servers list with a slash at the end, and `+` stands for an
 * empty name too: `auth/+/role/` beats `auth/+/role/+` then, `auth/+/role` would not be looked at.
 */
const RULES: readonly (readonly [path: string, capabilities: readonly string[], why?: string])[] = [
  ['sys/policies/acl', ['list'], 'Policies: their text decides.'],
  ['sys/policies/acl/*', ['read']],
  ['sys/mounts', ['read'], 'What is mounted where; the options of mounts hold no secret.'],
  ['sys/auth', ['read']],
  ['auth/token/roles', ['list'], 'Roles, users and groups of every kind of login.'],
  ['auth/+/role/', ['list']],
  ['auth/+/role/+', ['read']],
  ['auth/+/role/+/role-id', ['read'], 'A role id tells which entity logs in by the role. It is not the secret id.'],
  ['auth/token/roles/+', ['read']],
  ['auth/+/cel/role/', ['list']],
  ['auth/+/certs/', ['list']],
  ['auth/+/certs/+', ['read']],
  ['auth/+/users/', ['list']],
  ['auth/+/users/+', ['read']],
  ['auth/+/groups/', ['list']],
  ['auth/+/groups/+', ['read']],
  ['identity/entity/id', ['list'], 'Who is who, and in which groups.'],
  ['identity/entity/id/+', ['read']],
  ['identity/group/id', ['list']],
  ['identity/group/id/+', ['read']],
  ['auth/token/accessors', ['list', 'sudo'], 'Living tokens, by accessor: what they may do, never the tokens.'],
  ['auth/token/accessors/', ['list', 'sudo']],
  ['auth/token/lookup-accessor', ['create', 'update']],
  ['sys/namespaces', ['list'], 'Namespaces below, and their seals.'],
  ['sys/namespaces/+/seal-status', ['read']],
];

const ROOT_RULES: typeof RULES = [
  ['auth/token/lookup-self', ['read'], 'The login itself, and its end.'],
  ['auth/token/revoke-self', ['create', 'update']],
  ['sys/audit', ['read', 'sudo'], 'Audit devices, and settings of the server that open other ways in.'],
  ['sys/config/state/sanitized', ['read']],
];

/**
 * The policy for the login that exports. It reads, and changes nothing. A policy in the root names namespaces one by
 * one, because `+` before `sys/` would match mounts too.
 * @param namespaces from the root on, such as `team/a`.
 */
export function exportPolicy(namespaces: readonly string[]): string {
  const block = (title: string, prefix: string, rules: typeof RULES): string =>
    [
      `# ${title}`,
      ...rules.flatMap(([path, capabilities, why]) => [
        ...(why === undefined ? [] : [`# ${why}`]),
        `path "${prefix}${path}" { capabilities = [${capabilities.map((one) => `"${one}"`).join(', ')}] }`,
      ]),
    ].join('\n');
  return [
    '# For the login that runs `quorate separation export`. It reads who may do what, and no secret.',
    block('The root.', '', [...RULES, ...ROOT_RULES]),
    ...namespaces.map((path) => block(`The namespace ${path}.`, `${path}/`, RULES)),
    '',
  ].join('\n\n');
}

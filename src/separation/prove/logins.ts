import type { ExportedEntity } from '../model.ts';
import type { Credential, Evaluator } from './credential.ts';
import { type KnownEntity, keysOf, nameOf, type PlacedRole, type PolicyKey, type World } from './world.ts';

/**
 * What a login by a role gives: its policies alone, and with those of each entity that may be the one that logs in, where
 * that makes a difference.
 */
export function roleCredentials(world: World, evaluator: Evaluator, role: PlacedRole): readonly Credential[] {
  const { namespace } = role;
  const token = rolePolicies(world, role);
  const depends = token.some((key) => evaluator.dependsOnHolder(key));
  // A user's entity is known by its name, which spares looking at all.
  const here = role.kind === 'user' ? world.entitiesNamed(role.accessor, role.name) : world.entitiesAt(role.accessor);
  const entities = here
    .filter(({ policies }) => depends || policies.some((key) => evaluator.matters(key)))
    .filter(({ entity }) => !entity.disabled && canBe(entity, role));
  return [
    { namespace, token, identity: [] },
    ...entities.map((entity): Credential => ({ namespace, token, identity: entity.policies, entity })),
  ];
}

function rolePolicies(world: World, role: PlacedRole): readonly PolicyKey[] {
  // A user of a directory has what the groups have that this server puts it in.
  const groups =
    role.groups.length === 0
      ? []
      : world.roles.filter(
          ({ kind, mount, namespace, name }) =>
            kind === 'group' && mount === role.mount && namespace === role.namespace && role.groups.includes(name),
        );
  const names = [
    ...role.policies,
    ...groups.flatMap(({ policies }) => policies),
    ...(role.noDefault ? [] : ['default']),
  ];
  return [...new Set(keysOf(role.namespace, names))].sort();
}

/** Who an entity is without what its login adds. */
export function entityCredentials(entity: KnownEntity): readonly Credential[] {
  if (entity.entity.disabled) return [];
  const { namespace, policies } = entity;
  return [{ namespace, token: keysOf(namespace, ['default']), identity: policies, entity }];
}

/** Whether the entity can be the one that logs in by the role. What cannot be told apart can. */
function canBe({ aliases }: ExportedEntity, role: PlacedRole): boolean {
  return aliases.some((alias) => {
    if (alias.mountAccessor !== role.accessor) return false;
    const { bound } = role;
    switch (role.type) {
      case 'approle':
        return role.roleId === undefined || role.roleId === alias.name;
      case 'userpass':
      case 'radius':
        return same(alias.name, role.name);
      case 'ldap':
        return role.kind === 'group' || same(alias.name, role.name);
      case 'jwt':
      case 'oidc': {
        const subject = bound['bound_subject']?.[0];
        return subject === undefined || bound['user_claim']?.[0] !== 'sub' || alias.name === subject;
      }
      case 'kubernetes':
        return (
          fits(bound['bound_service_account_names'], alias.metadata['service_account_name']) &&
          fits(bound['bound_service_account_namespaces'], alias.metadata['service_account_namespace'])
        );
      default:
        return true;
    }
  });
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function fits(allowed: readonly string[] | undefined, value: string | undefined): boolean {
  return allowed === undefined || value === undefined || allowed.includes('*') || allowed.includes(value);
}

/**
 * What tokens a token role gives to somebody. Facts: OpenBao 2.7, resolveTokenPolicies and resolveEntityAlias in
 * internal/vault/token_store.go.
 */
export function tokenRoleCredentials(world: World, role: PlacedRole, maker: Credential): readonly Credential[] {
  const { namespace, token: rules } = role;
  if (rules === undefined) return [];
  const owner = rules.orphan || maker.entity === undefined ? {} : { entity: maker.entity };
  const identity = rules.orphan ? [] : maker.identity;
  const others = impersonated(world, rules.aliases, role);
  // Each policy alone: what another one denies can be left out.
  return tokenRolePolicies(world, role, maker).flatMap((key): readonly Credential[] => [
    { namespace, token: [key], identity, ...owner },
    ...others.map((entity) => ({ namespace, token: [key], identity: entity.policies, entity })),
  ]);
}

function tokenRolePolicies(world: World, role: PlacedRole, maker: Credential): readonly PolicyKey[] {
  const own = world.namespace(role.namespace);
  const there = keysOf(role.namespace, own?.policies.map(({ name }) => name) ?? []);
  // Without lists a part of what its maker has, as with auth/token/create.
  if (!hasLists(role)) return maker.namespace === role.namespace ? maker.token : [];
  return there.filter((key) => allowsPolicy(role, nameOf(key)));
}

/** Whether tokens by a token role can have a policy of that name, whatever its maker has. */
export function allowsPolicy(role: PlacedRole, name: string): boolean {
  const { token } = role;
  if (token === undefined || !hasLists(role)) return false;
  const { allowed, allowedGlobs, disallowed, disallowedGlobs } = token;
  if (disallowed.includes(name) || matchesAny(disallowedGlobs, name)) return false;
  return (
    (allowed.length === 0 && allowedGlobs.length === 0) || allowed.includes(name) || matchesAny(allowedGlobs, name)
  );
}

/** Whether a token role says itself which policies its tokens can have. */
export function hasLists({ token }: PlacedRole): boolean {
  if (token === undefined) return false;
  return [token.allowed, token.allowedGlobs, token.disallowed, token.disallowedGlobs].some((list) => list.length > 0);
}

/** Entities that a token by this role can belong to. */
function impersonated(world: World, aliases: readonly string[], role: PlacedRole): readonly KnownEntity[] {
  if (aliases.length === 0) return [];
  return world
    .entitiesAt(role.accessor)
    .filter(({ entity }) =>
      entity.aliases.some(
        (alias) => alias.mountAccessor === role.accessor && matchesAny(aliases, alias.name.toLowerCase()),
      ),
    );
}

/** As the server matches globs: `*` at the start, at the end or both, and in the middle. */
export function matchesAny(globs: readonly string[], text: string): boolean {
  return globs.some((glob) => {
    const pieces = glob.toLowerCase().split('*');
    if (pieces.length === 1) return pieces[0] === text;
    const pattern = pieces.map((piece) => piece.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('.*');
    return new RegExp(`^${pattern}$`, 's').test(text);
  });
}

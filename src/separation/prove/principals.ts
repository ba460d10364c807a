import { createHash } from 'node:crypto';
import type { ExportedEntity, ExportedToken } from '../model.ts';
import { CAN } from '../policy/parse.ts';
import type { Topology } from '../topology.ts';
import type { Credential, Evaluator } from './credential.ts';
import { entityCredentials } from './logins.ts';
import { type KnownEntity, keysOf, nameOf, namespaceOf, type PlacedRole, type PolicyKey, type World } from './world.ts';

export type PrincipalKind = 'root' | 'token' | 'role' | 'user' | 'entity' | 'group';

/** Somebody, or something, that can act on one cluster. */
export interface Principal {
  readonly cluster: string;
  readonly kind: PrincipalKind;
  /** `approle node-1`, `token 3v1oBVy4 (userpass-bob)`. */
  readonly name: string;
  readonly credentials: readonly Credential[];
  /** Whoever has one of these on another cluster too is the same. */
  readonly same: readonly string[];
  /** How to take away what it has, where no rule of a policy is to blame. */
  readonly mend?: string;
}

/** Logins that a name, as such, stands for one person everywhere. Service accounts of two Kubernetes clusters are two. */
const NAMED = new Set(['userpass', 'ldap', 'radius', 'kerberos', 'jwt', 'oidc', 'cert']);

/** All that can act on a cluster and whose policies can matter, or that have sudo anywhere; root tokens first. */
export function principalsOf(world: World, evaluator: Evaluator, topology: Topology): readonly Principal[] {
  const all = [
    ...tokens(world),
    ...world.roles
      .filter(({ kind }) => kind !== 'token')
      .map((role) => rolePrincipal(world, evaluator, topology, role)),
    ...world.entities().map((known) => entityPrincipal(world, known)),
    ...groups(world),
  ];
  return all.filter(
    (one) =>
      one.kind === 'root' || policiesOf(one).some((key) => evaluator.matters(key)) || sudoPaths(world, one).length > 0,
  );
}

function policiesOf({ credentials }: Principal): readonly PolicyKey[] {
  return [...new Set(credentials.flatMap(({ token, identity }) => [...token, ...identity]))];
}

/** Where somebody may act as `sudo`: its policies' rules, by path. */
export function sudoPaths(world: World, principal: Principal): readonly string[] {
  return policiesOf(principal).flatMap((key) =>
    (world.policies.get(key)?.rules ?? [])
      .filter(({ bits }) => (bits & CAN.sudo) !== 0)
      .map(({ namespace, path }) => namespace + path),
  );
}

/** Tokens that can do the same and come from the same place are one. */
function tokens(world: World): readonly Principal[] {
  const alike = new Map<string, { readonly credential: Credential; readonly tokens: ExportedToken[] }>();
  for (const token of world.export.tokens) {
    const credential = tokenCredential(world, token);
    if (credential === undefined) continue;
    const { namespace, token: own, identity } = credential;
    const key = [namespace, own.join(), identity.join(), token.path, token.entity ?? ''].join(' ');
    const there = alike.get(key);
    if (there === undefined) alike.set(key, { credential, tokens: [token] });
    else there.tokens.push(token);
  }
  return [...alike.values()].map(({ credential, tokens: some }): Principal => {
    const [first] = some;
    const root = credential.token.some((key) => nameOf(key) === 'root');
    const accessor = (first?.accessor ?? '').slice(0, 8);
    const more = some.length > 1 ? ` and ${(some.length - 1).toString()} more` : '';
    const display = first?.displayName === '' || first?.displayName === 'token' ? '' : ` (${first?.displayName ?? ''})`;
    return {
      cluster: world.export.cluster,
      kind: root ? 'root' : 'token',
      name: `${root ? 'root ' : ''}token ${accessor}${display}${more}`,
      credentials: [credential],
      same: credential.entity === undefined ? [] : entityKeys(world, credential.entity),
      mend: `revoke it: bao token revoke -accessor ${first?.accessor ?? 'ACCESSOR'}`,
    };
  });
}

/** Undefined for a token of an entity that is disabled, or not there: the server refuses it. */
function tokenCredential(world: World, token: ExportedToken): Credential | undefined {
  const own = [...keysOf(token.namespace, token.policies)].sort();
  const entity = token.entity === undefined ? undefined : world.entity(token.entity);
  if (entity?.entity.disabled === true) return undefined;
  const reported = [
    ...keysOf(token.namespace, token.identityPolicies),
    ...Object.entries(token.externalPolicies).flatMap(([id, names]) => keysOf(world.namespaceById(id) ?? id, names)),
  ];
  const identity = [...new Set([...(entity?.policies ?? []), ...reported])].sort();
  return { namespace: token.namespace, token: own, identity, ...(entity === undefined ? {} : { entity }) };
}

function rolePrincipal(world: World, evaluator: Evaluator, { wallets }: Topology, role: PlacedRole): Principal {
  const { namespace, mount, kind, name, type } = role;
  const nodes = wallets.flatMap((wallet) => wallet.nodes);
  const isNode = nodes.some(
    ({ cluster, namespace: own, login }) =>
      cluster === world.export.cluster &&
      own === namespace &&
      `${login?.mount ?? ''}/` === mount &&
      login?.role === name,
  );
  const where = mount.replace(/\/$/, '');
  return {
    cluster: world.export.cluster,
    kind: kind === 'user' ? 'user' : 'role',
    name: `${namespace}${where} ${kind === 'role' || kind === 'user' || kind === 'cert' ? '' : `${kind} `}${name}`,
    credentials: evaluator.login(role),
    // A node's own login is that node's, though all nodes call theirs the same.
    same: isNode ? [] : roleKeys(role, type),
  };
}

function roleKeys({ kind, name, bound }: PlacedRole, type: string): readonly string[] {
  if (kind === 'user') return [`person ${type} ${name.toLowerCase()}`];
  if (kind === 'group') return [`group ${name.toLowerCase()}`];
  // A secret id is good for one server.
  if (type === 'approle') return [];
  const bounds = Object.entries(bound).filter(([key]) => !key.endsWith('_claim'));
  const text = JSON.stringify(bounds.sort(([a], [b]) => a.localeCompare(b)));
  return [`login ${type} ${createHash('sha256').update(text).digest('hex')}`];
}

function entityPrincipal(world: World, known: KnownEntity): Principal {
  return {
    cluster: world.export.cluster,
    kind: 'entity',
    name: `${known.namespace}entity ${known.entity.name}`,
    credentials: entityCredentials(known),
    same: entityKeys(world, known),
  };
}

function entityKeys(world: World, { entity }: KnownEntity): readonly string[] {
  const types = accessorTypes(world);
  return [
    ...(isMadeUp(entity) ? [] : [`entity ${entity.name.toLowerCase()}`]),
    ...entity.aliases.flatMap(({ name, mountAccessor }) => {
      const type = types.get(mountAccessor) ?? '';
      return NAMED.has(type) ? [`person ${type} ${name.toLowerCase()}`] : [];
    }),
  ];
}

/** What the server calls an entity that it makes at a first login. */
function isMadeUp({ name }: ExportedEntity): boolean {
  return /^entity_[0-9a-f]{8}$/.test(name);
}

const knownTypes = new WeakMap<World, ReadonlyMap<string, string>>();

function accessorTypes(world: World): ReadonlyMap<string, string> {
  const known =
    knownTypes.get(world) ??
    new Map(world.export.namespaces.flatMap(({ auth }) => auth.map(({ accessor, type }) => [accessor, type] as const)));
  knownTypes.set(world, known);
  return known;
}

function groups(world: World): readonly Principal[] {
  return world.groups.map(({ group, namespace }): Principal => {
    const identity: readonly PolicyKey[] = world.groupPolicies(group.id);
    const names = [group.name, ...(group.alias === undefined ? [] : [group.alias.name])];
    return {
      cluster: world.export.cluster,
      kind: 'group',
      name: `${namespace}group ${group.name}${group.type === 'external' ? ' (external)' : ''}`,
      credentials: [{ namespace: namespaceOf(identity[0] ?? `${namespace}|`), token: [], identity }],
      same: names.map((name) => `group ${name.toLowerCase()}`),
    };
  });
}

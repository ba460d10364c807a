import { CAN } from '../policy/parse.ts';
import type { NodeRef, Topology, TopologyNode } from '../topology.ts';
import { type PathKind, pathKind } from './unify.ts';
import type { PlacedRole, World } from './world.ts';

/** What somebody can do to a node's share. */
export type Power = 'read' | 'overwrite' | 'destroy';

/** What a permission leads to. */
export type Effect =
  | { readonly kind: 'node'; readonly node: NodeRef; readonly power: Power }
  /** Every node whose store is in this namespace or below. */
  | { readonly kind: 'all'; readonly namespace: string; readonly powers: readonly Power[] }
  /** Gives itself whatever it wants there. */
  | { readonly kind: 'admin'; readonly namespace: string }
  /** Gives itself any policy that is there. */
  | { readonly kind: 'policies'; readonly namespace: string; readonly but?: PlacedRole }
  /** Writes the text of a policy. */
  | { readonly kind: 'writes'; readonly namespace: string; readonly name: string }
  /** Takes a policy away, and with it what it denies. */
  | { readonly kind: 'removes'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'login'; readonly role: PlacedRole }
  | { readonly kind: 'mount'; readonly accessor: string }
  | { readonly kind: 'entities'; readonly namespace: string }
  | { readonly kind: 'groups'; readonly namespace: string; readonly group?: string }
  /** Makes tokens with a part of its policies, or with others where it has sudo. */
  | { readonly kind: 'children'; readonly namespace: string; readonly orphan: boolean }
  | { readonly kind: 'role-token'; readonly role: PlacedRole }
  /** Makes a token role; good for something where it can use it. */
  | { readonly kind: 'token-role'; readonly namespace: string; readonly name: string }
  /** Makes a way to log in at this place; good for something where it can write below it. */
  | { readonly kind: 'new-login'; readonly namespace: string; readonly mount: string }
  /** Moves mounts to where other rules of its own reach them. */
  | { readonly kind: 'remount'; readonly namespace: string };

/** A kind of request that matters. */
export interface Target {
  readonly path: PathKind;
  /** Any of these `CAN` bits, and sudo besides where the server wants that. */
  readonly bits: number;
  readonly sudo?: true;
  /** One of them has to be let through. */
  readonly parameters?: readonly string[];
  /** Names that are there: rules can treat them in other ways than any name. */
  readonly names?: readonly string[];
  readonly effect: (name: string) => Effect | undefined;
}

const WRITE = CAN.create | CAN.update | CAN.patch;
const SET = CAN.create | CAN.update;
const ALL: readonly Power[] = ['read', 'overwrite', 'destroy'];
/** No login and no API changes these (OpenBao 2.7). */
const FIXED = new Set(['root', 'response-wrapping', 'control-group']);

/**
 * Every request that reaches a share on this cluster, or brings somebody nearer to one. Facts: OpenBao 2.7, the path
 * tables of `internal/vault` and of the auth methods, and what was tried on 2.7.2.
 */
export function targetsOf(world: World, { wallets }: Topology): readonly Target[] {
  const nodes = wallets.flatMap((wallet) =>
    wallet.nodes
      .filter((node) => node.cluster === world.export.cluster)
      .map((node) => ({ ...node, wallet: wallet.name })),
  );
  const mounts = [...new Map(nodes.map((node) => [`${node.namespace}|${node.mount}`, node])).values()];
  return [
    ...nodes.flatMap(shareTargets),
    ...mounts.flatMap((node) => mountTargets(node, nodes)),
    ...rootTargets(world),
    ...world.export.namespaces.flatMap(({ path }) => namespaceTargets(world, path)),
  ];
}

/** The store of `kvStore`: envelopes hold the shares; the statements beside them are public. */
function shareTargets(node: TopologyNode & { readonly wallet: string }): readonly Target[] {
  const base = `${node.namespace}${node.mount}`;
  const entry = `${node.wallet}/envelopes`;
  const ref = { wallet: node.wallet, node: node.name };
  const on = (path: string, bits: number, power: Power): Target => ({
    path: pathKind(`${base}/${path}`),
    bits,
    effect: () => ({ kind: 'node', node: ref, power }),
  });
  return [
    on(`data/${entry}`, CAN.read, 'read'),
    // To create is no more than to add what is not there.
    on(`data/${entry}`, CAN.update | CAN.patch, 'overwrite'),
    on(`data/${entry}`, CAN.delete, 'destroy'),
    on(`delete/${entry}`, SET, 'destroy'),
    on(`destroy/${entry}`, SET, 'destroy'),
    on(`metadata/${entry}`, CAN.delete, 'destroy'),
    // Its largest number of versions, and a time after which they go.
    on(`metadata/${entry}`, WRITE, 'destroy'),
  ];
}

function mountTargets(
  { namespace, mount, cluster }: TopologyNode,
  nodes: readonly (TopologyNode & { readonly wallet: string })[],
): readonly Target[] {
  const inside = nodes.filter((one) => one.cluster === cluster && one.namespace === namespace && one.mount === mount);
  return inside.flatMap(({ wallet, name }) => {
    const effect = (): Effect => ({ kind: 'node', node: { wallet, node: name }, power: 'destroy' });
    return [
      { path: pathKind(`${namespace}${mount}/config`), bits: SET, effect },
      { path: pathKind(`${namespace}sys/mounts/${mount}`), bits: CAN.delete, effect },
      { path: pathKind(`${namespace}sys/mounts/${mount}/tune`), bits: SET, effect },
    ];
  });
}

function rootTargets({ export: { server, namespaces } }: World): readonly Target[] {
  const all = (path: string, bits: number, powers: readonly Power[], sudo = true): Target => ({
    path: pathKind(path),
    bits,
    ...(sudo ? { sudo: true as const } : {}),
    effect: () => ({ kind: 'all', namespace: '', powers }),
  });
  // A setting that could not be read is taken for the dangerous one.
  const raw =
    server?.rawStorage === false
      ? []
      : [all('sys/raw/{...}', CAN.read, ['read']), all('sys/raw/{...}', WRITE | CAN.delete, ['overwrite', 'destroy'])];
  const audit = server?.auditByApi === false ? [] : [all('sys/audit/{...}', SET, ['read'])];
  return [
    ...raw,
    ...audit,
    all('sys/storage/raft/snapshot', SET, ['overwrite', 'destroy'], false),
    all('sys/storage/raft/snapshot-force', SET, ['overwrite', 'destroy'], false),
    all('sys/plugins/catalog/{...}', SET, ALL),
    ...namespaces.flatMap(({ path }): readonly Target[] => {
      const inside = namespaces.filter((one) => one.path.startsWith(path) && one.path !== path);
      return inside.flatMap((one) => {
        const below = one.path.slice(path.length, -1);
        const effect = (): Effect => ({ kind: 'all', namespace: one.path, powers: ['destroy'] });
        return [
          { path: pathKind(`${path}sys/namespaces/${below}`), bits: CAN.delete, effect },
          { path: pathKind(`${path}sys/namespaces/${below}/delete-sealed`), bits: SET | CAN.delete, effect },
        ];
      });
    }),
  ];
}

function namespaceTargets(world: World, namespace: string): readonly Target[] {
  const own = world.namespace(namespace);
  if (own === undefined) return [];
  const at = (path: string): PathKind => pathKind(namespace + path);
  const policyNames = own.policies.map(({ name }) => name);
  const writes = (name: string): Effect | undefined =>
    FIXED.has(name) ? undefined : { kind: 'writes', namespace, name };
  const removes = (name: string): Effect => ({ kind: 'removes', namespace, name });
  const policies = (): Effect => ({ kind: 'policies', namespace });
  const groups = (): Effect => ({ kind: 'groups', namespace });
  const entities = (): Effect => ({ kind: 'entities', namespace });
  const groupTargets = own.groups.flatMap(({ id, name }) =>
    [`identity/group/id/${id}`, `identity/group/name/${name}`].map((path): Target => {
      const effect = (): Effect => ({ kind: 'groups', namespace, group: id });
      return { path: at(path), bits: SET, parameters: ['member_entity_ids', 'member_group_ids'], effect };
    }),
  );
  return [
    ...['sys/policies/acl/{...}', 'sys/policy/{...}'].flatMap((path): readonly Target[] => [
      { path: at(path), bits: SET, parameters: ['policy', 'rules'], names: policyNames, effect: writes },
      { path: at(path), bits: CAN.delete, names: policyNames, effect: removes },
    ]),
    ...['entity', 'entity/id/{}', 'entity/name/{...}', 'group', 'group/id/{}', 'group/name/{...}'].map(
      (path): Target => ({ path: at(`identity/${path}`), bits: SET, parameters: ['policies'], effect: policies }),
    ),
    { path: at('identity/group'), bits: SET, parameters: ['member_entity_ids', 'member_group_ids'], effect: groups },
    ...groupTargets,
    ...['group-alias', 'group-alias/id/{}'].map((path): Target => ({
      path: at(`identity/${path}`),
      bits: SET,
      effect: groups,
    })),
    ...['entity-alias', 'entity-alias/id/{}', 'entity/merge'].map((path): Target => ({
      path: at(`identity/${path}`),
      bits: SET,
      effect: entities,
    })),
    { path: at('sys/auth/{...}'), bits: SET, sudo: true, effect: (mount) => ({ kind: 'new-login', namespace, mount }) },
    { path: at('sys/remount'), bits: SET, sudo: true, effect: () => ({ kind: 'remount', namespace }) },
    ...own.auth.flatMap((mount) => loginTargets(world, namespace, mount)),
  ];
}

function loginTargets(
  world: World,
  namespace: string,
  { path, type, accessor }: { readonly path: string; readonly type: string; readonly accessor: string },
): readonly Target[] {
  const at = (below: string): PathKind => pathKind(`${namespace}auth/${path}${below}`);
  const roles = world.roles.filter((role) => role.namespace === namespace && role.mount === path);
  const names = roles.map(({ name }) => name);
  const policies = (): Effect => ({ kind: 'policies', namespace });
  const config = (): Effect => ({ kind: 'mount', accessor });
  /** Writing what hands out policies, and what belongs to it. */
  const sets = (below: string, also: readonly string[] = []): readonly Target[] => [
    { path: at(below), bits: WRITE, parameters: ['token_policies', 'policies'], names, effect: policies },
    ...also.map((end): Target => ({ path: at(`${below}/${end}`), bits: WRITE, names, effect: policies })),
  ];
  const enters = (below: string, bits = SET): readonly Target[] =>
    roles.map((role) => ({ path: at(below.replace('{}', role.name)), bits, effect: () => ({ kind: 'login', role }) }));
  switch (type) {
    case 'token':
      return [
        { path: at('create'), bits: SET, effect: () => ({ kind: 'children', namespace, orphan: false }) },
        { path: at('create-orphan'), bits: SET, effect: () => ({ kind: 'children', namespace, orphan: true }) },
        ...roles.map((role): Target => ({
          path: at(`create/${role.name}`),
          bits: SET,
          effect: () => ({ kind: 'role-token', role }),
        })),
        { path: at('roles/{}'), bits: WRITE, names, effect: (name) => ({ kind: 'token-role', namespace, name }) },
      ];
    case 'approle':
      return [
        ...sets('role/{}', ['policies']),
        ...enters('role/{}'),
        ...enters('role/{}/secret-id'),
        ...enters('role/{}/custom-secret-id'),
        ...enters('role/{}/bind-secret-id', SET | CAN.delete),
      ];
    case 'userpass':
      return [...sets('users/{}', ['policies']), ...enters('users/{}/password'), ...enters('users/{}')];
    case 'ldap':
    case 'radius':
      return [...sets('users/{...}'), ...sets('groups/{...}'), { path: at('config'), bits: WRITE, effect: config }];
    case 'kerberos':
      return [
        ...sets('groups/{...}'),
        { path: at('config'), bits: WRITE, effect: config },
        { path: at('config/ldap'), bits: WRITE, effect: config },
      ];
    case 'jwt':
    case 'oidc':
      return [
        ...sets('role/{}'),
        ...enters('role/{}'),
        ...sets('cel/role/{}').map(withoutParameters),
        { path: at('config'), bits: WRITE, effect: config },
      ];
    case 'kubernetes':
      return [...sets('role/{}'), ...enters('role/{}'), { path: at('config'), bits: WRITE, effect: config }];
    case 'cert':
      return [...sets('certs/{}'), ...enters('certs/{}')];
    default:
      // What it does with what is written there is not known.
      return [
        { path: at('{...}'), bits: WRITE, effect: (name) => (name.startsWith('login') ? undefined : policies()) },
      ];
  }
}

/** A program says what it hands out, by no parameter of that name. */
function withoutParameters({ parameters: _, ...target }: Target): Target {
  return target;
}

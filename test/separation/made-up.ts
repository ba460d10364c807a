import type { ExportedNamespace, ExportedRole, SeparationExport } from '../../src/separation/model.ts';
import type { Topology, TopologyNode } from '../../src/separation/topology.ts';

/** The same numbers for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const DEFAULT_POLICY = `path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "identity/entity/id/{{identity.entity.id}}" { capabilities = ["read"] }
path "identity/entity/name/{{identity.entity.name}}" { capabilities = ["read"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
path "sys/tools/hash/*" { capabilities = ["update"] }
path "identity/oidc/provider/+/authorize" { capabilities = ["read", "update"] }
`;

export const rule = (path: string, ...words: readonly string[]): string =>
  `path "${path}" { capabilities = ${JSON.stringify(words)} }\n`;

type Mutable<T> = T extends readonly (infer E)[] ? E[] : T extends object ? { -readonly [K in keyof T]: T[K] } : T;

/** A cluster that is put together step by step, as an export tells it. */
export class MadeUpCluster {
  readonly export: Mutable<SeparationExport>;
  readonly #namespaces = new Map<string, ExportedNamespace>();
  #count = 0;

  constructor(name: string, id: string) {
    this.export = {
      format: 'quorate-separation/1',
      cluster: name,
      clusterId: id,
      flavour: 'openbao',
      version: '2.7.2',
      from: '2027-01-12T10:00:00.000Z',
      to: '2027-01-12T10:00:05.000Z',
      scope: '',
      seal: { type: 'shamir', shares: 5, threshold: 3 },
      server: { rawStorage: false, auditByApi: false },
      audit: [{ path: 'main/', type: 'file' }],
      namespaces: [],
      tokens: [],
      unread: [],
    };
    this.namespace('');
  }

  /** That namespace, made where it is not there. */
  namespace(path: string): ExportedNamespace {
    const known = this.#namespaces.get(path);
    if (known !== undefined) return known;
    const accessor = (type: string): string => `auth_${type}_${path.replace('/', '')}_${this.export.cluster}`;
    const made: ExportedNamespace = {
      path,
      id: path === '' ? 'root' : `id-${path}`,
      seal: null,
      policies: [],
      mounts: [],
      auth: ['token', 'approle', 'userpass', 'jwt', 'ldap', 'cert', 'kubernetes'].map((type) => ({
        path: `${type}/`,
        type,
        accessor: accessor(type),
        options: {},
      })),
      roles: [],
      entities: [],
      groups: [],
    };
    this.#namespaces.set(path, made);
    this.export.namespaces.push(made);
    this.policy('default', DEFAULT_POLICY, path);
    this.kv('secret', path);
    return made;
  }

  kv(mount: string, namespace = ''): void {
    const options = { version: '2' };
    this.namespace(namespace).mounts.push({ path: `${mount}/`, type: 'kv', accessor: this.id('kv'), options });
  }

  policy(name: string, text: string, namespace = ''): string {
    const { policies } = this.namespace(namespace);
    const there = policies.findIndex((one) => one.name === name);
    if (there >= 0) policies.splice(there, 1);
    policies.push({ name, text, slashes: false, wildcards: false });
    return name;
  }

  role(
    mount: string,
    name: string,
    policies: readonly string[],
    more: Partial<ExportedRole> = {},
    namespace = '',
  ): void {
    const kind = { userpass: 'user', ldap: 'user', cert: 'cert', token: 'token' }[mount] ?? 'role';
    this.namespace(namespace).roles.push({
      mount: `${mount}/`,
      kind: kind as ExportedRole['kind'],
      name,
      policies: [...policies],
      noDefault: false,
      open: false,
      bound: mount === 'jwt' ? { bound_subject: [name], user_claim: ['sub'] } : {},
      groups: [],
      ...more,
    });
  }

  tokenRole(name: string, token: Partial<NonNullable<ExportedRole['token']>>, namespace = ''): void {
    const none = { allowed: [], allowedGlobs: [], disallowed: [], disallowedGlobs: [], aliases: [], orphan: false };
    this.role('token', name, [], { token: { ...none, ...token } }, namespace);
  }

  /** Somebody who logs in as a user of `userpass`: the id of the entity. */
  person(name: string, policies: readonly string[] = [], own: readonly string[] = [], namespace = ''): string {
    const { entities, auth, roles } = this.namespace(namespace);
    const known = entities.find((one) => one.name === name);
    if (known !== undefined) {
      known.policies.push(...own);
      roles.find((role) => role.kind === 'user' && role.name === name)?.policies.push(...policies);
      return known.id;
    }
    this.role('userpass', name, policies, {}, namespace);
    const id = this.id('entity');
    const mountAccessor = auth.find(({ type }) => type === 'userpass')?.accessor ?? '';
    entities.push({
      id,
      name,
      disabled: false,
      policies: [...own],
      metadata: {},
      aliases: [{ id: this.id('alias'), name, mountAccessor, metadata: {}, customMetadata: {} }],
      merged: [],
    });
    return id;
  }

  group(
    name: string,
    policies: readonly string[],
    entities: readonly string[],
    groups: readonly string[] = [],
  ): string {
    const id = this.id('group');
    this.namespace('').groups.push({
      id,
      name,
      type: 'internal',
      policies: [...policies],
      metadata: {},
      entities: [...entities],
      groups: [...groups],
    });
    return id;
  }

  token(policies: readonly string[], entity?: string, namespace = ''): void {
    this.export.tokens.push({
      accessor: this.id('accessor'),
      namespace,
      displayName: 'token',
      path: 'auth/token/create',
      policies: [...policies],
      identityPolicies: [],
      externalPolicies: {},
      ...(entity === undefined ? {} : { entity }),
      type: 'service',
      ttl: 3600,
      uses: 0,
    });
  }

  id(what: string): string {
    this.#count += 1;
    return `${what}-${this.export.cluster}-${this.#count.toString()}`;
  }
}

/** Clusters, and the wallet whose shares are on them. */
export interface MadeUpWorld {
  readonly clusters: readonly MadeUpCluster[];
  readonly topology: Topology;
  readonly threshold: number;
  readonly nodes: readonly TopologyNode[];
}

const REGIONS = ['north', 'south', 'east', 'west', 'middle'];
export const WALLET = 'treasury';
export const ENTRY = `${WALLET}/envelopes`;

/** A wallet as it should be: each node with a cluster, a mount, a policy and a login of its own. */
export function madeUpWorld(next: () => number): MadeUpWorld {
  const count = 2 + Math.floor(next() * 4);
  const threshold = 2 + Math.floor(next() * (count - 1));
  const clusters = REGIONS.slice(0, count).map(
    (region, index) =>
      new MadeUpCluster(`prod-${region}`, `84980d23-701a-421c-8e95-1936219b6c${(10 + index).toString()}`),
  );
  const nodes = clusters.map((cluster, index): TopologyNode => {
    const name = REGIONS[index] ?? '';
    const namespace = next() < 0.3 ? 'mpc-team/' : '';
    const role = next() < 0.5 ? 'mpc-node' : `${WALLET}-${name}`;
    cluster.kv('mpc', namespace);
    const policy = [
      rule(`mpc/data/${ENTRY}`, 'create', 'read', 'update'),
      rule(`mpc/data/${WALLET}/statements`, 'create', 'read', 'update'),
      rule(`mpc/destroy/${ENTRY}`, 'deny'),
    ].join('');
    cluster.policy(`quorate-shares-${WALLET}-${name}`, policy, namespace);
    const own = next() < 0.5 ? 'approle' : 'kubernetes';
    cluster.role(own, role, [`quorate-shares-${WALLET}-${name}`], { noDefault: true }, namespace);
    return { name, cluster: cluster.export.cluster, namespace, mount: 'mpc', login: { mount: own, role } };
  });
  const custodians = nodes.map(({ cluster }) => ({
    cluster,
    namespace: '',
    threshold: 3,
    holders: Array.from({ length: 5 }, (_, index) => ({
      name: `Custodian ${index.toString()} of ${cluster}`,
      keys: [],
    })),
  }));
  const wallets = [{ name: WALLET, threshold, acceptSharedRoot: false, nodes }];
  return { clusters, topology: { wallets, custodians }, threshold, nodes };
}

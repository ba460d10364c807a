import type { MadeUpCluster } from './made-up.ts';
import { ENTRY, rule, WALLET } from './made-up.ts';

/** Where a node keeps its share. */
export interface Place {
  readonly cluster: MadeUpCluster;
  /** `mpc-team/`, empty for the root. */
  readonly namespace: string;
  readonly node: string;
  /** The name and mount of the node's own login. */
  readonly login: { readonly mount: string; readonly role: string };
}

/** Gives somebody a way to a node's share. What they get is `reads` or `harms`; `by` stands in the way that is found. */
export interface Seed {
  readonly what: string;
  readonly gives: 'reads' | 'harms';
  readonly by: string;
  readonly plant: (place: Place, who: string) => void;
}

const shares = (namespace: string, what = 'data'): string => `${namespace}mpc/${what}/${ENTRY}`;

/** A policy of the root that the person has by the login. */
function give({ cluster }: Place, who: string, ...rules: readonly string[]): void {
  const name = cluster.policy(cluster.id('planted'), rules.join(''));
  cluster.person(who, [name]);
}

/** A policy inside the namespace of the share that nobody has but by a step. */
function loose({ cluster, namespace }: Place): string {
  return cluster.policy(cluster.id('loose'), rule(`mpc/data/${ENTRY}`, 'read'), namespace);
}

const reading = (what: string, by: string, plant: Seed['plant']): Seed => ({ what, gives: 'reads', by, plant });
const harming = (what: string, by: string, plant: Seed['plant']): Seed => ({ what, gives: 'harms', by, plant });

export const SEEDS: readonly Seed[] = [
  reading('the exact path', 'reads', (at, who) => {
    give(at, who, rule(shares(at.namespace), 'read'));
  }),
  reading('a glob', 'reads', (at, who) => {
    give(at, who, rule(`${at.namespace}mpc*`, 'read'));
  }),
  reading('everything', 'reads', (at, who) => {
    give(at, who, rule('*', 'read'));
  }),
  reading('+ for the mount', 'reads', (at, who) => {
    give(at, who, rule(`${at.namespace}+/data/${ENTRY}`, 'read'));
  }),
  reading('+ for the wallet, and a glob', 'reads', (at, who) => {
    give(at, who, rule(`${at.namespace}mpc/+/${WALLET}/e*`, 'read'));
  }),
  reading('an exact path below a deny', 'reads', (at, who) => {
    give(at, who, rule(`${at.namespace}mpc/*`, 'deny'), rule(shares(at.namespace), 'read'));
  }),
  reading('a longer + below a deny with +', 'reads', (at, who) => {
    give(at, who, rule(`${at.namespace}+/data/${ENTRY}`, 'deny'), rule(`${at.namespace}mpc/+/${ENTRY}`, 'read'));
  }),
  reading('a policy of old words', 'reads', (at, who) => {
    give(at, who, `path "${shares(at.namespace)}" { policy = "read" }\n`);
  }),
  reading('a policy in JSON', 'reads', ({ cluster, namespace }, who) => {
    const text = JSON.stringify({ path: { [`${namespace}mpc/data/*`]: { capabilities: ['read', 'list'] } } });
    cluster.person(who, [cluster.policy(cluster.id('json'), text)]);
  }),
  reading('a policy of the entity', 'reads', ({ cluster, namespace }, who) => {
    cluster.person(who, [], [cluster.policy(cluster.id('own'), rule(shares(namespace), 'read'))]);
  }),
  reading('a group', 'reads', ({ cluster, namespace }, who) => {
    cluster.group(
      cluster.id('team'),
      [cluster.policy(cluster.id('team'), rule(shares(namespace), 'read'))],
      [cluster.person(who)],
    );
  }),
  reading('a nested group', 'reads', ({ cluster, namespace }, who) => {
    const inner = cluster.group(cluster.id('inner'), [], [cluster.person(who)]);
    const middle = cluster.group(cluster.id('middle'), [], [], [inner]);
    cluster.group(
      cluster.id('outer'),
      [cluster.policy(cluster.id('outer'), rule(`${namespace}mpc/*`, 'read'))],
      [],
      [middle],
    );
  }),
  reading('a template', 'reads', ({ cluster, namespace }, who) => {
    cluster.person(who, [
      cluster.policy(
        cluster.id('templated'),
        rule(`${namespace}mpc/data/{{identity.entity.metadata.wallet}}/envelopes`, 'read'),
      ),
    ]);
    Object.assign(cluster.namespace('').entities.find(({ name }) => name === who)?.metadata ?? {}, { wallet: WALLET });
  }),
  reading('writing policies', 'sys/policies/acl', (at, who) => {
    give(at, who, rule(`${at.namespace}sys/policies/acl/*`, 'create', 'update'));
  }),
  reading('writing one policy that a node has', 'sys/policies/acl', (at, who) => {
    give(at, who, rule(`${at.namespace}sys/policies/acl/quorate-shares-*`, 'update'));
  }),
  reading('writing policies by the old path', 'sys/policy', (at, who) => {
    give(at, who, rule(`${at.namespace}sys/policy/+`, 'update'));
  }),
  reading('writing the default policy', 'sys/policies/acl/default', (at, who) => {
    give(at, who, rule(`${at.namespace}sys/policies/acl/default`, 'update'));
  }),
  reading('tokens with sudo', 'auth/token/create', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}auth/token/create`, 'update', 'sudo'));
  }),
  reading('orphans with sudo', 'auth/token/create', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}auth/token/create*`, 'update', 'sudo'));
  }),
  reading('a token role', 'auth/token/create/', (at, who) => {
    at.cluster.tokenRole('lender', { allowed: [loose(at)] }, at.namespace);
    give(at, who, rule(`${at.namespace}auth/token/create/lender`, 'update'));
  }),
  reading('a token role with a glob', 'auth/token/create/', (at, who) => {
    loose(at);
    at.cluster.tokenRole('lender', { allowedGlobs: ['loose-*'] }, at.namespace);
    give(at, who, rule(`${at.namespace}auth/token/create/*`, 'create', 'update'));
  }),
  reading('a token role that refuses little', 'auth/token/create/', (at, who) => {
    loose(at);
    at.cluster.tokenRole('lender', { disallowed: ['default'] }, at.namespace);
    give(at, who, rule(`${at.namespace}auth/token/create/lender`, 'update'));
  }),
  reading('writing token roles', 'auth/token/roles', (at, who) => {
    loose(at);
    give(
      at,
      who,
      rule(`${at.namespace}auth/token/roles/x-*`, 'create', 'update'),
      rule(`${at.namespace}auth/token/create/x-*`, 'update'),
    );
  }),
  reading("a node's secret id", '/secret-id', (at, who) => {
    at.cluster.role('approle', 'spare', [loose(at)], {}, at.namespace);
    give(at, who, rule(`${at.namespace}auth/approle/role/spare/secret-id`, 'update'));
  }),
  reading('secret ids of all', 'secret-id', (at, who) => {
    at.cluster.role('approle', 'spare', [loose(at)], {}, at.namespace);
    give(at, who, rule(`${at.namespace}auth/approle/role/+/custom-secret-id`, 'create', 'update'));
  }),
  reading('writing an AppRole', 'auth/approle/role', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}auth/approle/role/*`, 'create', 'update'));
  }),
  reading('the policies of an AppRole', '/policies', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}auth/approle/role/+/policies`, 'update'));
  }),
  reading('writing users', 'auth/userpass/users', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}auth/userpass/users/*`, 'create', 'update'));
  }),
  reading("another's password", '/password', (at, who) => {
    at.cluster.person('victim', [loose(at)], [], at.namespace);
    give(at, who, rule(`${at.namespace}auth/userpass/users/victim/password`, 'update'));
  }),
  reading('roles of JWTs', 'auth/jwt/role', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}auth/jwt/role/ci`, 'create', 'update'));
  }),
  reading('the issuer of JWTs', 'auth/jwt/config', (at, who) => {
    at.cluster.role('jwt', 'spare', [loose(at)], {}, at.namespace);
    give(at, who, rule(`${at.namespace}auth/jwt/config`, 'update'));
  }),
  reading('groups of a directory', 'auth/ldap/groups', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}auth/ldap/groups/*`, 'update'));
  }),
  reading('certificates', 'auth/cert/certs', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}auth/cert/certs/new`, 'create'));
  }),
  reading('roles of Kubernetes', '/role/', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}auth/+/role/+`, 'create', 'update'));
  }),
  reading('a new way to log in', 'sys/auth', (at, who) => {
    loose(at);
    give(
      at,
      who,
      rule(`${at.namespace}sys/auth/mine`, 'create', 'update', 'sudo'),
      rule(`${at.namespace}auth/mine/*`, 'create', 'update'),
    );
  }),
  reading('writing entities', 'identity/entity', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}identity/entity/id/*`, 'update'));
  }),
  reading('its own entity', 'identity/entity', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}identity/entity/name/{{identity.entity.name}}`, 'update'));
  }),
  reading('writing groups', 'identity/group', (at, who) => {
    loose(at);
    give(at, who, rule(`${at.namespace}identity/group`, 'create', 'update'));
  }),
  reading('aliases of others', 'identity/entity-alias', (at, who) => {
    at.cluster.person('victim', [], [loose(at)], at.namespace);
    give(at, who, rule(`${at.namespace}identity/entity-alias`, 'create', 'update'));
  }),
  reading('moving mounts', 'sys/remount', (at, who) => {
    give(at, who, rule(`${at.namespace}sys/remount`, 'update', 'sudo'), rule(`${at.namespace}apps/*`, 'read'));
  }),
  reading('raw storage', 'sys/raw', (at, who) => {
    Object.assign(at.cluster.export, { server: null });
    give(at, who, rule('sys/raw/*', 'read', 'sudo'));
  }),
  reading('plugins', 'sys/plugins/catalog', (at, who) => {
    give(at, who, rule('sys/plugins/catalog/*', 'update', 'sudo'));
  }),
  reading('a token without what denies', 'auth/token/create', (at, who) => {
    const { cluster, namespace } = at;
    const both = [rule(`${namespace}mpc/*`, 'read'), rule(shares(namespace), 'deny')].map((text) =>
      cluster.policy(cluster.id('half'), text),
    );
    cluster.person(who, [...both, cluster.policy(cluster.id('maker'), rule('auth/token/create', 'update'))]);
  }),
  reading('deleting what denies', 'deletes', (at, who) => {
    const { cluster, namespace } = at;
    const denier = cluster.policy(cluster.id('denier'), rule(shares(namespace), 'deny'));
    cluster.person(who, [denier]);
    give(at, who, rule(`${namespace}mpc/*`, 'read'), rule(`sys/policies/acl/${denier}`, 'delete'));
  }),
  harming('overwriting', 'overwrites', (at, who) => {
    give(at, who, rule(shares(at.namespace), 'update'));
  }),
  harming('patching', 'overwrites', (at, who) => {
    give(at, who, rule(`${at.namespace}mpc/data/*`, 'patch'));
  }),
  harming('deleting', 'destroys', (at, who) => {
    give(at, who, rule(shares(at.namespace, 'delete'), 'update'));
  }),
  harming('destroying versions', 'destroys', (at, who) => {
    give(at, who, rule(`${at.namespace}mpc/destroy/+/envelopes`, 'update'));
  }),
  harming('metadata', 'destroys', (at, who) => {
    give(at, who, rule(`${at.namespace}mpc/metadata/*`, 'delete'));
  }),
  harming('the number of versions', 'destroys', (at, who) => {
    give(at, who, rule(`${at.namespace}mpc/config`, 'update'));
  }),
  harming('unmounting', 'sys/mounts/mpc', (at, who) => {
    give(at, who, rule(`${at.namespace}sys/mounts/*`, 'delete'));
  }),
  harming('an older snapshot', 'snapshot', (at, who) => {
    give(at, who, rule('sys/storage/raft/snapshot-force', 'update'));
  }),
  harming('moving the mount away', 'sys/remount', (at, who) => {
    give(at, who, rule(`${at.namespace}sys/remount`, 'update', 'sudo'));
  }),
];

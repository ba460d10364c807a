import { type MadeUpCluster, type MadeUpWorld, ENTRY, rule, WALLET } from './made-up.ts';

/** The ceremony login of `ceremonies/init.yaml`, in short: on every cluster, and nobody's way to a share. */
const CEREMONY = [
  rule('sys/rotate/root/*', 'create', 'read', 'update', 'delete'),
  rule('sys/generate-root-token/*', 'create', 'read', 'update', 'delete'),
  rule('auth/token/accessors', 'list', 'sudo'),
  rule('auth/token/revoke-accessor', 'create', 'update', 'sudo'),
  rule('quorate/data/ceremony-lock', 'create', 'read', 'update'),
  rule('sys/storage/raft/snapshot', 'read'),
  rule('sys/policies/acl/*', 'read'),
  rule('sys/auth/*', 'read', 'sudo'),
  rule('sys/seal', 'create', 'update', 'sudo'),
].join('');

/** What looks like a way to a share and is none. The same people have it on every cluster. */
const HARMLESS: readonly ((cluster: MadeUpCluster, namespace: string) => void)[] = [
  (cluster, at) => {
    hand(cluster, rule(`${at}mpc/*`, 'read', 'list'), rule(`${at}mpc/data/${ENTRY}`, 'deny'));
  },
  (cluster, at) => {
    hand(cluster, rule(`${at}mpc/data/${WALLET}/statements`, 'read', 'update'));
  },
  (cluster, at) => {
    hand(cluster, rule(`${at}mpc/metadata/*`, 'read', 'list'));
  },
  (cluster, at) => {
    hand(cluster, rule(`${at}+/data/${ENTRY}`, 'read'), rule(`${at}mpc/+/${ENTRY}`, 'deny'));
  },
  (cluster, at) => {
    hand(cluster, rule(`${at}mpc/data/${WALLET}`, 'read'), rule(`${at}mpc/data/${ENTRY}/x`, 'read'));
  },
  (cluster, at) => {
    hand(cluster, rule(`${at}mpc/data/other/*`, 'read', 'update', 'delete'));
  },
  (cluster) => {
    hand(cluster, rule('secret/*', 'create', 'read', 'update', 'delete', 'list'));
  },
  (cluster) => {
    hand(cluster, rule('auth/token/create', 'create', 'update'));
  },
  (cluster, at) => {
    // A policy that nobody has, and nobody can take.
    hand(cluster, rule(`${at}sys/policies/acl/draft-*`, 'create', 'update', 'delete'));
  },
  (cluster, at) => {
    hand(
      cluster,
      `path "${at}sys/policies/acl/*" {
      capabilities = ["update"]
      denied_parameters = { "policy" = [] "rules" = [] }
    }\n`,
    );
  },
  (cluster) => {
    cluster.role('approle', 'web', [cluster.policy('web', rule('secret/data/web', 'read'))]);
    hand(
      cluster,
      rule('auth/approle/role/web/secret-id', 'update'),
      rule('auth/approle/role/+/secret-id/lookup', 'update'),
    );
  },
  (cluster) => {
    cluster.tokenRole('batch', { allowed: ['default'] });
    hand(cluster, rule('auth/token/create/batch', 'update'));
  },
  (cluster) => {
    // Without sudo these do nothing.
    hand(cluster, rule('sys/raw/*', 'read'), rule('sys/remount', 'update'), rule('sys/plugins/catalog/*', 'update'));
  },
  (cluster) => {
    // The raw endpoint is off.
    hand(cluster, rule('sys/raw/*', 'read', 'sudo'));
  },
  (cluster, at) => {
    hand(cluster, rule(`${at}mpc/data/${ENTRY}`, 'list', 'create'));
  },
  (cluster, at) => {
    // Only for who is called so, and nobody is.
    hand(cluster, rule(`${at}mpc/data/{{identity.entity.metadata.wallet}}/envelopes`, 'read'));
  },
  (cluster, at) => {
    const expired = `path "${at}mpc/data/${ENTRY}" { capabilities = ["read"] expiration = "2026-01-01T00:00:00Z" }\n`;
    hand(cluster, expired);
  },
];

let planted = 0;

/** To somebody who is on every cluster. */
function hand(cluster: MadeUpCluster, ...rules: readonly string[]): void {
  planted += 1;
  const name = cluster.policy(cluster.id(`harmless-${planted.toString()}`), rules.join(''));
  cluster.person('everywhere', [name]);
}

/** Puts into a clean world what clean worlds have. */
export function addNoise({ clusters, nodes }: MadeUpWorld, next: () => number): void {
  // What does without another's rules can be given together; what denies cannot, for a deny would hide a fault.
  const kind = HARMLESS[Math.floor(next() * HARMLESS.length)];
  for (const [index, cluster] of clusters.entries()) {
    const namespace = nodes[index]?.namespace ?? '';
    cluster.policy('ceremony', CEREMONY);
    cluster.role('approle', 'ceremony', ['ceremony']);
    kind?.(cluster, namespace);
    // Each region has an administrator of its own, who may do everything there.
    const region = nodes[index]?.name ?? '';
    cluster.policy('admin', rule('*', 'create', 'read', 'update', 'delete', 'list', 'sudo'));
    const admin = cluster.person(`admin-${region}`, next() < 0.5 ? ['admin'] : []);
    cluster.group(`admins-${region}`, ['admin'], [admin]);
    for (let count = Math.floor(next() * 4); count > 0; count -= 1) {
      const name = `app-${count.toString()}`;
      cluster.role('jwt', name, [cluster.policy(name, rule(`secret/data/${name}/*`, 'read'))]);
      cluster.token([name, 'default']);
    }
    if (next() < 0.3) cluster.token(['root']);
  }
}

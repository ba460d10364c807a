import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CeremonySetting } from '../../src/ceremony/engine.ts';
import type { Roster } from '../../src/ceremony/roster/schema.ts';
import { fingerprintShare } from '../../src/ceremony/share.ts';
import { Secret } from '../../src/secret.ts';
import { enterNamespace, type LogIn } from '../../src/vault/namespace.ts';
import type { Peer } from '../../src/vault/peer.ts';
import { callPeer, leaderIndex, type LiveCluster } from './cluster.ts';
import { at } from './http.ts';
import { share } from './rotation.ts';
import { waitUntil } from './wait.ts';

/** A namespace with a seal of its own, made straight on the server. */
export interface LiveNamespace extends LiveCluster {
  readonly path: string;
  /** What the server calls it. */
  readonly id: string;
}

/** `team/a` as its parent and its own name. */
function split(path: string): { readonly parent: string; readonly child: string } {
  const cut = path.lastIndexOf('/');
  return { parent: cut < 0 ? '' : path.slice(0, cut), child: path.slice(cut + 1) };
}

/** A request about a namespace's seal, in its parent, on the peer that leads unless one is named. */
export async function callSeal(
  { cluster, rootToken }: LiveCluster,
  path: string,
  method: string,
  verb: string,
  options: { readonly body?: unknown; readonly index?: number } = {},
): ReturnType<typeof callPeer> {
  const { parent, child } = split(path);
  const index = options.index ?? (await leaderIndex(cluster)) ?? 0;
  return callPeer(cluster, index, method, `sys/namespaces/${child}${verb}`, {
    token: rootToken,
    namespace: parent,
    ...(options.body === undefined ? {} : { body: options.body }),
  });
}

const README = join(import.meta.dirname, '..', '..', 'README.md');

/**
 * Writes the policy that the README gives a login for ceremonies in a namespace that is not root: there it is for
 * `team/a`. @returns its name.
 */
export async function writeNamespacePolicy({ cluster, rootToken }: LiveCluster, path: string): Promise<string> {
  const { parent, child } = split(path);
  const [, block] =
    /```hcl\n((?:(?!```).)*team\/sys\/namespaces\/a"(?:(?!```).)*)```/s.exec(await readFile(README, 'utf8')) ?? [];
  if (block === undefined) throw new Error('the README has no policy for a namespace');
  const policy = block
    .replaceAll('"team/sys/namespaces/a', `"${parent === '' ? '' : `${parent}/`}sys/namespaces/${child}`)
    .replaceAll('"team/a/', `"${path}/`);
  const index = (await leaderIndex(cluster)) ?? 0;
  const name = `namespace-${path.replaceAll('/', '-')}`;
  const asked = { token: rootToken, body: { policy } };
  const { status } = await callPeer(cluster, index, 'PUT', `sys/policies/acl/${name}`, asked);
  if (status >= 300) throw new Error(`the policy of the README answered ${status.toString()}`);
  return name;
}

/** Creates it with 3 shares, threshold 2; unsealed on every peer unless told otherwise. */
export async function makeNamespace(live: LiveCluster, path: string, unsealed = true): Promise<LiveNamespace> {
  const seal = 'seal "shamir" {\n shares = 3\n threshold = 2\n}';
  const reply = await callSeal(live, path, 'POST', '', { body: { seal } });
  if (reply.status !== 200) throw new Error(`creating ${path} answered ${reply.status.toString()}`);
  const shares = at(reply.body, 'data', 'key_shares') as string[];
  const made = { ...live, path, id: String(at(reply.body, 'data', 'uuid')), shares, threshold: 2 };
  if (unsealed) await unsealNamespace(made);
  return made;
}

/** Gives a threshold of shares, and waits until every peer has followed. */
export async function unsealNamespace(namespace: LiveNamespace): Promise<void> {
  for (const key of namespace.shares.slice(0, namespace.threshold)) {
    await callSeal(namespace, namespace.path, 'PUT', '/unseal', { body: { key } });
  }
  await waitUntil(`${namespace.path} is unsealed`, async () => (await sealedOn(namespace)).every((one) => !one));
}

/** What each peer says: whether the namespace is sealed there. */
export async function sealedOn(live: LiveCluster & { readonly path: string }): Promise<readonly boolean[]> {
  return Promise.all(
    live.cluster.peers.map(async (_, index) => {
      const { body } = await callSeal(live, live.path, 'GET', '/seal-status', { index });
      return at(body, 'data', 'sealed') !== false;
    }),
  );
}

/** What a ceremony in a namespace runs with, by the cluster's root token. */
export function settingIn(
  live: LiveCluster,
  peers: readonly Peer[],
  path: string | undefined,
  rosters: ReadonlyMap<string, Roster> = new Map(),
): Pick<CeremonySetting, 'cluster' | 'login' | 'enter' | 'otherRosters' | 'accepted'> & { readonly roster?: Roster } {
  const logIn = (peer: Peer): ReturnType<LogIn> => {
    const token = Secret.fromText(live.rootToken);
    const session = peer.session(token);
    token.wipe();
    return Promise.resolve({ session, accessor: 'test', policies: ['root'], own: false });
  };
  const entered = enterNamespace(peers, path ?? '', { home: '', logIn });
  const roster = rosters.get(path ?? '');
  return {
    cluster: {
      name: path === undefined ? 'test' : `test/${path}`,
      peers: entered.peers,
      ...(path === undefined ? {} : { namespace: path }),
    },
    login: (peer) => entered.login(peer),
    // What it costs the cluster when it restarts: of that there is a test of its own.
    accepted: new Map(path === undefined ? [] : [['namespace-rotation', 'a test']]),
    enter: (inner) => Promise.resolve(settingIn(live, peers, inner, rosters)),
    otherRosters: [...rosters].flatMap(([key, one]) => (key === (path ?? '') ? [] : [one])),
    ...(roster === undefined ? {} : { roster }),
  };
}

/** Who holds which share of a namespace. */
export function rosterIn(namespace: LiveNamespace, holders: readonly string[]): Roster {
  return {
    'cluster': `test/${namespace.path}`,
    'cluster-id': namespace.id,
    'generation': 1,
    'threshold': namespace.threshold,
    'seal': 'shamir',
    'shares': namespace.shares.map((hex, index) => {
      const one = share(hex);
      return {
        'holder': holders[index] ?? '',
        'x': one.x,
        'fingerprint': fingerprintShare(one),
        'status': 'proved' as const,
        'proved-at': '2026-01-01T00:00:00.000Z',
      };
    }),
    'previous': [],
  };
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { parseDocument } from '../../src/document.ts';
import { callPeer, leaderIndex, type LiveCluster, temporaryFolder } from './cluster.ts';
import { at } from './http.ts';
import { prepareQuorum, type QuorumCeremony, type QuorumOptions } from './quorum-ceremony.ts';

/** Ceremonies on a live cluster, with shares in clear and the login that ceremonies/init.yaml leaves. */

const TEMPLATE = join(import.meta.dirname, '..', '..', 'ceremonies', 'init.yaml');
const template = v.looseObject({
  'first-writes': v.array(v.object({ path: v.string(), data: v.record(v.string(), v.unknown()) })),
});

/** The writes of the shipped init script, done with the root token. Returns a token with the ceremony policy. */
export async function ceremonyToken({ cluster, rootToken }: LiveCluster): Promise<string> {
  const leader = (await leaderIndex(cluster)) ?? 0;
  const writes = parseDocument(await readFile(TEMPLATE, 'utf8'), template, { file: 'init.yaml' })['first-writes'];
  for (const { path, data } of writes) {
    const mounted = await callPeer(cluster, leader, 'GET', path, { token: rootToken });
    // Done again on a shared cluster: a mount is there already.
    if (mounted.status === 200 && !path.includes('/policies/')) continue;
    const { status } = await callPeer(cluster, leader, 'POST', path, { token: rootToken, body: data });
    if (status >= 300) throw new Error(`${path} answered ${status.toString()}`);
  }
  const body = { policies: ['ceremony'], ttl: '1h' };
  const reply = await callPeer(cluster, leader, 'POST', 'auth/token/create', { token: rootToken, body });
  return at(reply.body, 'auth', 'client_token') as string;
}

/** `prepareQuorum`, in a folder of its own where none is given. */
export async function quorumCeremony(
  options: Omit<QuorumOptions, 'folder'> & { readonly folder?: string },
): Promise<QuorumCeremony> {
  return prepareQuorum({ ...options, folder: options.folder ?? (await temporaryFolder()) });
}

/** The accessors of all root tokens, asked of the leader with the root token. */
export async function rootAccessors({ cluster, rootToken }: LiveCluster): Promise<readonly string[]> {
  const leader = (await leaderIndex(cluster)) ?? 0;
  const list = await callPeer(cluster, leader, 'LIST', 'auth/token/accessors', { token: rootToken });
  const roots: string[] = [];
  for (const accessor of at(list.body, 'data', 'keys') as string[]) {
    const body = { accessor };
    const found = await callPeer(cluster, leader, 'POST', 'auth/token/lookup-accessor', { token: rootToken, body });
    const policies = at(found.body, 'data', 'policies');
    if (Array.isArray(policies) && policies.includes('root')) roots.push(accessor);
  }
  return roots;
}

/** The attempt to generate a root token, as the leader tells it. */
export async function attemptOf({ cluster, rootToken }: LiveCluster): Promise<unknown> {
  const leader = (await leaderIndex(cluster)) ?? 0;
  const status = await callPeer(cluster, leader, 'GET', 'sys/seal-status');
  const bao = at(status.body, 'commit_date') !== undefined;
  const path = bao ? 'sys/generate-root-token/attempt' : 'sys/generate-root/attempt';
  const { body } = await callPeer(cluster, leader, 'GET', path, { token: rootToken });
  return at(body, 'data') ?? body;
}

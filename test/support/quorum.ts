import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import {
  type CeremonyOutcome,
  type CeremonySetting,
  resumeCeremony,
  startCeremony,
} from '../../src/ceremony/engine.ts';
import { loadScript } from '../../src/ceremony/load.ts';
import type { GivenShare, People, ShareRequest } from '../../src/ceremony/people.ts';
import type { Roster } from '../../src/ceremony/roster/schema.ts';
import { fingerprintShare, parseShare } from '../../src/ceremony/share.ts';
import { DEFAULT_POLICY } from '../../src/connect-cluster.ts';
import { parseDocument, renderYaml } from '../../src/document.ts';
import { QuorateError } from '../../src/errors.ts';
import { Secret } from '../../src/secret.ts';
import type { Peer } from '../../src/vault/peer.ts';
import { callPeer, leaderIndex, type LiveCluster, temporaryFolder } from './cluster.ts';
import { at } from './http.ts';

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

export const HOLDERS = ['Alice', 'Bo', 'Cleo', 'Dana', 'Eli'];

/** A roster of the cluster's shares, whose holders are `HOLDERS` in the server's order. */
export function rosterOf({ shares, threshold }: LiveCluster): Roster {
  return {
    cluster: 'test',
    generation: 1,
    threshold,
    seal: 'shamir',
    shares: shares.map((text, index) => {
      const share = parseShare(Secret.fromText(text));
      return {
        'holder': HOLDERS[index] ?? '',
        'x': share.x,
        'fingerprint': fingerprintShare(share),
        'status': 'proved',
        'proved-at': '2026-11-01T00:00:00.000Z',
      };
    }),
  };
}

/** Gives these shares one after the other, then no more; a function is called before it gives what it returns. */
export type Giver = string | (() => Promise<string>);

export interface QuorumOptions {
  readonly peers: readonly Peer[];
  readonly token: string;
  /** The script's own entries, with its kind. */
  readonly script: Readonly<Record<string, unknown>>;
  readonly givers?: readonly Giver[];
  readonly people?: Partial<People>;
  readonly setting?: Partial<CeremonySetting>;
  readonly folder?: string;
}

export interface QuorumCeremony {
  readonly folder: string | undefined;
  readonly said: readonly string[];
  readonly asked: readonly ShareRequest[];
  readonly refused: readonly string[];
  start(): Promise<CeremonyOutcome>;
  resume(givers?: readonly Giver[]): Promise<CeremonyOutcome>;
}

export async function quorumCeremony(options: QuorumOptions): Promise<QuorumCeremony> {
  const base = options.folder ?? (await temporaryFolder());
  const said: string[] = [];
  const asked: ShareRequest[] = [];
  const refused: string[] = [];
  let folder: string | undefined;
  let queue: Giver[] = [...(options.givers ?? [])];

  const people: People = {
    say: (line) => said.push(line),
    progress: (_title, work) => work(() => undefined),
    async nextShare(request): Promise<GivenShare | null> {
      asked.push(request);
      const giver = queue.shift();
      if (giver === undefined) return null;
      return { text: Secret.fromText(typeof giver === 'string' ? giver : await giver()), how: 'the test' };
    },
    refused: (error) => {
      refused.push(error.code);
      return Promise.resolve();
    },
    prove: () => Promise.reject(new Error('nothing is issued')),
    decrypt: () => Promise.reject(new Error('nothing is decrypted')),
    newPassword: () => Promise.reject(new Error('no password')),
    password: () => Promise.reject(new Error('no password')),
    act: () => Promise.resolve({}),
    acceptException: () => Promise.resolve(false),
    foreignProgress: () => Promise.resolve('go on'),
    ...options.people,
  };
  const setting: CeremonySetting = {
    cluster: { name: 'test', peers: options.peers },
    people,
    policy: { ...DEFAULT_POLICY },
    tools: { now: () => new Date(), checkPublicKey: () => Promise.reject(new QuorateError('bug', 'no keys here')) },
    signal: new AbortController().signal,
    login: (peer) => {
      const token = Secret.fromText(options.token);
      const session = peer.session(token);
      token.wipe();
      return Promise.resolve({ session, accessor: undefined, policies: ['ceremony'] });
    },
    scriptFolder: base,
    quorate: { version: '0.0.0', build: 'source' },
    accepted: new Map(),
    ...options.setting,
  };
  const text = renderYaml({ title: 'In a test', cluster: 'test', ...options.script });
  return {
    get folder() {
      return folder;
    },
    said,
    asked,
    refused,
    async start() {
      return startCeremony(await loadScript(text, 'script.yaml'), setting, {
        records: join(base, 'records'),
        scriptFile: 'script.yaml',
        rehearsal: false,
        onFolder: (made) => {
          folder = made;
        },
      });
    },
    async resume(givers = []) {
      if (folder === undefined) throw new Error('there is nothing to resume');
      queue = [...givers];
      return resumeCeremony(await loadScript(text, 'script.yaml'), setting, folder);
    },
  };
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

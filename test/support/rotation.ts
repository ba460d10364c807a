import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CeremonyOutcome,
  type CeremonySetting,
  resumeCeremony,
  startCeremony,
} from '../../src/ceremony/engine.ts';
import { loadScript } from '../../src/ceremony/load.ts';
import type { People, ShareRequest } from '../../src/ceremony/people.ts';
import { parseRoster } from '../../src/ceremony/roster/roster.ts';
import type { Roster } from '../../src/ceremony/roster/schema.ts';
import { fingerprintShare, parseShare, type Share } from '../../src/ceremony/share.ts';
import { DEFAULT_POLICY } from '../../src/connect-cluster.ts';
import { renderYaml } from '../../src/document.ts';
import { isQuorateError, type QuorateError } from '../../src/errors.ts';
import { loadOpenPgp } from '../../src/openpgp/openpgp.ts';
import { loadPrograms } from '../../src/programs/programs.ts';
import type { MadeUpCustodian } from '../../src/rehearsal/custodians.ts';
import { Secret } from '../../src/secret.ts';
import type { Peer } from '../../src/vault/peer.ts';
import { peersOf } from './ceremony.ts';
import {
  callPeer,
  leaderIndex,
  type LiveCluster,
  reseal,
  temporaryFolder,
  unsealAll,
  waitForVoters,
} from './cluster.ts';
import { at } from './http.ts';

export const share = (hex: string, single = false): Share => parseShare(Secret.fromText(hex), { single });

/** Who holds which shares: each set by its holder, in hexadecimal. */
export type Shares = ReadonlyMap<string, string>;

/** A roster of shares in clear, as a test has them. */
export async function rosterOf(live: LiveCluster, holders: readonly string[], generation = 1): Promise<Roster> {
  const { body } = await callPeer(live.cluster, 0, 'GET', 'sys/seal-status');
  // Where the ceremony lock lives.
  await callPeer(live.cluster, (await leaderIndex(live.cluster)) ?? 0, 'POST', 'sys/mounts/quorate', {
    token: live.rootToken,
    body: { type: 'kv', options: { version: '2' } },
  });
  return {
    'cluster': 'test',
    'cluster-id': String(at(body, 'cluster_id')),
    generation,
    'threshold': live.threshold,
    'seal': at(body, 'recovery_seal') === true ? 'recovery' : 'shamir',
    'shares': live.shares.map((hex, index) => {
      const { x, ...rest } = share(hex, live.shares.length === 1);
      return {
        'holder': holders[index] ?? `Holder ${(index + 1).toString()}`,
        x,
        'fingerprint': fingerprintShare({ x, ...rest }),
        'status': 'proved' as const,
        'proved-at': '2026-01-01T00:00:00.000Z',
      };
    }),
    'previous': [],
  };
}

export interface RotationTest {
  readonly live: LiveCluster;
  readonly script: Readonly<Record<string, unknown>> & { readonly ceremony: string };
  /** Custodians of the new shares, with keys. */
  readonly crew?: readonly MadeUpCustodian[];
  readonly roster: Roster;
  readonly peers?: readonly Peer[];
  /** Called before a share is given; may return what is given instead. `number` counts from 1 in this sitting. */
  readonly onShare?: (request: ShareRequest, number: number, text: string) => Promise<string | null | undefined>;
  readonly onProve?: (holder: string) => Promise<void>;
  /** What people do by hand; by default nothing. */
  readonly onAct?: (say: string) => Promise<void>;
  readonly people?: Partial<People>;
  readonly setting?: Partial<CeremonySetting>;
  readonly now?: () => Date;
}

export interface RotationCeremony {
  readonly folder: string;
  readonly said: readonly string[];
  readonly refused: readonly QuorateError[];
  start(): Promise<CeremonyOutcome>;
  resume(): Promise<CeremonyOutcome>;
  /** The new shares in hexadecimal, as their holders decrypted them. */
  newShares(): Shares;
  roster(): Promise<Roster>;
}

/** A ceremony with people who know their old shares, decrypt their new ones with gpg, and remember them. */
export async function prepareRotation(test: RotationTest): Promise<RotationCeremony> {
  const { live } = test;
  const [programs, openpgp, scriptFolder] = await Promise.all([
    loadPrograms(process.env),
    loadOpenPgp(),
    temporaryFolder(),
  ]);
  const { signal } = new AbortController();
  const oldShares = new Map(
    test.roster.shares.map(({ holder, x }) => [holder, live.shares.find((hex) => hexX(hex, live) === x) ?? '']),
  );
  const fresh = new Map<string, string>();
  const said: string[] = [];
  const refused: QuorateError[] = [];
  let folder = '';
  let number = 0;

  const people = (): People => {
    number = 0;
    return {
      say: (line) => said.push(line),
      progress: (title, work) => {
        said.push(title);
        return work(() => undefined);
      },
      async nextShare(request) {
        const wantsNew = request.wanted?.includes('new') === true;
        const set = wantsNew ? fresh : oldShares;
        const who = [...set.keys()].find((name) => !request.present.includes(name));
        if (who === undefined) return null;
        number += 1;
        const own = set.get(who) ?? '';
        const text = await test.onShare?.(request, number, own);
        if (text === null) return null;
        return { text: Secret.fromText(text ?? own), ...(text === undefined ? { who } : {}), how: 'a test' };
      },
      refused: (error) => {
        refused.push(error);
        return refused.length > 20 ? Promise.reject(error) : Promise.resolve();
      },
      async prove({ holder, ciphertext, single }) {
        await test.onProve?.(holder);
        const person = test.crew?.find(({ name }) => name === holder);
        if (person === undefined) throw new Error(`nobody is called ${holder}`);
        const text = await programs.gpg.decrypt(ciphertext, { home: person.gnupgHome, signal });
        const parsed = parseShare(text, { single });
        fresh.set(holder, text.exposeText());
        return { x: parsed.x, ...fingerprintShare(parsed), how: 'decrypted in a test' };
      },
      decrypt: () => Promise.reject(new Error('there is nothing to decrypt')),
      newPassword: () => Promise.reject(new Error('there is no password')),
      password: () => Promise.reject(new Error('there is no password')),
      async act({ say, fields }) {
        said.push(say);
        await test.onAct?.(say);
        return Object.fromEntries(fields.map((field) => [field, 'done']));
      },
      acceptException: () => Promise.resolve(true),
      foreignProgress: () => Promise.resolve('reset'),
      ...test.people,
    };
  };
  const setting = (): CeremonySetting => ({
    cluster: { name: 'test', peers: test.peers ?? peersOf(live.cluster) },
    people: people(),
    policy: { ...DEFAULT_POLICY, 'shortest-key-validity-days': 0 },
    tools: {
      now: test.now ?? (() => new Date()),
      checkPublicKey: (bytes, options) => openpgp.checkPublicKey(bytes, options),
      discardedKey: () => openpgp.discardedKey(),
    },
    signal,
    login: (peer) =>
      Promise.resolve({ session: peer.session(Secret.fromText(live.rootToken)), accessor: 'test', policies: ['root'] }),
    roster: test.roster,
    scriptFolder,
    quorate: { version: '0.0.0', build: 'source' },
    accepted: new Map(),
    ...test.setting,
  });
  const text = renderYaml({ title: 'A test', cluster: 'test', ...test.script });
  return {
    get folder() {
      return folder;
    },
    said,
    refused,
    async start() {
      return startCeremony(await loadScript(text, 'script.yaml'), setting(), {
        records: join(scriptFolder, 'records'),
        scriptFile: 'script.yaml',
        rehearsal: false,
        onFolder: (made) => {
          folder = made;
        },
      });
    },
    resume: async () => resumeCeremony(await loadScript(text, 'script.yaml'), setting(), folder),
    newShares: () => fresh,
    roster: async () => parseRoster(await readFile(join(folder, 'roster.yaml'), 'utf8'), 'roster.yaml'),
  };
}

function hexX(hex: string, live: LiveCluster): string {
  return live.shares.length === 1 ? '00' : hex.slice(-2);
}

/** The code of what a promise rejects with. */
export async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (isQuorateError(error)) return error.code;
    throw error;
  }
}

/** Whether nothing is under way on any peer that runs. */
export async function underWay(live: LiveCluster, path = 'sys/rotate/root/init'): Promise<readonly string[]> {
  const found: string[] = [];
  for (const [index, peer] of live.cluster.peers.entries()) {
    if (peer.pid === undefined) continue;
    const { body } = await callPeer(live.cluster, index, 'GET', path, { token: live.rootToken });
    if (at(body, 'data', 'started') === true || at(body, 'started') === true) found.push(peer.name);
  }
  return found;
}

/** Restarts every peer and opens all with `set`; before that, `dead` is refused by the first. */
export async function opensCold(
  live: LiveCluster,
  set: { readonly shares: readonly string[]; readonly threshold: number },
  dead?: { readonly shares: readonly string[] },
): Promise<void> {
  await reseal(live);
  if (dead !== undefined) {
    const statuses: number[] = [];
    for (const key of dead.shares.slice(0, set.threshold)) {
      statuses.push((await callPeer(live.cluster, 0, 'PUT', 'sys/unseal', { body: { key } })).status);
    }
    if (statuses.at(-1) !== 400) throw new Error(`the dead shares were answered ${statuses.join(', ')}`);
  }
  await unsealAll({ ...live, ...set });
  await waitForVoters(live);
}

/** The peers of the cluster that one is told to restart, restarted. */
export function restarting(live: LiveCluster): (say: string) => Promise<void> {
  return async (say) => {
    const name = /Restart the server of (\S+),/.exec(say)?.[1];
    const index = live.cluster.peers.findIndex((peer) => peer.name === name);
    if (index >= 0) await live.cluster.restart(index);
  };
}

/** The script of a rotation to these people. */
export function rotationScript(
  crew: readonly MadeUpCustodian[],
  threshold: number,
  ceremony = 'rotate-root-key',
): RotationTest['script'] {
  return {
    ceremony,
    shares: crew.length,
    threshold,
    custodians: crew.map(({ name, pgpFile, fingerprint }) => ({ name, pgp: { file: pgpFile, fingerprint } })),
  };
}

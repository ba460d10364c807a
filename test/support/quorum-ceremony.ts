import { join } from 'node:path';
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
import { renderYaml } from '../../src/document.ts';
import { QuorateError } from '../../src/errors.ts';
import { Secret } from '../../src/secret.ts';
import type { Peer } from '../../src/vault/peer.ts';
import type { LiveCluster } from './cluster.ts';

/** Ceremonies in which custodians give shares that the test has in clear. Also for programs outside of vitest. */

export const HOLDERS = ['Alice', 'Bo', 'Cleo', 'Dana', 'Eli'];

/** A roster of the cluster's shares, whose holders are `HOLDERS` in the server's order. */
export function rosterOf({ shares, threshold }: Pick<LiveCluster, 'shares' | 'threshold'>): Roster {
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
  /** Where the records go. */
  readonly folder: string;
  /** Told the folder as soon as there is one. */
  readonly onFolder?: (folder: string) => void;
  /** Asked for each line of the record, before it is written. */
  readonly now?: () => Date;
  readonly peers: readonly Peer[];
  readonly token: string;
  /** The script's own entries, with its kind. */
  readonly script: Readonly<Record<string, unknown>>;
  readonly givers?: readonly Giver[];
  readonly people?: Partial<People>;
  readonly setting?: Partial<CeremonySetting>;
}

export interface QuorumCeremony {
  readonly folder: string | undefined;
  readonly said: readonly string[];
  readonly asked: readonly ShareRequest[];
  readonly refused: readonly string[];
  start(): Promise<CeremonyOutcome>;
  resume(givers?: readonly Giver[], folder?: string): Promise<CeremonyOutcome>;
}

/** A ceremony that can be started, and resumed in the folder that it made. */
export function prepareQuorum(options: QuorumOptions): QuorumCeremony {
  const base = options.folder;
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
  const noKeys = (): Promise<never> => Promise.reject(new QuorateError('bug', 'no keys here'));
  const setting: CeremonySetting = {
    cluster: { name: 'test', peers: options.peers },
    people,
    policy: { ...DEFAULT_POLICY },
    tools: {
      now: options.now ?? (() => new Date()),
      checkPublicKey: noKeys,
      discardedKey: noKeys,
    },
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
          options.onFolder?.(made);
        },
      });
    },
    async resume(givers = [], from = folder) {
      if (from === undefined) throw new Error('there is nothing to resume');
      folder = from;
      queue = [...givers];
      return resumeCeremony(await loadScript(text, 'script.yaml'), setting, from);
    },
  };
}

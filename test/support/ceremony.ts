import { QuorateError } from '../../src/errors.ts';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CeremonyOutcome,
  type CeremonySetting,
  resumeCeremony,
  startCeremony,
} from '../../src/ceremony/engine.ts';
import { shareFile } from '../../src/ceremony/kinds/init/initialise.ts';
import type { InitScript } from '../../src/ceremony/kinds/init/script.ts';
import { loadScript } from '../../src/ceremony/load.ts';
import type { People } from '../../src/ceremony/people.ts';
import type { CeremonyTools } from '../../src/ceremony/tools.ts';
import { DEFAULT_POLICY } from '../../src/connect-cluster.ts';
import { renderYaml } from '../../src/document.ts';
import { loadOpenPgp } from '../../src/openpgp/openpgp.ts';
import { loadPrograms } from '../../src/programs/programs.ts';
import type { ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import type { MadeUpCustodian } from '../../src/rehearsal/custodians.ts';
import { madeUpPeople } from '../../src/rehearsal/people.ts';
import { connectPeer } from '../../src/vault/connect.ts';
import type { Peer } from '../../src/vault/peer.ts';

/** Whoever is in a ceremony of the tests: the last holds the key of the root token, all before are custodians. */
export type Crew = readonly Pick<MadeUpCustodian, 'name' | 'gnupgHome' | 'pgpFile' | 'fingerprint'>[];

export const CEREMONY_POLICY = `path "sys/rotate/root/*" { capabilities = ["create", "read", "update", "delete"] }
path "sys/rotate/recovery/*" { capabilities = ["create", "read", "update", "delete"] }
path "sys/generate-root-token/*" { capabilities = ["create", "read", "update", "delete"] }
path "auth/token/accessors" { capabilities = ["list", "sudo"] }
path "auth/token/accessors/" { capabilities = ["list", "sudo"] }
path "auth/token/lookup-accessor" { capabilities = ["create", "update"] }
`;

/** An init script as a plain object; `changes` replace its top-level entries (undefined takes one out). */
export function initScriptText(crew: Crew, changes: Readonly<Record<string, unknown>> = {}): string {
  const custodians = crew.slice(0, -1);
  const root = crew.at(-1);
  if (root === undefined) throw new Error('nobody holds the key of the root token');
  const pgp = ({ pgpFile, fingerprint }: Crew[number]) => ({ file: pgpFile, fingerprint });
  return renderYaml({
    'ceremony': 'init',
    'title': 'Init in a test',
    'cluster': 'test',
    'shares': custodians.length,
    'threshold': Math.min(2, custodians.length),
    'custodians': custodians.map((one) => ({ name: one.name, pgp: pgp(one) })),
    'root-token': { pgp: pgp(root) },
    'first-writes': [
      { path: 'sys/auth/approle', data: { type: 'approle' } },
      { path: 'sys/policies/acl/ceremony', data: { policy: CEREMONY_POLICY } },
    ],
    'ceremony-login': {
      'method': 'approle',
      'role': 'ceremony',
      'policies': ['ceremony'],
      'secret-id-file': 'login.secret-id',
    },
    ...changes,
  });
}

export interface CeremonyOptions {
  /** Where script, secret id and records go. */
  readonly folder: string;
  readonly peers: readonly Peer[];
  readonly crew: Crew;
  readonly script: string;
  /** Instead of what the made-up people do. */
  readonly people?: Partial<People>;
  readonly setting?: Partial<CeremonySetting>;
  /** Told the folder as soon as there is one. */
  readonly onFolder?: (folder: string) => void;
  /** Asked for each line of the record, before it is written. */
  readonly now?: () => Date;
}

/** A ceremony that can be started, and resumed in the folder that it made. */
export interface TestCeremony {
  readonly folder: string | undefined;
  readonly said: readonly string[];
  start(): Promise<CeremonyOutcome>;
  resume(folder?: string): Promise<CeremonyOutcome>;
}

export async function prepareCeremony(options: CeremonyOptions): Promise<TestCeremony> {
  const [programs, openpgp] = await Promise.all([loadPrograms(process.env), loadOpenPgp()]);
  const said: string[] = [];
  const tools: CeremonyTools = {
    now: options.now ?? (() => new Date()),
    checkPublicKey: (bytes, keyOptions) => openpgp.checkPublicKey(bytes, keyOptions),
    discardedKey: () => openpgp.discardedKey(),
  };
  let folder: string | undefined;
  const setting = (script: InitScript): CeremonySetting => {
    const { signal } = new AbortController();
    // Each sitting has its own people, who give their shares from the first again.
    const people = madeUpPeople({
      everybody: options.crew as readonly MadeUpCustodian[],
      gpg: programs.gpg,
      signal,
      say: (line) => said.push(line),
      progress: (title, work) => {
        said.push(title);
        return work(() => undefined);
      },
      givers: () =>
        script.custodians.slice(0, script.threshold).map(({ name }) => ({
          name,
          shareFile: join(folder ?? '', shareFile(script, name)),
        })),
    });
    return {
      cluster: { name: 'test', peers: options.peers },
      people: { ...people, ...options.people },
      policy: { ...DEFAULT_POLICY },
      tools,
      signal,
      login: () => Promise.reject(new QuorateError('token-missing', 'this test has no login')),
      scriptFolder: options.folder,
      quorate: { version: '0.0.0', build: 'source' },
      accepted: new Map(),
      ...options.setting,
    };
  };
  return {
    get folder() {
      return folder;
    },
    said,
    async start() {
      const loaded = await loadScript(options.script, 'init.yaml');
      return startCeremony(loaded, setting(loaded.script as InitScript), {
        records: join(options.folder, 'records'),
        scriptFile: 'init.yaml',
        rehearsal: false,
        onFolder: (made) => {
          folder = made;
          options.onFolder?.(made);
        },
      });
    },
    async resume(from = folder) {
      if (from === undefined) throw new Error('there is nothing to resume');
      folder = from;
      options.onFolder?.(from);
      const loaded = await loadScript(await readFile(join(from, 'script.yaml'), 'utf8'), 'script.yaml');
      return resumeCeremony(loaded, setting(loaded.script as InitScript), from);
    },
  };
}

/** The peers of a cluster, as quorate speaks to them; `address` puts something else in front of the first. */
export function peersOf(cluster: ThrowawayCluster, first?: { readonly address: string }): readonly Peer[] {
  return cluster.peers.map(({ name, address }, index) =>
    connectPeer({
      name,
      address: index === 0 && first !== undefined ? first.address : address,
      ca: cluster.caFile,
      timeout: 20_000,
    }),
  );
}

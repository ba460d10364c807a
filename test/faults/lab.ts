import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileNameOf } from '../../src/ceremony/script.ts';
import { renderRoster } from '../../src/ceremony/roster/roster.ts';
import { renderYaml } from '../../src/document.ts';
import type { MadeUpCustodian } from '../../src/rehearsal/custodians.ts';
import type { ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import { atEnd } from '../support/at-end.ts';
import {
  callPeer,
  freshCluster,
  leaderIndex,
  type LiveCluster,
  temporaryFolder,
  unsealAll,
  waitForVoters,
} from '../support/cluster.ts';
import { madeUpCustodians } from '../support/custodians.ts';
import { type CuttingProxy, startCuttingProxy, type Watcher } from '../support/cutting-proxy.ts';
import { type GnupgHome, gnupgHome } from '../support/gnupg.ts';
import { at } from '../support/http.ts';
import { ceremonyToken } from '../support/quorum.ts';
import { rosterOf } from '../support/rotation.ts';
import { waitUntil } from '../support/wait.ts';
import type { ShareList } from './judge.ts';

const run = promisify(execFile);

/** The custodians, and who holds the key of the root token. */
export const HOLDERS = ['Dora', 'Eve', 'Fay'] as const;
const ADMINISTRATOR = 'Erin';
export const CLUSTER = 'test';
export const WITNESS = 'quorate/data/witness';

/** A static seal, for clusters that open themselves. */
export const STATIC_SEAL =
  'seal "static" {\n  current_key_id = "one"\n  current_key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="\n}';

/** How many shares there are, and how many of them open it. */
export interface Size {
  readonly shares: number;
  readonly threshold: number;
}

export interface LabOptions {
  readonly peers: number;
  /** A seal of its own: the people hold recovery shares. */
  readonly seal?: string;
}

/** People with keys, and one GnuPG home with all of them, as if everybody's cards were at one machine. */
export interface Crew {
  readonly people: readonly MadeUpCustodian[];
  readonly home: GnupgHome;
}

export async function makeCrew(): Promise<Crew> {
  const people = await madeUpCustodians(...HOLDERS, ADMINISTRATOR);
  const home = await gnupgHome();
  atEnd(() => home.remove());
  for (const { gnupgHome: own, fingerprint, folder } of people) {
    const { stdout } = await run('gpg', ['--homedir', own, '--batch', '--armor', '--export-secret-keys', fingerprint]);
    const file = join(folder, 'secret.asc');
    await writeFile(file, stdout, { mode: 0o600 });
    await home.gpg('--import', file);
  }
  return { people, home };
}

/** A real cluster with a proxy before every peer, and the machine of the administrator: quorate.yaml, roster, records. */
export class Lab {
  readonly cluster: ThrowawayCluster;
  readonly crew: Crew;
  readonly seal: string | undefined;
  readonly proxies: readonly CuttingProxy[];
  /** Where quorate runs. */
  readonly desk: string;
  /** What happens to requests; a trial sets it. */
  watcher: Watcher = () => undefined;
  /** Today's shares by holder, in hexadecimal. */
  shares = new Map<string, string>();
  threshold = 2;
  rootToken = '';
  witness = 'before';
  /** The server's own copy of the key of the shares before the last rotation that was torn here. */
  formerKek: Uint8Array | undefined;
  readonly #read = new Map<string, string>();

  private constructor(
    cluster: ThrowawayCluster,
    crew: Crew,
    desk: string,
    proxies: readonly CuttingProxy[],
    seal: string | undefined,
  ) {
    this.cluster = cluster;
    this.crew = crew;
    this.desk = desk;
    this.proxies = proxies;
    this.seal = seal;
  }

  /** Uninitialised: `start` goes on. */
  static async open({ peers, seal }: LabOptions, crew: Crew): Promise<Lab> {
    const cluster = await freshCluster({ peers, ...(seal === undefined ? {} : { seal }) });
    const desk = await mkdtemp(join(await temporaryFolder(), 'desk-'));
    const holder: { lab?: Lab } = {};
    const watcher: Watcher = (request) => holder.lab?.watcher(request);
    const proxies = await Promise.all(cluster.peers.map((_, index) => startCuttingProxy(cluster, index, watcher)));
    const lab = new Lab(cluster, crew, desk, proxies, seal);
    holder.lab = lab;
    await writeFile(join(desk, 'token'), 'none yet', { mode: 0o600 });
    const peersSeen = cluster.peers.map(({ name }, index) => ({ name, address: proxies[index]?.address ?? '' }));
    const config = {
      clusters: {
        [CLUSTER]: {
          peers: peersSeen,
          ca: cluster.caFile,
          roster: 'roster.yaml',
          auth: { method: 'token-file', file: 'token' },
        },
      },
      policy: { 'shortest-key-validity-days': 0 },
      records: 'records',
    };
    await writeFile(join(desk, 'quorate.yaml'), renderYaml(config));
    return lab;
  }

  /** Initialises and opens it without quorate, with a login, a roster, and a value that must survive everything. */
  async start(): Promise<void> {
    const size = { shares: HOLDERS.length, threshold: this.threshold };
    const body =
      this.seal === undefined
        ? { secret_shares: size.shares, secret_threshold: size.threshold }
        : { recovery_shares: size.shares, recovery_threshold: size.threshold };
    const reply = await callPeer(this.cluster, 0, 'PUT', 'sys/init', { body });
    const keys = at(reply.body, this.seal === undefined ? 'keys' : 'recovery_keys') as readonly string[];
    this.shares = new Map(HOLDERS.map((name, index) => [name, keys[index] ?? '']));
    this.rootToken = String(at(reply.body, 'root_token'));
    if (this.seal === undefined) await unsealAll(this.live());
    await this.ready();
    await this.equip();
  }

  /** Everything that ceremonies need, made with the root token. */
  async equip(): Promise<void> {
    const live = this.live();
    await ceremonyToken(live);
    const leader = await this.leader();
    const created = await callPeer(this.cluster, leader, 'POST', 'auth/token/create', {
      token: this.rootToken,
      body: { policies: ['ceremony'], ttl: '20h' },
    });
    await writeFile(join(this.desk, 'token'), String(at(created.body, 'auth', 'client_token')), { mode: 0o600 });
    await writeFile(join(this.desk, 'roster.yaml'), renderRoster(await rosterOf(live, HOLDERS)));
    await this.write('before');
  }

  async close(): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
    await this.cluster.remove();
  }

  live(): LiveCluster {
    return {
      cluster: this.cluster,
      shares: [...this.shares.values()],
      threshold: this.threshold,
      rootToken: this.rootToken,
    };
  }

  list(shares: ReadonlyMap<string, string> = this.shares, threshold = this.threshold): ShareList {
    return { shares: [...shares.values()], threshold };
  }

  async leader(): Promise<number> {
    const { index } = await waitUntil('a peer leads', async () => {
      const found = await leaderIndex(this.cluster);
      return found === undefined ? undefined : { index: found };
    });
    return index;
  }

  /** All peers are voters, and one leads. */
  async ready(): Promise<void> {
    await this.leader();
    if (this.cluster.peers.length > 1) await waitForVoters(this.live());
  }

  async write(word: string): Promise<void> {
    const leader = await this.leader();
    await waitUntil('the value is written', async () => {
      const body = { data: { word } };
      return (await callPeer(this.cluster, leader, 'POST', WITNESS, { token: this.rootToken, body })).status === 200;
    });
    this.witness = word;
  }

  /** Writes a script into the desk. */
  async script(name: string, content: Readonly<Record<string, unknown>>): Promise<string> {
    const file = `${name}.yaml`;
    await writeFile(join(this.desk, file), renderYaml({ title: 'In the lab', cluster: CLUSTER, ...content }));
    return file;
  }

  /** The custodians as scripts name them. */
  custodians(shares: number = HOLDERS.length): readonly unknown[] {
    return this.crew.people
      .slice(0, shares)
      .map(({ name, pgpFile, fingerprint }) => ({ name, pgp: { file: pgpFile, fingerprint } }));
  }

  get administrator(): MadeUpCustodian {
    const last = this.crew.people.at(-1);
    if (last === undefined) throw new Error('there is no administrator');
    return last;
  }

  /** The folders of ceremonies, in the order in which they were made. */
  async records(): Promise<readonly string[]> {
    const base = join(this.desk, 'records');
    await mkdir(base, { recursive: true });
    const found = await Promise.all(
      (await readdir(base, { withFileTypes: true }))
        .filter((entry) => entry.isDirectory())
        .map(async ({ name }) => {
          const text = await readFile(join(base, name, 'record.jsonl'), 'utf8').catch(() => '');
          const time = /"time":"([^"]+)"/.exec(text)?.[1] ?? '';
          return { name, time };
        }),
    );
    return found.sort((one, other) => one.time.localeCompare(other.time)).map(({ name }) => join('records', name));
  }

  /** The shares that the last attempt of a ceremony issued, as their custodians read them; empty where none did. */
  async issued(record: string): Promise<ReadonlyMap<string, string>> {
    const folder = join(this.desk, record);
    const attempts = (await readdir(folder))
      .filter((name) => /^issued(?:-\d+)?$/.test(name))
      .sort((one, other) => Number(one.split('-')[1] ?? 0) - Number(other.split('-')[1] ?? 0));
    const last = attempts.at(-1);
    const shares = new Map<string, string>();
    if (last === undefined) return shares;
    for (const name of HOLDERS) {
      const file = join(folder, last, `${fileNameOf(name)}.pgp`);
      const text = await this.#decrypted(file);
      if (text !== undefined) shares.set(name, text);
    }
    return shares;
  }

  /** Each file once: gpg is slow. */
  async #decrypted(file: string): Promise<string | undefined> {
    const known = this.#read.get(file);
    if (known !== undefined) return known;
    const text = (await this.crew.home.gpg('--decrypt', file).catch(() => undefined))?.toString().trim();
    if (text !== undefined) this.#read.set(file, text);
    return text;
  }
}

import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Policy } from '../config.ts';
import { type CeremonyOutcome, type CeremonySetting, startCeremony } from '../ceremony/engine.ts';
import { shareFile } from '../ceremony/kinds/init/initialise.ts';
import { ROSTER_FILE } from '../ceremony/kinds/init/roster.ts';
import type { PeerLogin } from '../ceremony/kind.ts';
import { loadScript } from '../ceremony/load.ts';
import type { People } from '../ceremony/people.ts';
import { locateRecord, REPORT_FILE } from '../ceremony/record/folder.ts';
import { signRecord } from '../ceremony/record/signatures.ts';
import { verifyFolder } from '../ceremony/record/verify.ts';
import { loadRoster } from '../ceremony/roster/roster.ts';
import type { CeremonyTools } from '../ceremony/tools.ts';
import { QuorateError } from '../errors.ts';
import { readText } from '../files.ts';
import type { Programs } from '../programs/programs.ts';
import type { Peer } from '../vault/peer.ts';
import { startCluster, type ThrowawayCluster } from './cluster.ts';
import { createCustodians, type MadeUpCustodian, type MadeUpCustodians } from './custodians.ts';
import { madeUpPeople } from './people.ts';
import { preparePractice } from './practice.ts';
import type { MadeUpSeal } from './seal.ts';
import { type Cast, castOf, REHEARSAL_CLUSTER, rehearsalScript, unsealScriptText } from './script.ts';

const ROLE_ID_FILE = 'ceremony-login.role-id';
const SECRET_ID_FILE = 'ceremony-login.secret-id';
const OPEN_LIMIT = 60_000;

export interface RehearsalOptions {
  /** Empty, or not there: everything goes in it. */
  readonly directory: string;
  readonly script: { readonly text: string; readonly file: string };
  readonly binary: string;
  readonly programs: Programs;
  readonly tools: CeremonyTools;
  readonly policy: Policy;
  /** Peers as the config file of the throwaway cluster describes them. */
  readonly connect: (configFile: string) => Promise<readonly Peer[]>;
  /** Logs in with the AppRole that the init has made. */
  readonly login: (peer: Peer, files: { readonly roleId: string; readonly secretIdFile: string }) => Promise<PeerLogin>;
  readonly quorate: CeremonySetting['quorate'];
  readonly say: (line: string) => void;
  readonly progress: People['progress'];
  readonly signal: AbortSignal;
  /** Plays the people in place of the automatic ones; each custodian's GnuPG home is known by name. */
  readonly play?: (homes: ReadonlyMap<string, string>) => People;
  /** Leaves the cluster running. */
  readonly keep: boolean;
  /** Makes a seal by made-up HSMs in a folder; without it custodians unseal. */
  readonly makeSeal?: (folder: string) => Promise<MadeUpSeal>;
}

export interface Rehearsal {
  readonly directory: string;
  readonly peers: readonly { readonly address: string; readonly caFile: string }[];
  readonly shares: number;
  readonly threshold: number;
  readonly custodians: readonly { readonly name: string; readonly gnupgHome: string; readonly shareFile: string }[];
  readonly roster: string;
  /** The folder of the init's record, and of the unseal's. */
  readonly record: string;
  /** Not under a seal of HSMs, which opens by itself. */
  readonly unsealRecord?: string;
  readonly report: string;
  readonly verified: boolean;
  readonly kept: boolean;
}

/**
 * The life of a cluster on a throwaway real one: init, restart of every peer, unseal, signatures, verification.
 * Whatever happens, no server and no agent is left, unless it is to be kept.
 * @throws QuorateError whatever a ceremony throws.
 */
export async function rehearse(options: RehearsalOptions): Promise<Rehearsal> {
  const { directory, signal, programs, say } = options;
  const cast = await castOf(options.script.text, options.script.file);
  say(`Starting three peers in ${directory}`);
  let seal: MadeUpSeal | undefined;
  const prepare = async (folder: string): Promise<MadeUpSeal | object> =>
    (seal = await options.makeSeal?.(join(folder, 'hsm'))) ?? {};
  const cluster = await startCluster({
    folder: directory,
    binary: options.binary,
    flavour: 'openbao',
    signal,
    prepare,
  });
  let made: MadeUpCustodians | undefined;
  try {
    made = await createCustodians({
      folder: join(directory, 'people'),
      names: [...new Set([...cast.custodians, ...cast.others])],
      run: programs.run,
      signal,
    });
    const rehearsal = await live(options, cast, cluster, made.people, seal);
    if (!options.keep) return rehearsal;
    await preparePractice({
      directory,
      record: rehearsal.record,
      login: cast.script['ceremony-login'],
      roleIdFile: ROLE_ID_FILE,
      secretIdFile: SECRET_ID_FILE,
    });
    await made.keep();
    await cluster.keep({ gnupgHomes: made.gnupgHomes });
    return { ...rehearsal, kept: true };
  } finally {
    if (!options.keep || signal.aborted) {
      await cluster.stop();
      await made?.leave();
      await Promise.all(cluster.peers.map(({ dataFolder }) => rm(dataFolder, { recursive: true, force: true })));
    }
  }
}

async function live(
  options: RehearsalOptions,
  cast: Cast,
  cluster: ThrowawayCluster,
  everybody: readonly MadeUpCustodian[],
  seal: MadeUpSeal | undefined,
): Promise<Rehearsal> {
  const { directory, say } = options;
  const peers = await options.connect(cluster.configFile);
  const records = join(directory, 'records');
  const shares: { name: string; shareFile: string }[] = [];
  const people = (): People =>
    options.play?.(new Map(everybody.map(({ name, gnupgHome }) => [name, gnupgHome]))) ??
    madeUpPeople({
      ...options,
      everybody,
      gpg: options.programs.gpg,
      givers: () => shares.slice(0, cast.script.threshold),
    });
  const setting: CeremonySetting = {
    ...options,
    cluster: { name: REHEARSAL_CLUSTER, peers },
    people: people(),
    scriptFolder: directory,
    login: async (peer) => {
      const [record] = shares.map(({ shareFile: file }) => dirname(dirname(file)));
      const roleId = (await readText(join(record ?? directory, ROLE_ID_FILE))).trim();
      return options.login(peer, { roleId, secretIdFile: join(directory, SECRET_ID_FILE) });
    },
    accepted: new Map(),
    onStep: (number, step, steps) => {
      say(`  ${number.toString()}/${steps.toString()}  ${step.title}`);
    },
  };
  try {
    const scriptFile = join(directory, 'init.yaml');
    await writeFile(scriptFile, rehearsalScript(cast, everybody, join(directory, SECRET_ID_FILE)), {
      flag: 'wx',
      mode: 0o600,
    });
    const loaded = await loadScript(await readText(scriptFile), scriptFile);
    say(`Init: ${cast.script.title}`);
    const init = await startCeremony(loaded, setting, {
      records,
      scriptFile: 'init.yaml',
      rehearsal: true,
      onFolder: (folder) => {
        for (const name of cast.custodians)
          shares.push({ name, shareFile: join(folder, shareFile(cast.script, name)) });
      },
    });
    const unsealRecord = async (): Promise<string> => {
      say('Restarting every peer: all are sealed now');
      await restartAll(cluster);
      const roster = await loadRoster(join(init.folder, ROSTER_FILE));
      say('Unseal');
      const unseal = await startCeremony(
        await loadScript(unsealScriptText(cast, 'Unseal after the restart of every peer'), 'unseal.yaml'),
        { ...setting, people: people(), roster },
        { records, scriptFile: 'unseal.yaml', rehearsal: true },
      );
      return unseal.folder;
    };
    const opened =
      seal === undefined ? { unsealRecord: await unsealRecord() } : await openBySeal(options, cluster, peers, seal);
    const verified = await signAndVerify(options, cast, everybody, init, join(directory, 'allowed_signers'));
    return {
      directory,
      peers: cluster.peers.map(({ address }) => ({ address, caFile: cluster.caFile })),
      shares: cast.script.shares,
      threshold: cast.script.threshold,
      custodians: shares.map(({ name, shareFile: file }) => ({
        name,
        gnupgHome: everybody.find((one) => one.name === name)?.gnupgHome ?? '',
        shareFile: file,
      })),
      roster: join(init.folder, ROSTER_FILE),
      record: init.folder,
      ...opened,
      report: join(init.folder, REPORT_FILE),
      verified,
      kept: false,
    };
  } finally {
    for (const peer of peers) peer.close();
  }
}

/** Restarts, and where there are several tokens once without one: the peers open by themselves. */
async function openBySeal(
  { say, signal }: RehearsalOptions,
  cluster: ThrowawayCluster,
  peers: readonly Peer[],
  seal: MadeUpSeal,
): Promise<object> {
  say('Restarting every peer: the HSM opens them, and nobody gives a share');
  await restartAll(cluster);
  await allOpen(peers, signal);
  if (seal.several) {
    say(`Restarting every peer without ${await seal.takeAway()}: the other two tokens open them`);
    await restartAll(cluster);
    await allOpen(peers, signal);
    await seal.putBack();
    say('The token is back: the servers encrypt with all three when they are restarted');
    await restartAll(cluster);
    await allOpen(peers, signal);
  }
  return {};
}

/** @throws QuorateError `sealed` when a peer does not open within a minute, `cancelled`. */
async function allOpen(peers: readonly Peer[], signal: AbortSignal): Promise<void> {
  const limit = Date.now() + OPEN_LIMIT;
  for (const peer of peers) {
    while (
      await peer.sealStatus({ signal }).then(
        (status) => status.sealed,
        () => true,
      )
    ) {
      if (signal.aborted) throw new QuorateError('cancelled', 'interrupted while the HSM was opening the peers');
      if (Date.now() > limit) throw new QuorateError('sealed', `${peer.name} does not open by its HSM`);
      await sleep(100);
    }
  }
}

async function restartAll(cluster: ThrowawayCluster): Promise<void> {
  await cluster.stop('SIGTERM');
  await Promise.all(cluster.peers.map((_, index) => cluster.start(index)));
}

/** Everybody signs the record, and it is checked against keys that lie outside of its folder. */
async function signAndVerify(
  { programs, say, signal }: RehearsalOptions,
  cast: Cast,
  everybody: readonly MadeUpCustodian[],
  { folder }: CeremonyOutcome,
  allowedSigners: string,
): Promise<boolean> {
  say('Everybody signs the record, which is then verified');
  const place = await locateRecord(folder);
  const signers = everybody.filter(({ name }) => cast.custodians.includes(name) || cast.others.includes(name));
  const lines: string[] = [];
  for (const { name, sshKeyFile, sshPublicFile } of signers) {
    const signed = await signRecord({ place, name, key: sshKeyFile, sshKeygen: programs.sshKeygen, signal });
    const principal = signed.file.replace(/^.*\//, '').replace(/\.sig$/, '');
    lines.push(`${principal} ${(await readText(sshPublicFile)).trim()}\n`);
  }
  await writeFile(allowedSigners, lines.join(''), { flag: 'wx', mode: 0o600 });
  const { ok } = await verifyFolder({
    place,
    allowedSigners,
    require: ['administrator', 'custodian', ...(cast.script.witnesses.length > 0 ? (['witness'] as const) : [])],
    sshKeygen: programs.sshKeygen,
    signal,
  });
  return ok;
}

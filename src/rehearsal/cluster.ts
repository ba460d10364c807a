import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { Flavour } from '../vault/flavour.ts';
import { writeKept } from './kept.ts';
import { addressOf, CA_FILE, choosePlaces, CONFIG_FILE, configure, emptyFolder, layOut } from './layout.ts';
import { PEER_FILES, type PeerPlace } from './server-config.ts';
import { ServerProcess } from './server-process.ts';
import { Watchdog } from './watchdog.ts';

const PORT_TRIES = 3;

export interface ClusterOptions {
  /** Made when it is not there, else it must be empty: everything in it is the cluster's, and goes with it. */
  readonly folder: string;
  /** The server's program, as `findServer` of the programs finds it. */
  readonly binary: string;
  readonly flavour: Flavour;
  /** Default 3. */
  readonly peers?: number;
  /** A file audit device in the configuration (OpenBao only; HashiCorp Vault takes them by API). Default true. */
  readonly audit?: boolean;
  /** The API ports, one a peer. Default: free ones. */
  readonly ports?: readonly number[];
  /** HCL: a seal stanza, other top-level settings, and lines inside the listener stanza. */
  readonly seal?: string;
  readonly extra?: string;
  readonly listener?: string;
  /** Variables for the servers, besides PATH and HOME: they get no other. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Called with the folder once it is there: what has to lie in it before a server starts, and what follows from that. */
  readonly prepare?: (folder: string) => Promise<Pick<ClusterOptions, 'seal' | 'environment'>>;
  readonly signal?: AbortSignal;
}

export interface ThrowawayPeer {
  /** `peer-1` and so on; the peer's Raft node id too. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly clusterPort: number;
  /** Undefined while it is not running. */
  readonly pid: number | undefined;
  /** The peer's own folder, and what is in it. */
  readonly folder: string;
  readonly dataFolder: string;
  readonly logFile: string;
  readonly auditFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** A real Raft cluster on 127.0.0.1. Peers are counted from 0. It ends when this process does, unless kept. */
export interface ThrowawayCluster {
  readonly folder: string;
  readonly flavour: Flavour;
  readonly caFile: string;
  /** A quorate.yaml with this cluster under the name `rehearsal`. */
  readonly configFile: string;
  readonly peers: readonly ThrowawayPeer[];
  /** The process that ends the servers when this one dies. */
  readonly watchdogPid: number | undefined;
  /** Starts a peer that is not running, and waits until it listens. @throws QuorateError `program-failed`, `cancelled`. */
  start(index: number): Promise<void>;
  /** Sends a signal (default SIGKILL), and waits for the end where the signal means one. */
  kill(index: number, signal?: NodeJS.Signals): Promise<void>;
  /** SIGTERM, then `start`. */
  restart(index: number): Promise<void>;
  /** Deletes a stopped peer's data, so that it starts as if it were new. */
  wipe(index: number): Promise<void>;
  /** Ends all peers (default by SIGKILL) and leaves the folder. `start` works afterwards. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Ends all peers and deletes the folder. */
  remove(): Promise<void>;
  /**
   * Lets the servers live when this process ends, until `stopKept`. `gnupgHomes` are removed then too.
   * Returns the file that says what runs.
   */
  keep(options?: { readonly gnupgHomes?: readonly string[] }): Promise<string>;
}

/**
 * Starts a cluster and waits until every peer listens; nothing is initialised. Peers join whichever is.
 * @throws QuorateError `file-exists` when the folder is not empty, `program-failed` with the end of a server's log,
 *   `cancelled`. Then no server is left, and a folder that was made here is gone.
 */
export async function startCluster(given: ClusterOptions): Promise<ThrowawayCluster> {
  const folder = await emptyFolder(given.folder);
  const watchdog = await Watchdog.start();
  let cluster: Cluster | undefined;
  try {
    const options = { ...given, ...(await given.prepare?.(folder)) };
    const names = Array.from({ length: options.peers ?? 3 }, (_, index) => `peer-${(index + 1).toString()}`);
    await layOut(folder, names);
    for (let tries = 1; ; tries += 1) {
      const places = await choosePlaces(names, options.ports);
      await configure(folder, places, {
        flavour: options.flavour,
        audit: options.audit ?? true,
        seal: options.seal ?? '',
        extra: options.extra ?? '',
        listener: options.listener ?? '',
      });
      cluster = new Cluster(folder, places, options, watchdog);
      try {
        await cluster.startAll();
        return cluster;
      } catch (error) {
        await cluster.killAll('SIGKILL');
        if (options.ports !== undefined || tries === PORT_TRIES || !portTaken(error)) throw error;
      }
    }
  } catch (error) {
    await watchdog.release();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

class Cluster implements ThrowawayCluster {
  readonly folder: string;
  readonly flavour: Flavour;
  readonly peers: readonly ThrowawayPeer[];
  readonly #processes: readonly ServerProcess[];
  readonly #signal: AbortSignal | undefined;
  // A promise, so that peers that are started side by side share one.
  #watchdog: Promise<Watchdog> | undefined;
  #watchdogPid: number | undefined;

  constructor(folder: string, places: readonly PeerPlace[], options: ClusterOptions, watchdog: Watchdog) {
    this.folder = folder;
    this.flavour = options.flavour;
    this.#signal = options.signal;
    this.#watchdog = Promise.resolve(watchdog);
    this.#watchdogPid = watchdog.pid;
    this.#processes = places.map(
      ({ name, port }) =>
        new ServerProcess({
          name,
          port,
          binary: options.binary,
          folder: join(folder, name),
          caFile: join(folder, CA_FILE),
          environment: options.environment ?? {},
        }),
    );
    this.peers = places.map((place, index) => describePeer(folder, place, () => this.#processes[index]?.pid));
  }

  get caFile(): string {
    return join(this.folder, CA_FILE);
  }

  get configFile(): string {
    return join(this.folder, CONFIG_FILE);
  }

  get watchdogPid(): number | undefined {
    return this.#watchdogPid;
  }

  async startAll(): Promise<void> {
    // One after the other, so that the watchdog always knows exactly those that run; this takes milliseconds.
    for (const process of this.#processes) await this.#spawn(process);
    await Promise.all(this.#processes.map((process) => process.listening(this.#signal)));
  }

  async start(index: number): Promise<void> {
    const process = this.#process(index);
    await this.#spawn(process);
    await process.listening(this.#signal);
  }

  async kill(index: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#process(index).kill(signal);
    await this.#guard();
  }

  async restart(index: number): Promise<void> {
    await this.kill(index, 'SIGTERM');
    await this.start(index);
  }

  async wipe(index: number): Promise<void> {
    const { running, place } = this.#process(index);
    if (running) throw new QuorateError('bug', `${place.name} must be stopped before its data is deleted`);
    const data = join(place.folder, PEER_FILES.data);
    await rm(data, { recursive: true, force: true });
    await mkdir(data, { mode: 0o700 });
  }

  async killAll(signal: NodeJS.Signals): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.kill(signal)));
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.killAll(signal);
    await this.#releaseWatchdog();
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  async keep(options: { readonly gnupgHomes?: readonly string[] } = {}): Promise<string> {
    const peers = this.peers.flatMap(({ name, address, pid, folder }) =>
      pid === undefined ? [] : [{ name, address, pid, config: join(folder, PEER_FILES.config) }],
    );
    const file = await writeKept({ folder: this.folder, peers, gnupgHomes: [...(options.gnupgHomes ?? [])] });
    await this.#releaseWatchdog();
    return file;
  }

  async #spawn(process: ServerProcess): Promise<void> {
    this.#watchdog ??= Watchdog.start();
    this.#watchdogPid = (await this.#watchdog).pid;
    await process.spawn(() => this.#guard());
  }

  async #releaseWatchdog(): Promise<void> {
    const watchdog = await this.#watchdog;
    this.#watchdog = undefined;
    this.#watchdogPid = undefined;
    await watchdog?.release();
  }

  async #guard(): Promise<void> {
    const watchdog = await this.#watchdog;
    await watchdog?.guard(this.#processes.flatMap(({ pid }) => (pid === undefined ? [] : [pid])));
  }

  #process(index: number): ServerProcess {
    const process = this.#processes[index];
    if (process === undefined) throw new QuorateError('bug', `the cluster has no peer ${index.toString()}`);
    return process;
  }
}

function describePeer(folder: string, place: PeerPlace, pid: () => number | undefined): ThrowawayPeer {
  const own = join(folder, place.name);
  return {
    ...place,
    address: addressOf(place),
    get pid() {
      return pid();
    },
    folder: own,
    dataFolder: join(own, PEER_FILES.data),
    logFile: join(own, PEER_FILES.log),
    auditFile: join(own, PEER_FILES.audit),
    certificateFile: join(own, PEER_FILES.certificate),
    keyFile: join(own, PEER_FILES.key),
  };
}

function portTaken(error: unknown): boolean {
  return isQuorateError(error, 'program-failed') && (error.hint ?? '').includes('address already in use');
}

import { homedir } from 'node:os';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { AuthSettings } from './auth.ts';
import type { ClusterConfig, Config, Policy } from './config.ts';
import type { Databases } from './database/database.ts';
import type { OpenPgp } from './openpgp/openpgp.ts';
import type { Pkcs11, RemoteLibrary } from './pkcs11/remote.ts';
import type { Job, JobRequest } from './programs/job.ts';
import type { Programs } from './programs/programs.ts';
import type { TakeSignals } from './process-guard.ts';
import type { SecretOutput } from './ui/secret-output.ts';
import type { Format, Output, Prompts } from './ui/terminal.ts';
import type { Secret } from './secret.ts';
import type { HeldLogin } from './vault/login/held.ts';
import type { Login } from './vault/login/outcome.ts';
import type { Entered } from './vault/namespace.ts';
import type { Peer } from './vault/peer.ts';

/** The world outside, as `main` was given it. */
export interface Streams {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Takes all signals for a command that runs a program, until what it returns is called. */
  readonly takeSignals?: TakeSignals;
}

/** A cluster that a command works on. */
export interface ConnectedCluster {
  readonly name: string;
  readonly peers: readonly Peer[];
  readonly policy: Policy;
  /** How to log in there. */
  readonly auth: AuthSettings;
  /** The namespace that the options, else the environment, name. */
  readonly namespace?: string;
  /** Where `quorate.yaml` describes it. */
  readonly config?: ClusterConfig;
}

/** Which cluster, and which peers of it, the options of a command name. */
export interface ClusterChoice {
  readonly cluster?: string;
  readonly peer?: readonly string[];
  /** A single server that no config describes. */
  readonly address?: string;
  readonly ca?: string;
  readonly pin?: string;
  /** A namespace with a seal of its own, from the root on. */
  readonly namespace?: string;
  /** Where logins are made and paths start, in place of what `quorate.yaml` or the environment says. */
  readonly homeNamespace?: string;
  /** How to log in, in place of what `quorate.yaml` says of the cluster: as `parseLogin` reads it, or read already. */
  readonly login?: string;
  readonly auth?: AuthSettings;
}

export interface LoginOptions {
  /** Saves a request: a token that is at hand is not looked up first (see `Surroundings` in vault/login). */
  readonly unchecked?: boolean;
  /** A token that quorate made is not revoked when the command ends: something hangs on it that outlives the command. */
  readonly lasting?: boolean;
}

/** The administrator's login for as long as a command runs. */
export interface CeremonyLogin {
  readonly login: (peer: Peer) => Promise<Login>;
  /** Revokes it. @returns what names the tokens that may live on. */
  readonly end: () => Promise<readonly string[]>;
}

/** What a command runs with. Everything that touches the world outside comes from here. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdin: NodeJS.ReadStream;
  readonly output: Output;
  readonly prompts: Prompts;
  readonly signal: AbortSignal;
  readonly takeSignals: TakeSignals;
  /** `quorate.yaml`, read once; undefined where there is none. @throws as `findConfig`. */
  config(): Promise<Config | undefined>;
  /**
   * The cluster that the options name, else the only one of `quorate.yaml`, else the server of BAO_ADDR or VAULT_ADDR.
   * Connects lazily: nothing is sent yet. @throws QuorateError `cluster-unknown`, `environment-hostile`, `usage`.
   */
  cluster(choice: ClusterChoice): Promise<ConnectedCluster>;
  /** The limits that `quorate.yaml` sets, or the default ones. */
  policy(): Promise<Policy>;
  /** The peers of a cluster that another config file describes, and nothing but that file. */
  peersOf(configFile: string, cluster: string): Promise<readonly Peer[]>;
  /**
   * Logs in on a peer (default: with a token from the environment, the helper or the token file). A token that is made
   * by this is revoked when the command ends.
   */
  login(peer: Peer, auth?: AuthSettings, options?: LoginOptions): Promise<Login>;
  /**
   * The cluster's peers, and logins on them, in the root or in a namespace with a seal of its own: see `enterNamespace`.
   * `logIn` logs in on the servers themselves.
   */
  enter(cluster: ConnectedCluster, logIn: CeremonyLogin['login'], namespace?: string): Promise<Entered>;
  /** A login on the peers of a cluster that is made once, and revoked by `end` where quorate itself logged in for it. */
  heldLogin(cluster: ConnectedCluster): CeremonyLogin;
  /** Runs a program of the user's, with this one's standard streams. @throws QuorateError `program-missing` (126, 127). */
  startJob(request: JobRequest): Promise<Job>;
  /** gpg, ssh-keygen and what runs them, loaded at the first call. */
  programs(): Promise<Programs>;
  /** OpenPGP with keys in files, loaded at the first call. */
  openpgp(): Promise<OpenPgp>;
  /** PKCS#11 libraries, through which HSMs are reached, loaded at the first call. */
  pkcs11(): Promise<Pkcs11>;
  /** Logins to databases, for proofs; a driver is loaded at the first login. */
  databases(): Promise<Databases>;
  /** Standard output, or another open descriptor, for a secret: never a terminal, but where somebody asked for that. */
  secretOutput(descriptor?: number, options?: { readonly terminal?: boolean }): Promise<SecretOutput>;
  /** Revokes the tokens that `login` made; then ends idle connections, and processes that hold libraries. */
  close(): Promise<void>;
}

/** Builds the context of one command. Adapters are loaded when a command first asks for them. */
export async function createContext(
  streams: Streams,
  options: { readonly format: Format; readonly config?: string },
): Promise<Context> {
  const { env, cwd, signal } = streams;
  const { format } = options;
  const [{ createOutput }, { createPrompts }] = await Promise.all([
    import('./ui/output.ts'),
    import('./ui/prompts.ts'),
  ]);
  const output = await createOutput({
    format,
    get stdout() {
      return streams.stdout;
    },
    stderr: streams.stderr,
    env,
  });
  const connected: Peer[] = [];
  const libraries: RemoteLibrary[] = [];
  const clusters: (readonly Peer[])[] = [];
  const logins: { readonly login: Login; readonly peers: readonly Peer[] }[] = [];
  const unwrapped = new Map<string, Secret>();
  let prompts: Prompts | undefined;
  let config: Promise<Config | undefined> | undefined;
  const logIn = async (peer: Peer, auth: AuthSettings, unchecked: boolean): Promise<Login> => {
    const { login } = await import('./vault/login/login.ts');
    const password = async (): Promise<Secret> =>
      context.prompts.secret('Password', { instead: 'password-file in quorate.yaml' });
    return login(peer, auth, { env, home: homedir(), signal, password, unchecked, unwrapped });
  };
  const context: Context = {
    env,
    cwd,
    signal,
    output,
    get stdin() {
      return streams.stdin;
    },
    // Looking at standard input opens it, which costs time that most commands need not spend.
    get prompts() {
      return (prompts ??= createPrompts(streams));
    },
    config: () => (config ??= readConfig(cwd, options.config)),
    cluster: async (choice) => {
      const { connectCluster } = await import('./connect-cluster.ts');
      const cluster = await connectCluster(choice, await context.config(), env, cwd);
      connected.push(...cluster.peers);
      clusters.push(cluster.peers);
      return cluster;
    },
    policy: async () => (await context.config())?.policy ?? (await import('./connect-cluster.ts')).DEFAULT_POLICY,
    peersOf: async (configFile, cluster) => {
      const [{ connectCluster }, { loadConfig }] = await Promise.all([
        import('./connect-cluster.ts'),
        import('./config.ts'),
      ]);
      const { peers } = await connectCluster({ cluster }, await loadConfig(configFile), {}, cwd);
      connected.push(...peers);
      return peers;
    },
    login: async (peer, auth = { method: 'token' }, { unchecked = false, lasting = false } = {}) => {
      const made = await logIn(peer, auth, unchecked);
      // A batch token, which has no accessor, cannot be revoked: it is short-lived instead.
      if (made.own && !lasting && made.accessor !== undefined) {
        // Never a token to the peers of another cluster.
        const peers = clusters.find((one) => one.includes(peer)) ?? [peer];
        logins.push({ login: { ...made, session: made.session.at(peer) }, peers });
      }
      return made;
    },
    enter: async (cluster, logIn, namespace = '') => {
      const { enterNamespace } = await import('./vault/namespace.ts');
      const entered = enterNamespace(cluster.peers, namespace, { home: cluster.config?.namespace ?? '', logIn });
      connected.push(...entered.peers);
      return entered;
    },
    heldLogin: ({ peers, auth }) => {
      const make = (peer: Peer): Promise<Login> => logIn(peer, auth, false);
      // A token that somebody else made is theirs to revoke.
      if (auth.method === 'token' || auth.method === 'token-file') {
        return { login: make, end: () => Promise.resolve([]) };
      }
      let held: HeldLogin | undefined;
      return {
        login: async (peer) => {
          const { HeldLogin: Held } = await import('./vault/login/held.ts');
          return (held ??= new Held(make)).login(peer);
        },
        end: () => held?.end(peers) ?? Promise.resolve([]),
      };
    },
    takeSignals: streams.takeSignals ?? (() => () => undefined),
    startJob: async (request) => (await import('./programs/job.ts')).startJob(request),
    programs: async () => (await import('./programs/programs.ts')).loadPrograms(env),
    openpgp: async () => (await import('./openpgp/openpgp.ts')).loadOpenPgp(),
    pkcs11: async () => {
      const [{ openRemote }, { parseSlot }] = await Promise.all([
        import('./pkcs11/remote.ts'),
        import('./pkcs11/token.ts'),
      ]);
      return {
        parseSlot,
        open: async (path, opening = {}) => {
          const library = await openRemote(path, { env, signal, ...opening });
          libraries.push(library);
          return library;
        },
      };
    },
    databases: async () => (await import('./database/open.ts')).databases,
    secretOutput: async (descriptor, options) =>
      (await import('./ui/secret-output.ts')).createSecretOutput(descriptor, options),
    close: async () => {
      try {
        if (logins.length > 0) {
          const { endLogins } = await import('./vault/login/held.ts');
          for (const left of await endLogins(logins.splice(0))) {
            output.warn(`the login is not known to be revoked, and lives on until it expires: ${left}`);
          }
        }
      } finally {
        for (const secret of unwrapped.values()) secret.wipe();
        for (const peer of connected) peer.close();
        for (const library of libraries) library.close();
      }
    },
  };
  return context;
}

async function readConfig(cwd: string, named: string | undefined): Promise<Config | undefined> {
  // Without a file there is nothing to check, and the checker need not be loaded.
  if (named === undefined && !existsSync(join(cwd, 'quorate.yaml'))) return undefined;
  return (await import('./config.ts')).findConfig(cwd, named);
}

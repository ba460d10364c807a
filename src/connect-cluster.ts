import { resolve } from 'node:path';
import type { AuthSettings } from './auth.ts';
import type { ClusterConfig, Config, PeerConfig, Policy } from './config.ts';
import type { ClusterChoice, ConnectedCluster } from './context.ts';
import { QuorateError } from './errors.ts';
import { connectPeer } from './vault/connect.ts';
import { readVariable, settingsFromEnvironment } from './vault/environment.ts';
import type { PeerSettings } from './vault/settings.ts';

/** The limits where no `quorate.yaml` sets others; the same as the defaults of its schema (a test compares them). */
export const DEFAULT_POLICY: Policy = {
  'smallest-threshold': 2,
  'largest-clock-skew-seconds': 5,
  'shortest-key-validity-days': 365,
  'longest-wait-minutes': 240,
};

/** A part of a namespace's name, and what a token or a share looks like. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const SECRET = /^(?:hv)?[sbr]\.[A-Za-z0-9_-]{20}|^[A-Za-z0-9]{32,}$/;

/** What a cluster is called that no config describes. */
const SINGLE = 'server';

/**
 * Resolves what a command's options name: an address of its own, a cluster of the config, or the environment's server;
 * the namespace that they, else the environment, mean; and how to log in there.
 * @throws QuorateError `cluster-unknown`, `usage` (both an address and a cluster), `environment-hostile`.
 */
export async function connectCluster(
  choice: ClusterChoice,
  config: Config | undefined,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): Promise<ConnectedCluster> {
  const auth = choice.login === undefined ? choice.auth : (await import('./auth.ts')).parseLogin(choice.login, cwd);
  const cluster = await chosenCluster({ ...choice, ...(auth === undefined ? {} : { auth }) }, config, env, cwd);
  const namespace = (choice.namespace ?? readVariable(env, 'NAMESPACE') ?? '').replace(/^\/+|\/+$/g, '');
  // It goes into titles and records: nothing that was given in the wrong place may get there.
  if (namespace.split('/').some((part) => part !== '' && (!NAME.test(part) || SECRET.test(part)))) {
    throw new QuorateError('usage', 'what is given for a namespace is not the name of one', {
      hint: 'Names from the root on, such as team/a: letters, digits, dots, dashes.',
    });
  }
  return namespace === '' ? cluster : { ...cluster, namespace };
}

async function chosenCluster(
  choice: ClusterChoice,
  config: Config | undefined,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): Promise<ConnectedCluster> {
  const policy = config?.policy ?? DEFAULT_POLICY;
  const given = choice.auth ?? { method: 'token' };
  if (choice.address !== undefined) {
    if (choice.cluster !== undefined || choice.peer !== undefined) {
      throw new QuorateError(
        'usage',
        '--address names a single server; --cluster and --peer name what quorate.yaml describes',
      );
    }
    return { name: SINGLE, policy, auth: given, peers: [connectPeer(singleServer(choice, env, cwd))] };
  }
  if (
    config !== undefined &&
    (choice.cluster !== undefined || choice.peer !== undefined || settingsFromEnvironment(env) === undefined)
  ) {
    const { chooseCluster } = await import('./config.ts');
    const { name, cluster } = chooseCluster(config, choice.cluster);
    const peers = choosePeers(cluster.peers, choice.peer);
    const auth = choice.auth ?? cluster.auth;
    const home = homeOf(choice);
    const settings = peers.map((peer) => ({ ...settingsOf(peer, cluster, env), ...certificateOf(auth), ...home }));
    return { name, policy, auth, config: cluster, peers: settings.map(connectPeer) };
  }
  const settings = settingsFromEnvironment(env);
  if (settings === undefined || (choice.cluster ?? SINGLE) !== SINGLE) {
    throw new QuorateError('cluster-unknown', 'no cluster is named, and there is no quorate.yaml here', {
      hint: 'Write a quorate.yaml, name one with --config, or give --address or BAO_ADDR.',
    });
  }
  return { name: SINGLE, policy, auth: given, peers: [connectPeer({ ...settings, ...flags(choice, cwd) })] };
}

function singleServer(
  choice: ClusterChoice,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): PeerSettings {
  const address = choice.address ?? '';
  const fromEnvironment = settingsFromEnvironment({ ...env, BAO_ADDR: address });
  if (fromEnvironment === undefined) throw new QuorateError('usage', '--address is empty');
  // It goes onto the screen as the server's name.
  if (SECRET.test(address)) {
    throw new QuorateError('usage', 'what is given for an address is not one, and is not shown', {
      hint: 'Such as https://vault.example:8200. If it is a token or a share, consider it known: it is in the history of your shell.',
    });
  }
  return { ...fromEnvironment, ...flags(choice, cwd) };
}

function flags(choice: ClusterChoice, cwd: string): Partial<PeerSettings> {
  return {
    ...(choice.ca === undefined ? {} : { ca: resolve(cwd, choice.ca) }),
    ...(choice.pin === undefined ? {} : { pin: choice.pin }),
    ...(choice.auth === undefined ? {} : certificateOf(choice.auth)),
    ...homeOf(choice),
  };
}

function homeOf({ homeNamespace }: ClusterChoice): Pick<PeerSettings, 'namespace'> {
  return homeNamespace === undefined ? {} : { namespace: homeNamespace };
}

/** A login by certificate is good only with connections that show it, renewals too. */
function certificateOf(auth: AuthSettings): Pick<PeerSettings, 'clientCertificate' | 'clientKey'> {
  if (auth.method !== 'cert' || auth.certificate === undefined || auth.key === undefined) return {};
  return { clientCertificate: auth.certificate, clientKey: auth.key };
}

function choosePeers(peers: readonly PeerConfig[], names: readonly string[] | undefined): readonly PeerConfig[] {
  if (names === undefined) return peers;
  const unknown = names.filter((name) => !peers.some((peer) => peer.name === name));
  if (unknown.length === 0) return peers.filter((peer) => names.includes(peer.name));
  throw new QuorateError('cluster-unknown', `no peer is called ${unknown.join(', ')}`, {
    hint: `The cluster has: ${peers.map((peer) => peer.name).join(', ')}.`,
  });
}

function settingsOf(
  peer: PeerConfig,
  cluster: ClusterConfig,
  env: Readonly<Record<string, string | undefined>>,
): PeerSettings {
  const environment = settingsFromEnvironment({ ...env, BAO_ADDR: peer.address });
  return {
    ...(environment?.timeout === undefined ? {} : { timeout: environment.timeout }),
    name: peer.name,
    address: peer.address,
    ...(peer.pin === undefined ? {} : { pin: peer.pin }),
    ...(peer['server-name'] === undefined ? {} : { serverName: peer['server-name'] }),
    ...(cluster.ca === undefined ? {} : { ca: cluster.ca }),
    ...(cluster['client-certificate'] === undefined ? {} : { clientCertificate: cluster['client-certificate'] }),
    ...(cluster['client-key'] === undefined ? {} : { clientKey: cluster['client-key'] }),
    ...(cluster.namespace === undefined ? {} : { namespace: cluster.namespace }),
  };
}

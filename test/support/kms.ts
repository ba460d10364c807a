import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { KmsPlugin } from '../../src/kms/client.ts';
import { installPlugin, type Installed, pluginStanza } from '../../src/kms/install.ts';
import type { ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import { callPeer, freshCluster, temporaryFolder } from './cluster.ts';
import { at, type HttpReply } from './http.ts';
import { SOFTHSM_MODULE, type SoftHsm, type SoftToken } from './softhsm.ts';
import { waitUntil } from './wait.ts';

export type Stanza = Readonly<Record<string, string>>;

const plugins: KmsPlugin[] = [];
afterAll(async () => {
  await Promise.all(plugins.splice(0).map((plugin) => plugin.kill()));
});

/** The built plugin, installed as an administrator does it, on the Node that runs the tests. */
export async function installed(): Promise<Installed> {
  const folder = join(await temporaryFolder(), 'plugins');
  await mkdir(folder, { mode: 0o755 });
  return installPlugin({ folder, node: process.execPath });
}

/** Launches the plugin without a server, and configures it. It ends at the end of the test file, at the latest. */
export async function launched(
  { path, sha256 }: Pick<Installed, 'path' | 'sha256'>,
  env: Readonly<Record<string, string>>,
  stanza?: Stanza,
): Promise<KmsPlugin> {
  const { PATH = '', TMPDIR } = process.env;
  const plugin = await KmsPlugin.launch({ command: path, sha256, env: { PATH, TMPDIR, ...env } });
  plugins.push(plugin);
  if (stanza !== undefined) await plugin.setConfig(stanza);
  return plugin;
}

/** A stanza for one token whose key is called `seal`. */
export function oneToken({ label, pin }: SoftToken, more: Stanza = {}): Stanza {
  return { lib: SOFTHSM_MODULE, token_label: label, pin, key_label: 'seal', ...more };
}

/** A stanza for several. */
export function severalTokens(tokens: readonly SoftToken[], threshold: number, more: Stanza = {}): Stanza {
  const own = tokens.flatMap(({ label, pin }, index) => [
    [`token${(index + 1).toString()}_token_label`, label],
    [`token${(index + 1).toString()}_pin`, pin],
  ]);
  return {
    lib: SOFTHSM_MODULE,
    key_label: 'seal',
    threshold: threshold.toString(),
    ...(Object.fromEntries(own) as Stanza),
    ...more,
  };
}

/** Tokens with an AES key called `seal` that cannot be had from them. */
export async function sealTokens(hsm: SoftHsm, ...labels: readonly string[]): Promise<SoftToken[]> {
  const tokens: SoftToken[] = [];
  for (const label of labels) {
    const token = await hsm.addToken(label, { pin: `1234-${label}` });
    await hsm.addKey(token, 'AES:32', 'seal', '01', '--sensitive');
    tokens.push(token);
  }
  return tokens;
}

/** SoftHSM in a library of its own that hangs while a file exists, fails once when told to, and counts logins. */
export interface SlowLibrary {
  readonly lib: string;
  readonly env: Readonly<Record<string, string>>;
  hang(): void;
  goOn(): void;
  /** The next encryption fails as one does whose HSM hiccups. */
  failOnce(): void;
  /** Whether that has not happened yet. */
  isToFail(): boolean;
  /** How often somebody has tried to log in. */
  logins(): number;
}

export async function slowLibrary(): Promise<SlowLibrary> {
  const folder = await temporaryFolder();
  const [lib, real] = [join(folder, 'libslow.so'), join(folder, 'libreal.so')];
  copyFileSync(SOFTHSM_MODULE, real);
  execFileSync('gcc', ['-shared', '-fPIC', '-w', '-o', lib, join(import.meta.dirname, 'pkcs11-slow.c'), '-ldl']);
  const [hang, fail, logins] = [join(folder, 'hang'), join(folder, 'fail'), join(folder, 'logins')];
  return {
    lib,
    env: { SLOW_REAL: real, SLOW_WHILE: hang, SLOW_FAIL: fail, SLOW_LOGINS: logins },
    hang: () => {
      writeFileSync(hang, '');
    },
    goOn: () => {
      rmSync(hang, { force: true });
    },
    failOnce: () => {
      writeFileSync(fail, '');
    },
    isToFail: () => existsSync(fail),
    logins: () => (existsSync(logins) ? readFileSync(logins).length : 0),
  };
}

/** What a server's configuration holds for the plugin, and a seal. */
export function sealHcl(plugin: Pick<Installed, 'path' | 'sha256'>, stanza: Stanza): string {
  const lines = Object.entries(stanza).map(([key, value]) => `  ${key} = ${JSON.stringify(value)}`);
  return [...pluginStanza(plugin), '', 'seal "quorate-kms" {', ...lines, '}', ''].join('\n');
}

/** One OpenBao server with the seal; nothing is initialised. */
export function sealedServer(
  plugin: Pick<Installed, 'path' | 'sha256'>,
  stanza: Stanza,
  environment: Readonly<Record<string, string>>,
): Promise<ThrowawayCluster> {
  return freshCluster({ peers: 1, audit: false, seal: sealHcl(plugin, stanza), environment });
}

/** Writes another seal stanza into the configuration of a server, for its next start. */
export async function changeSeal(
  cluster: ThrowawayCluster,
  plugin: Pick<Installed, 'path' | 'sha256'>,
  stanza: Stanza,
): Promise<void> {
  const file = join(cluster.peers[0]?.folder ?? '', 'server.hcl');
  const text = await readFile(file, 'utf8');
  const start = text.indexOf('plugin_directory');
  const end = text.indexOf('\n}\n', text.indexOf('seal "')) + 3;
  await writeFile(file, text.slice(0, start) + sealHcl(plugin, stanza) + text.slice(end));
}

/** Initialises with one recovery share; the reply, whatever it is. */
export function initServer(cluster: ThrowawayCluster): Promise<HttpReply> {
  return callPeer(cluster, 0, 'PUT', 'sys/init', { body: { recovery_shares: 1, recovery_threshold: 1 } });
}

export function unsealed(cluster: ThrowawayCluster): Promise<boolean> {
  return callPeer(cluster, 0, 'GET', 'sys/seal-status').then((reply) => at(reply.body, 'sealed') === false);
}

export async function waitUnsealed(cluster: ThrowawayCluster): Promise<void> {
  await waitUntil('the server has unsealed itself', () => unsealed(cluster));
}

/** What the server has logged since `from` characters, with the quotes in its errors as they were before it quoted them. */
export async function logOf(cluster: ThrowawayCluster, from = 0): Promise<string> {
  const log = await readFile(cluster.peers[0]?.logFile ?? '', 'utf8');
  return log.replaceAll(String.raw`\"`, '"').slice(from);
}

/** Waits until the log of the server, after `from` characters, has `text`. */
export async function waitForLog(cluster: ThrowawayCluster, text: string, from = 0): Promise<string> {
  return waitUntil(`the log says: ${text}`, async () => {
    const log = await logOf(cluster, from);
    return log.includes(text) && log;
  });
}

/**
 * Waits until a server has looked, as the leader, at what it has stored, and has encrypted that anew where it had to. As
 * a standby it looks too, a moment before it leads.
 */
export async function waitEncryptedAnew(cluster: ThrowawayCluster, from: number): Promise<void> {
  await waitUntil('the leader has looked at what it has stored', async () =>
    /starting raft active node[^]*post-unseal setup complete/.test(await logOf(cluster, from)),
  );
}

import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import * as v from 'valibot';
import { authSchema, withAbsoluteFiles } from './auth.ts';
import { QuorateError } from './errors.ts';
import { readText } from './files.ts';
import { readPlainYaml } from './plain-yaml.ts';
import { namespacePath, shareName, walletSchema } from './wallet-config.ts';

/** The name that is looked for in the working folder when no `--config` is given. */
export const CONFIG_FILE = 'quorate.yaml';

const name = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'letters, digits, dots, dashes'));
const path = v.pipe(v.string(), v.minLength(1));
const whole = v.pipe(v.number(), v.integer(), v.minValue(0));

const address = v.pipe(
  v.string(),
  v.regex(/^(https:\/\/|http:\/\/|unix:\/\/\/)[^\s?#@]+$/, 'an address such as https://vault-1.example:8200'),
);

const peer = v.strictObject({
  name,
  address,
  'pin': v.optional(
    v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/, 'sha256: and 64 lower-case hexadecimal digits')),
  ),
  'server-name': v.optional(name),
});

const cluster = v.strictObject({
  'peers': v.pipe(
    v.array(peer),
    v.minLength(1),
    v.check((peers) => new Set(peers.map((one) => one.name)).size === peers.length, 'two peers have the same name'),
    v.check(
      (peers) => new Set(peers.map((one) => one.address)).size === peers.length,
      'two peers have the same address',
    ),
  ),
  'ca': v.optional(path),
  'client-certificate': v.optional(path),
  'client-key': v.optional(path),
  'namespace': v.optional(v.pipe(v.string(), v.minLength(1))),
  'auth': v.optional(authSchema, { method: 'token' }),
  'roster': v.optional(path),
  /** As `quorate status` shows it: another cluster under the same addresses is then refused. */
  'cluster-id': v.optional(v.pipe(v.string(), v.uuid('the id of a cluster, as quorate status shows it'))),
  /** Those that have seals of their own, and the rosters of their shares. */
  'namespaces': v.optional(
    v.pipe(
      v.array(v.strictObject({ path: namespacePath, roster: v.optional(path) })),
      v.check((list) => new Set(list.map((one) => one.path)).size === list.length, 'a namespace is named twice'),
    ),
    [],
  ),
});

const wallet = walletSchema(authSchema);

const policy = v.strictObject({
  'smallest-threshold': v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 2),
  'largest-clock-skew-seconds': v.optional(whole, 5),
  'shortest-key-validity-days': v.optional(whole, 365),
  /** How long a question waits for its answer before the ceremony is given up; 0: for ever. */
  'longest-wait-minutes': v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(10_000)), 240),
});

const schema = v.strictObject({
  clusters: v.pipe(
    v.record(name, cluster),
    v.check((clusters) => Object.keys(clusters).length > 0, 'no cluster is described'),
  ),
  policy: v.optional(policy, {}),
  wallets: v.optional(v.record(shareName, wallet), {}),
  records: v.optional(path, 'records'),
});

export type PeerConfig = v.InferOutput<typeof peer>;
export type ClusterConfig = v.InferOutput<typeof cluster>;
export type WalletConfig = v.InferOutput<typeof wallet>;
export type Policy = v.InferOutput<typeof policy>;

export interface Config extends v.InferOutput<typeof schema> {
  /** The file it came from, and the folder that its relative paths start from. */
  readonly file: string;
  readonly folder: string;
  readonly text: string;
}

/**
 * Reads and checks `quorate.yaml`.
 * @throws QuorateError `file-missing`, `file-invalid`, or `document-invalid` with every fault at once.
 */
export async function loadConfig(file: string): Promise<Config> {
  const text = await readText(file);
  const folder = dirname(resolve(file));
  const config = await check(text, file);
  const clusters = Object.fromEntries(
    Object.entries(config.clusters).map(([key, one]) => [key, withAbsolutePaths(one, folder)]),
  );
  const wallets = Object.fromEntries(
    Object.entries(config.wallets).map(([key, one]) => [key, { ...one, nodes: withAbsoluteLogins(one.nodes, folder) }]),
  );
  return { ...config, clusters, wallets, records: resolve(folder, config.records), file: resolve(file), folder, text };
}

/** Every command reads it, so the YAML library is loaded only for what is not plain, and to say what is wrong. */
async function check(text: string, file: string): Promise<v.InferOutput<typeof schema>> {
  const plain = readPlainYaml(text);
  const checked = plain === undefined ? undefined : v.safeParse(schema, plain);
  if (checked?.success === true) return checked.output;
  return (await import('./document.ts')).parseDocument(text, schema, { file });
}

/** The config that `--config` names, else `quorate.yaml` in `cwd`, else undefined. */
export async function findConfig(cwd: string, named?: string): Promise<Config | undefined> {
  if (named !== undefined) return loadConfig(resolve(cwd, named));
  const file = join(cwd, CONFIG_FILE);
  return existsSync(file) ? loadConfig(file) : undefined;
}

/**
 * The cluster that is meant: the named one, or the only one.
 * @throws QuorateError `cluster-unknown`.
 */
export function chooseCluster(
  config: Config,
  named?: string,
): { readonly name: string; readonly cluster: ClusterConfig } {
  const names = Object.keys(config.clusters);
  const chosen = named ?? (names.length === 1 ? names[0] : undefined);
  const found = chosen === undefined ? undefined : config.clusters[chosen];
  if (chosen === undefined || found === undefined) {
    throw new QuorateError(
      'cluster-unknown',
      named === undefined ? `${config.file} describes several clusters` : `${config.file} describes no such cluster`,
      { hint: `Name one with --cluster: ${names.join(', ')}.` },
    );
  }
  return { name: chosen, cluster: found };
}

function withAbsoluteLogins(nodes: WalletConfig['nodes'], folder: string): WalletConfig['nodes'] {
  return Object.fromEntries(
    Object.entries(nodes).map(([key, { auth, ...node }]) => [
      key,
      auth === undefined ? node : { ...node, auth: withAbsoluteFiles(auth, folder) },
    ]),
  );
}

function withAbsolutePaths(cluster: ClusterConfig, folder: string): ClusterConfig {
  const absolute = { ...cluster, auth: withAbsoluteFiles(cluster.auth, folder) };
  for (const key of ['ca', 'client-certificate', 'client-key', 'roster'] as const) {
    const value = cluster[key];
    if (value !== undefined) absolute[key] = resolve(folder, value);
  }
  absolute.namespaces = cluster.namespaces.map((one) =>
    one.roster === undefined ? one : { ...one, roster: resolve(folder, one.roster) },
  );
  return absolute;
}

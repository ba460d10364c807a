import { readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { QuorateError } from '../errors.ts';
import { fileError, readText, replaceFile } from '../files.ts';
import type { RunProgram } from '../programs/run.ts';
import { isMadeUpHome, removeHome } from './gnupg-home.ts';

/** The file in a kept cluster's folder that says what still runs. */
export const KEPT_FILE = 'cluster.json';

const POLL = 50;
const GRACE = 5_000;

const schema = v.strictObject({
  quorate: v.literal('kept cluster'),
  folder: v.string(),
  peers: v.array(
    v.strictObject({
      name: v.string(),
      address: v.string(),
      pid: v.pipe(v.number(), v.integer(), v.minValue(2)),
      config: v.string(),
    }),
  ),
  gnupgHomes: v.array(v.string()),
});

type KeptCluster = Omit<v.InferOutput<typeof schema>, 'quorate'>;
type KeptPeer = KeptCluster['peers'][number];

/** Writes what a kept cluster consists of; returns the file's path. */
export async function writeKept(cluster: KeptCluster): Promise<string> {
  const file = join(cluster.folder, KEPT_FILE);
  await replaceFile(file, `${JSON.stringify({ quorate: 'kept cluster', ...cluster }, undefined, 2)}\n`);
  return file;
}

/**
 * Ends a cluster that was kept in `folder`, with the GnuPG homes of its custodians, and deletes the folder.
 * A process is ended only when it runs with this cluster's own configuration file, in its own folder (read from
 * /proc, so Linux only): a process id that by now belongs to somebody else is left alone.
 * Returns the names of the peers that were running.
 * @throws QuorateError `file-missing` or `file-invalid` when no cluster was kept there, or when it was moved;
 *   `program-failed` when a server does not end. Then nothing is deleted.
 */
export async function stopKept(folder: string, run: RunProgram): Promise<{ readonly stopped: readonly string[] }> {
  const place = await realpath(folder).catch((error: unknown) => {
    throw fileError(folder, error);
  });
  const cluster = await readKept(place);
  const stopped: string[] = [];
  for (const peer of cluster.peers) if ((await serversOf(peer)).length > 0) stopped.push(peer.name);
  await Promise.all(cluster.peers.map(endServer));
  for (const home of cluster.gnupgHomes) if (isMadeUpHome(home, place)) await removeHome(home, run);
  await rm(place, { recursive: true, force: true });
  return { stopped };
}

async function readKept(folder: string): Promise<KeptCluster> {
  const file = join(folder, KEPT_FILE);
  const text = await readText(file);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new QuorateError('file-invalid', `${file} is not JSON`);
  }
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) throw new QuorateError('file-invalid', `${file} does not describe a kept cluster`);
  if (parsed.output.folder !== folder) {
    throw new QuorateError('file-invalid', `${file} describes a cluster in another folder`, {
      hint: 'The folder was moved or copied. Stop the cluster where it was started.',
    });
  }
  return parsed.output;
}

/**
 * The processes that are this peer's server, also one that somebody has restarted by hand since: their arguments name
 * the peer's configuration, and they work in its folder.
 */
async function serversOf(peer: KeptPeer): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const own = await Promise.all(pids.map((pid) => isServer(pid, peer)));
  return pids.filter((_, index) => own[index] === true);
}

async function isServer(pid: number, { config }: KeptPeer): Promise<boolean> {
  const proc = `/proc/${pid.toString()}`;
  try {
    const args = (await readFile(`${proc}/cmdline`, 'utf8')).split('\0');
    return args.includes(`-config=${config}`) && (await readlink(`${proc}/cwd`)) === dirname(config);
  } catch {
    return false;
  }
}

async function endServer(peer: KeptPeer): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const pid of await serversOf(peer)) send(pid, signal);
    const limit = Date.now() + GRACE;
    while (Date.now() < limit) {
      if ((await serversOf(peer)).length === 0) return;
      await sleep(POLL);
    }
  }
  throw new QuorateError('program-failed', `${peer.name} (${(await serversOf(peer)).join(', ')}) does not end`);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself, or is not ours: the caller looks again.
  }
}

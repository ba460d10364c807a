import { mkdir, readdir, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { QuorateError } from '../errors.ts';
import { fileError, replaceFile, writeExclusive } from '../files.ts';
import { makeCertificates, type PeerCertificate } from './certificates.ts';
import { freePorts } from './ports.ts';
import { PEER_FILES, type PeerPlace, serverConfig, type ServerConfigOptions } from './server-config.ts';

/** Files in a throwaway cluster's own folder, beside a folder for each peer. */
export const CA_FILE = 'ca.pem';
export const CONFIG_FILE = 'quorate.yaml';

export function addressOf({ port }: PeerPlace): string {
  return `https://127.0.0.1:${port.toString()}`;
}

/**
 * Makes `path`, or takes it when it is empty; its real path.
 * @throws QuorateError `file-exists` when something is in it, `file-invalid`.
 */
export async function emptyFolder(path: string): Promise<string> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    if ((await readdir(path)).length > 0) {
      throw new QuorateError('file-exists', `${path} is not empty`, {
        hint: 'A throwaway cluster wants a folder of its own, because it deletes it in the end.',
      });
    }
    return await realpath(path);
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Writes certificates and makes the peers' folders: what does not depend on the ports. */
export async function layOut(folder: string, names: readonly string[]): Promise<void> {
  const certificates = await makeCertificates(names);
  try {
    await writeExclusive(join(folder, CA_FILE), certificates.ca);
    await Promise.all(
      names.map(async (name, index) => {
        const own = join(folder, name);
        await mkdir(join(own, PEER_FILES.data), { recursive: true, mode: 0o700 });
        await writeCertificate(own, certificates.peers[index] as PeerCertificate);
      }),
    );
  } finally {
    for (const { key } of certificates.peers) key.wipe();
  }
}

async function writeCertificate(folder: string, { certificate, key }: PeerCertificate): Promise<void> {
  await writeExclusive(join(folder, PEER_FILES.certificate), certificate);
  await key.expose((bytes) => writeExclusive(join(folder, PEER_FILES.key), bytes));
}

/** Ports for the peers; those of `ports` are taken as they are. Throws as `freePorts`. */
export async function choosePlaces(names: readonly string[], ports?: readonly number[]): Promise<readonly PeerPlace[]> {
  const free = await freePorts(2 * names.length);
  return names.map((name, index) => ({
    name,
    port: ports?.[index] ?? (free[2 * index] as number),
    clusterPort: free[2 * index + 1] as number,
  }));
}

/** Writes the servers' configurations, and a quorate.yaml that names the cluster. */
export async function configure(
  folder: string,
  places: readonly PeerPlace[],
  settings: ServerConfigOptions,
): Promise<void> {
  await Promise.all(
    places.map(async (place) => {
      const own = join(folder, place.name);
      await replaceFile(join(own, PEER_FILES.config), serverConfig(place, places, settings));
      // A log of an earlier try, with other ports, would be blamed on this one.
      await writeFile(join(own, PEER_FILES.log), '', { mode: 0o600 });
    }),
  );
  const peers = places.map((place) => `      - { name: ${place.name}, address: '${addressOf(place)}' }\n`).join('');
  const text = `# A throwaway cluster on this machine.\nclusters:\n  rehearsal:\n    ca: ${CA_FILE}\n    peers:\n${peers}`;
  await replaceFile(join(folder, CONFIG_FILE), text);
}

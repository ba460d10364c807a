import type { LiveCluster } from './cluster.ts';
import { type Apart, type Custodian, type Invited, joins, reroute } from './apart.ts';
import { startCuttingProxy } from './cutting-proxy.ts';
import type { TestTerminal } from './terminal.ts';

/** What rotations with custodians apart share, whichever server they are on. */

/** The script of one that gives everybody a new share. */
export function rotationTo({ crew }: Apart): Readonly<Record<string, unknown>> {
  return {
    ceremony: 'rotate-root-key',
    shares: 3,
    threshold: 2,
    custodians: crew.map(({ name, pgpFile, fingerprint, sshFingerprint }) => ({
      name,
      pgp: { file: pgpFile, fingerprint },
      ssh: { fingerprint: sshFingerprint },
    })),
  };
}

/** The custodian gives, and their machine is killed while it waits for the answer of the server, which has acted. */
export async function killBetween(
  place: Apart,
  person: Custodian,
  to: Invited,
  path: RegExp,
  ...args: readonly string[]
): Promise<void> {
  const { cluster } = place.live;
  const proxies = await Promise.all(cluster.peers.map((_, index) => startCuttingProxy(cluster, index)));
  await reroute(
    place,
    person,
    proxies.map(({ address }) => address),
  );
  const struck = Promise.race(proxies.map((one) => one.cut({ method: 'PUT', path, fault: { kind: 'freeze' } })));
  const terminal = joins(person, to.file, '--words', to.words, ...args);
  await Promise.race([struck, terminal.exit.then(() => Promise.reject(new Error(terminal.screen())))]);
  terminal.kill('SIGKILL');
  await terminal.exit;
  await reroute(place, person);
  await Promise.all(proxies.map((one) => one.close()));
}

/** Restarts the peer that the administrator is told to restart, and says that it is done. */
export async function restartAsAsked(desk: TestTerminal, { cluster }: LiveCluster): Promise<void> {
  const screen = await desk.waitFor(/Restart the server of (\S+),/, 60_000);
  const name = /Restart the server of (\S+),/.exec(screen)?.[1];
  await cluster.restart(cluster.peers.findIndex((peer) => peer.name === name));
  desk.press('enter');
}

/** Starts a cluster and a custodian, prints their process ids as JSON, and waits to be killed. For watchdog.real.test.ts. */
import { join } from 'node:path';
import { argv, env, stdout } from 'node:process';
import { programRunner } from '../../../src/programs/run.ts';
import { startCluster } from '../../../src/rehearsal/cluster.ts';
import { createCustodians } from '../../../src/rehearsal/custodians.ts';

async function main(folder: string, binary: string): Promise<void> {
  const cluster = await startCluster({ folder: join(folder, 'cluster'), binary, flavour: 'openbao' });
  const { gnupgHomes } = await createCustodians({
    folder: join(folder, 'people'),
    names: ['Alice'],
    run: programRunner(env),
  });
  const pids = cluster.peers.map((peer) => peer.pid);
  stdout.write(`${JSON.stringify({ pids, watchdog: cluster.watchdogPid, gnupgHomes })}\n`);
  setInterval(() => undefined, 60_000);
}

void main(argv[2] ?? '', argv[3] ?? '');

/**
 * Starts a cluster and a custodian and prints their process ids as JSON. Then it waits to be killed; called with
 * `keep` it keeps them and ends.
 */
import { join } from 'node:path';
import { argv, env, stdout } from 'node:process';
import { programRunner } from '../../../src/programs/run.ts';
import { startCluster } from '../../../src/rehearsal/cluster.ts';
import { createCustodians } from '../../../src/rehearsal/custodians.ts';

async function main(folder: string, binary: string, keep: boolean): Promise<void> {
  const cluster = await startCluster({ folder: join(folder, 'cluster'), binary, flavour: 'openbao' });
  const custodians = await createCustodians({
    folder: join(folder, 'people'),
    names: ['Alice'],
    run: programRunner(env),
  });
  const { gnupgHomes } = custodians;
  const pids = cluster.peers.map((peer) => peer.pid);
  stdout.write(`${JSON.stringify({ pids, watchdog: cluster.watchdogPid, gnupgHomes })}\n`);
  if (keep) {
    await cluster.keep({ gnupgHomes });
    await custodians.keep();
  } else {
    setInterval(() => undefined, 60_000);
  }
}

void main(argv[2] ?? '', argv[3] ?? '', argv[4] === 'keep');

import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { peersOf } from '../../support/ceremony.ts';
import { type LiveCluster, sharedCluster, temporaryFolder } from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { at } from '../../support/http.ts';
import type { QuorumOrder } from '../../support/programs/run-quorum.ts';
import { attemptOf, ceremonyToken, quorumCeremony, rootAccessors } from '../../support/quorum.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'support', 'programs', 'run-quorum.ts');

/** Leaves the server as it was, so that each run writes the same lines. */
const script = {
  ceremony: 'root-token',
  plan: [
    { action: 'write', path: 'sys/policies/acl/one', data: { policy: 'path "one" { capabilities = ["read"] }' } },
    { action: 'delete', path: 'sys/policies/acl/one' },
  ],
};

/** Runs the ceremony in a process that is killed; the folder of the ceremony. */
async function killed(order: QuorumOrder): Promise<string> {
  const signal = await new Promise<unknown>((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM], { stdio: ['pipe', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (_, how) => {
      resolve(how);
    });
    child.stdin.end(JSON.stringify(order));
  });
  expect(signal).toBe('SIGKILL');
  const [name] = await readdir(join(order.folder, 'records'));
  return join(order.folder, 'records', name ?? '');
}

describe('a root-token ceremony that is killed', () => {
  const shared = sharedCluster({ peers: 1 });
  let live: LiveCluster;
  let token: string;

  beforeAll(async () => {
    live = shared();
    token = await ceremonyToken(live);
  });

  it('before any line of its record leaves nothing once it was resumed', async () => {
    const givers = live.shares.slice(0, 2);
    const whole = await quorumCeremony({ peers: peersOf(live.cluster), token, script, givers });
    const events = await eventsOf((await whole.start()).folder);
    const peers = live.cluster.peers.map(({ name, address }) => ({ name, address, ca: live.cluster.caFile }));
    // The preflight comes before the first step; nothing has happened by then.
    const first = events.findIndex(({ event }) => event === 'step.started');
    for (let line = first + 1; line <= events.length; line += 1) {
      const at1 = events[line - 1];
      const place = `line ${line.toString()}, ${at1?.event ?? ''} ${at1?.event === 'note' ? at1.text : ''}`;
      const folder = await temporaryFolder();
      const record = await killed({ folder, script, token, givers, peers, killBeforeLine: line });
      expect(await eventsOf(record), place).toHaveLength(line - 1);
      const ceremony = await quorumCeremony({ peers: peersOf(live.cluster), token, script, folder });
      await ceremony.resume(givers, record);
      expect(at(await attemptOf(live), 'started'), place).toBe(false);
      expect(await rootAccessors(live), place).toHaveLength(1);
      expect(await faultsOf(record), place).toEqual([]);
      expect((await eventsOf(record)).at(-1), place).toMatchObject({ event: 'ceremony.closed', result: 'complete' });
    }
  });
});

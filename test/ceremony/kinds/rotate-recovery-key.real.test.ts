import { beforeAll, describe, expect, it } from 'vitest';
import type { MadeUpCustodian } from '../../../src/rehearsal/custodians.ts';
import { callPeer, freshCluster, type LiveCluster, waitForAll } from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { madeUpCustodians } from '../../support/custodians.ts';
import { at } from '../../support/http.ts';
import { codeOf, prepareRotation, rosterOf, rotationScript, underWay } from '../../support/rotation.ts';
import { waitUntil } from '../../support/wait.ts';

const KEY = 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=';
const SEAL = `seal "static" {\n  current_key_id = "one"\n  current_key = "${KEY}"\n}`;

describe('rotate-recovery-key', () => {
  let crew: readonly MadeUpCustodian[];
  let live: LiveCluster;
  beforeAll(async () => {
    crew = await madeUpCustodians('Dora', 'Eve', 'Fay');
    const cluster = await freshCluster({ seal: SEAL, peers: 1 });
    const reply = await callPeer(cluster, 0, 'PUT', 'sys/init', {
      body: { recovery_shares: 3, recovery_threshold: 2 },
    });
    live = {
      cluster,
      shares: at(reply.body, 'recovery_keys') as string[],
      threshold: 2,
      rootToken: String(at(reply.body, 'root_token')),
    };
    await waitForAll(cluster, 'is unsealed', (status) => status['sealed'] === false);
    await waitUntil('it leads', async () => (await callPeer(cluster, 0, 'GET', 'sys/health')).status === 200);
  });

  it('is refused the root key, where the people hold recovery shares', async () => {
    const roster = await rosterOf(live, ['Alice', 'Bo', 'Cleo']);
    const ceremony = await prepareRotation({ live, roster, crew, script: rotationScript(crew, 2) });
    expect(await codeOf(ceremony.start())).toBe('preflight-failed');
  });

  it('gives new people recovery shares, proved by a drill; the old ones are refused', async () => {
    const roster = await rosterOf(live, ['Alice', 'Bo', 'Cleo']);
    const script = rotationScript(crew, 3, 'rotate-recovery-key');
    const ceremony = await prepareRotation({ live, roster, crew, script });
    const { folder } = await ceremony.start();
    expect(await faultsOf(folder)).toEqual([]);
    const events = await eventsOf(folder);
    expect(events.some((one) => one.event === 'check' && one.code === 'cold' && one.ok)).toBe(true);
    expect(events.some((one) => one.event === 'check' && one.code === 'old-shares' && one.ok)).toBe(true);
    expect(await ceremony.roster()).toMatchObject({ generation: 2, threshold: 3, seal: 'recovery' });
    expect(await underWay(live, 'sys/rotate/recovery/init')).toEqual([]);
    const shares = [...ceremony.newShares().values()];
    const next = { ...live, shares, threshold: 3 };
    const drill = await prepareRotation({ live: next, roster: await ceremony.roster(), script: { ceremony: 'drill' } });
    await drill.start();
  });
});

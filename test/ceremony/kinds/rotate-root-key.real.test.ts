import { beforeAll, describe, expect, it } from 'vitest';
import type { MadeUpCustodian } from '../../../src/rehearsal/custodians.ts';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { type LiveCluster, sharedCluster } from '../../support/cluster.ts';
import { madeUpCustodians } from '../../support/custodians.ts';
import { opensCold, prepareRotation, restarting, rosterOf, rotationScript, underWay } from '../../support/rotation.ts';
import { vaultBinary } from '../../support/vault-binary.ts';

const HOLDERS = ['Alice', 'Bo', 'Cleo'];
let crew: readonly MadeUpCustodian[];

beforeAll(async () => {
  crew = await madeUpCustodians('Dora', 'Eve', 'Fay', 'Gus');
});

describe.each([
  { flavour: 'openbao', peers: 3 },
  { flavour: 'vault', peers: 1 },
] as const)('rotate-root-key on $flavour', ({ flavour, peers }) => {
  describe.skipIf(flavour === 'vault' && vaultBinary() === undefined)('of real servers', () => {
    const shared = sharedCluster({ flavour, peers, voters: true });
    let live: LiveCluster;
    let roster: Roster;
    beforeAll(async () => {
      live = shared();
      roster = await rosterOf(live, HOLDERS);
    });

    it('takes the cluster from 2 of 3 to 3 of 4 other people, proved by a cold unseal', async () => {
      const ceremony = await prepareRotation({
        live,
        roster,
        crew,
        script: rotationScript(crew, 3),
        onAct: restarting(live),
        setting: { accepted: new Map(flavour === 'vault' ? [['audit', 'a test']] : []) },
      });
      const { folder } = await ceremony.start();
      expect(await faultsOf(folder)).toEqual([]);
      const events = await eventsOf(folder);
      expect(events.findLast((one) => one.event === 'check' && one.code === 'live-set')).toMatchObject({
        facts: { set: 'new', by: 'the reply' },
      });
      expect(events.some((one) => one.event === 'snapshot' && one.size > 1000)).toBe(true);
      expect(events.some((one) => one.event === 'check' && one.code === 'cold' && one.ok)).toBe(true);
      expect(await underWay(live, flavour === 'vault' ? 'sys/rekey/init' : undefined)).toEqual([]);
      const next = await ceremony.roster();
      expect(next).toMatchObject({ generation: 2, threshold: 3 });
      expect(next.previous?.map(({ holder }) => holder)).toEqual(HOLDERS);
      const shares = [...ceremony.newShares().values()];
      await opensCold(live, { shares, threshold: 3 }, live);
    });
  });
});

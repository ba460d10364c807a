import { beforeAll, describe, expect, it } from 'vitest';
import { peersOf } from '../../support/ceremony.ts';
import { callPeer, leaderIndex, type LiveCluster, sharedCluster } from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { type Fault, startCuttingProxy } from '../../support/cutting-proxy.ts';
import { at } from '../../support/http.ts';
import { ceremonyToken, quorumCeremony } from '../../support/quorum.ts';
import { vaultBinary } from '../../support/vault-binary.ts';

const script = { ceremony: 'rotate-keyring' };

async function termOf({ cluster, rootToken }: LiveCluster): Promise<number> {
  const leader = (await leaderIndex(cluster)) ?? 0;
  return Number(at((await callPeer(cluster, leader, 'GET', 'sys/key-status', { token: rootToken })).body, 'term'));
}

describe.each([
  ['openbao', 'sys/rotate/keyring'],
  ['vault', 'sys/rotate'],
] as const)('rotate-keyring on %s', (flavour, path) => {
  const missing = flavour === 'vault' && vaultBinary() === undefined;
  describe.skipIf(missing)('with one peer', () => {
    const shared = missing ? undefined : sharedCluster({ flavour, peers: 1 });
    let live: LiveCluster;
    let token: string;

    beforeAll(async () => {
      if (shared === undefined) return;
      live = shared();
      token = await ceremonyToken(live);
    });

    it('makes exactly one new term, and shows the automatic rotation', async () => {
      const before = await termOf(live);
      const ceremony = await quorumCeremony({ peers: peersOf(live.cluster), token, script });
      const { folder } = await ceremony.start();
      expect(await termOf(live)).toBe(before + 1);
      expect(await faultsOf(folder)).toEqual([]);
      const events = await eventsOf(folder);
      expect(events.find((one) => one.event === 'check' && one.code === 'keyring-after')).toMatchObject({
        facts: { before, term: before + 1 },
      });
      expect(events.find((one) => one.event === 'check' && one.code === 'keyring-policy')).toMatchObject({
        finding: expect.stringContaining('automatic rotation: on') as string,
      });
    });

    const FAULTS: readonly Fault[] = [{ kind: 'before-request' }, { kind: 'before-reply' }];

    it.each(FAULTS)('settles a cut $kind by the term', async (fault) => {
      const before = await termOf(live);
      const proxy = await startCuttingProxy(live.cluster);
      const struck = proxy.cut({ method: 'POST', path, fault });
      const ceremony = await quorumCeremony({ peers: peersOf(live.cluster, proxy), token, script });
      await ceremony.start();
      await struck;
      expect(await termOf(live)).toBe(before + 1);
      await proxy.close();
    });

    it('is resumed without a second term when it stopped after the first', async () => {
      const before = await termOf(live);
      let stop = true;
      const say = (line: string): void => {
        if (stop && line.startsWith('the keyring went')) throw new Error('the power fails');
      };
      const ceremony = await quorumCeremony({ peers: peersOf(live.cluster), token, script, people: { say } });
      await expect(ceremony.start()).rejects.toThrow('the power fails');
      stop = false;
      await ceremony.resume();
      expect(await termOf(live)).toBe(before + 1);
    });
  });
});

import { beforeAll, describe, expect, it } from 'vitest';
import { peersOf } from '../../support/ceremony.ts';
import { callPeer, type LiveCluster, sharedCluster, unsealAll } from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { startCuttingProxy } from '../../support/cutting-proxy.ts';
import { codeOf } from '../../support/errors.ts';
import { at } from '../../support/http.ts';
import { ceremonyToken, quorumCeremony } from '../../support/quorum.ts';
import { type QuorumCeremony, type QuorumOptions, rosterOf } from '../../support/quorum-ceremony.ts';
import { vaultBinary } from '../../support/vault-binary.ts';

const script = { ceremony: 'seal' };

async function sealedPeers({ cluster }: LiveCluster): Promise<number> {
  const states = await Promise.all(cluster.peers.map((_, index) => callPeer(cluster, index, 'GET', 'sys/seal-status')));
  return states.filter(({ body }) => at(body, 'sealed') === true).length;
}

describe.each([
  ['openbao', 3],
  ['vault', 1],
] as const)('seal on %s with %i peers', (flavour, peers) => {
  const missing = flavour === 'vault' && vaultBinary() === undefined;
  describe.skipIf(missing)('of a live cluster', () => {
    const shared = missing ? undefined : sharedCluster({ flavour, peers });
    let live: LiveCluster;
    let token: string;

    beforeAll(async () => {
      if (shared === undefined) return;
      live = shared();
      token = await ceremonyToken(live);
    });

    function prepare(options: Partial<QuorumOptions> = {}): Promise<QuorumCeremony> {
      return quorumCeremony({
        peers: peersOf(live.cluster),
        token,
        script,
        givers: live.shares.slice(0, 2),
        setting: { roster: rosterOf(live) },
        ...options,
      });
    }

    it('seals every peer once enough custodians have shown their shares, and sends none', async () => {
      const proxy = await startCuttingProxy(live.cluster);
      const ceremony = await prepare({ peers: peersOf(live.cluster, proxy) });
      const { folder, signers } = await ceremony.start();
      expect(signers).toHaveLength(2);
      expect(await sealedPeers(live)).toBe(peers);
      expect(await faultsOf(folder)).toEqual([]);
      const events = await eventsOf(folder);
      expect(events.find((one) => one.event === 'check' && one.code === 'unseal-quorum')).toMatchObject({
        ok: true,
        facts: { shown: 2, threshold: 2 },
      });
      expect(proxy.requests.filter((one) => /unseal$|update$/.test(one))).toEqual([]);
      await proxy.close();
      await unsealAll(live);
      // The lock was released before, so that the next ceremony can have it.
      const next = await quorumCeremony({
        peers: peersOf(live.cluster),
        token,
        script: { ceremony: 'rotate-keyring' },
      });
      await next.start();
    });

    it('seals nothing when too few are there, or without a roster', async () => {
      const [one = ''] = live.shares;
      const few = await prepare({ givers: [one, one] });
      expect(await codeOf(few.start())).toBe('ceremony-interrupted');
      expect(few.refused).toEqual(['share-duplicate']);
      expect(await sealedPeers(live)).toBe(0);
      await few.resume(live.shares.slice(1, 3));
      expect(await sealedPeers(live)).toBe(peers);
      await unsealAll(live);
      const unknown = await prepare({ setting: {} });
      expect(await codeOf(unknown.start())).toBe('roster-invalid');
      expect(await sealedPeers(live)).toBe(0);
    });

    it('goes without a quorum only after a typed confirmation, which the record keeps', async () => {
      const without = { script: { ...script, 'without-quorum': true }, givers: [] };
      const refused = await prepare(without);
      expect(await codeOf(refused.start())).toBe('cancelled');
      expect(await sealedPeers(live)).toBe(0);
      const acceptException = (): Promise<boolean> => Promise.resolve(true);
      const agreed = await prepare({ ...without, people: { acceptException } });
      const { folder } = await agreed.start();
      expect(await sealedPeers(live)).toBe(peers);
      expect((await eventsOf(folder)).some(({ event }) => event === 'exception')).toBe(true);
      await unsealAll(live);
    });
  });
});

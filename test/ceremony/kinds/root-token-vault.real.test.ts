import { describe, expect, it } from 'vitest';
import { peersOf } from '../../support/ceremony.ts';
import { sharedCluster } from '../../support/cluster.ts';
import { eventsOf } from '../../support/completion.ts';
import { startCuttingProxy } from '../../support/cutting-proxy.ts';
import { ceremonyToken, quorumCeremony } from '../../support/quorum.ts';
import { exists, expectDone, planOf } from '../../support/root-token.ts';
import { vaultBinary } from '../../support/vault-binary.ts';

describe.skipIf(vaultBinary() === undefined)('root-token on HashiCorp Vault', () => {
  const shared = sharedCluster({ flavour: 'vault', peers: 1 });

  it('goes by generate-root, with a one-time pad of 28 characters', async () => {
    const live = shared();
    const token = await ceremonyToken(live);
    const script = planOf();
    const wrong = `${(live.shares[0] ?? '').slice(0, 10)}${live.shares[0]?.[10] === 'a' ? 'b' : 'a'}${(live.shares[0] ?? '').slice(11)}`;
    const [one = '', two = ''] = live.shares;
    const ceremony = await quorumCeremony({
      peers: peersOf(live.cluster),
      token,
      script,
      givers: [wrong, two, one, two],
    });
    await ceremony.start();
    await expectDone(live, ceremony);
    expect(ceremony.refused).toEqual(['shares-wrong']);
    expect(await exists(live, script)).toBe(true);
  });

  it('finds the token whose reply was lost by its accessor', async () => {
    const live = shared();
    const token = await ceremonyToken(live);
    const proxy = await startCuttingProxy(live.cluster);
    void proxy.cut({ method: 'PUT', path: 'sys/generate-root/update', fault: { kind: 'before-reply' }, skip: 1 });
    const [one = '', two = ''] = live.shares;
    const ceremony = await quorumCeremony({
      peers: peersOf(live.cluster, proxy),
      token,
      script: planOf(),
      givers: [one, two, two, one],
    });
    await ceremony.start();
    await expectDone(live, ceremony);
    const events = await eventsOf(ceremony.folder ?? '');
    expect(events.filter(({ event }) => event === 'token.revoked')).toHaveLength(2);
  });
});

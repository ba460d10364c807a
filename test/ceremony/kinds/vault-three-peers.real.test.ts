import { beforeAll, describe, expect, it } from 'vitest';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import type { MadeUpCustodian } from '../../../src/rehearsal/custodians.ts';
import { peersOf } from '../../support/ceremony.ts';
import { callPeer, type LiveCluster, sharedCluster, waitForVoters } from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { madeUpCustodians } from '../../support/custodians.ts';
import { at } from '../../support/http.ts';
import { ceremonyToken, quorumCeremony } from '../../support/quorum.ts';
import { exists, expectDone, planOf } from '../../support/root-token.ts';
import {
  codeOf,
  opensCold,
  prepareRotation,
  restarting,
  rosterOf,
  rotationScript,
  underWay,
} from '../../support/rotation.ts';
import { leader, stepDown, withProxy } from '../../support/rotation-faults.ts';
import { vaultBinary } from '../../support/vault-binary.ts';

const REKEY = 'sys/rekey/init';
/** HashiCorp Vault takes audit devices by API only, and this one has none. */
const accepted = new Map([['audit', 'a test']]);

describe.skipIf(vaultBinary() === undefined)('three peers of HashiCorp Vault', () => {
  const shared = sharedCluster({ flavour: 'vault', voters: true });
  let crew: readonly MadeUpCustodian[];
  let live: LiveCluster;
  let roster: Roster;
  beforeAll(async () => {
    crew = await madeUpCustodians('Dora', 'Eve', 'Fay');
    live = shared();
    roster = await rosterOf(live, ['Alice', 'Bo', 'Cleo']);
  });

  it('are drilled, also when the leader steps down in the middle', async () => {
    let stepped = false;
    const ceremony = await prepareRotation({
      live,
      roster,
      script: { ceremony: 'drill' },
      setting: { accepted },
      onShare: async (_request, number) => {
        if (number === 2 && !stepped) {
          stepped = true;
          await stepDown(live);
        }
        return undefined;
      },
    });
    const { folder } = await ceremony.start();
    const events = await eventsOf(folder);
    expect(events.some((one) => one.event === 'exception' && one.happened.includes('leader-changed'))).toBe(true);
    expect(events.some((one) => one.event === 'check' && one.code === 'drill' && one.ok)).toBe(true);
    expect(await underWay(live, REKEY)).toEqual([]);
  });

  it('get one new term of the keyring', async () => {
    const token = await ceremonyToken(live);
    const term = async (): Promise<number> =>
      Number(at((await callPeer(live.cluster, await leader(live), 'GET', 'sys/key-status', { token })).body, 'term'));
    const before = await term();
    const script = { ceremony: 'rotate-keyring' };
    await (await quorumCeremony({ peers: peersOf(live.cluster), token, script })).start();
    expect(await term()).toBe(before + 1);
  });

  it('make a root token for one plan, and revoke it', async () => {
    const token = await ceremonyToken(live);
    const script = planOf();
    const [one = '', two = ''] = live.shares;
    const ceremony = await quorumCeremony({ peers: peersOf(live.cluster), token, script, givers: [one, two] });
    await ceremony.start();
    await expectDone(live, ceremony);
    expect(await exists(live, script)).toBe(true);
  });

  it('give out new shares, proved by a cold unseal of a standby', async () => {
    await waitForVoters(live);
    const script = rotationScript(crew, 2);
    const ceremony = await prepareRotation({
      live,
      roster,
      crew,
      script,
      setting: { accepted },
      onAct: restarting(live),
    });
    const { folder } = await ceremony.start();
    expect(await faultsOf(folder)).toEqual([]);
    expect(await underWay(live, REKEY)).toEqual([]);
    roster = await ceremony.roster();
    const fresh = { ...live, shares: [...ceremony.newShares().values()], threshold: 2 };
    await opensCold(live, fresh, live);
    live = fresh;
  });

  it('are refused another seal, which they would not tell of', async () => {
    const ceremony = await prepareRotation({
      live,
      roster,
      script: { ceremony: 'migrate-seal', from: 'shamir', to: 'transit' },
    });
    expect(await codeOf(ceremony.start())).toBe('server-unsupported');
  });

  // Vault has no call that would write the root key anew under the old shares.
  it('are said to be lost where neither set opens them, and nothing is cancelled or restarted', async () => {
    await waitForVoters(live);
    const { proxy, peers } = await withProxy(live);
    const third = async (): Promise<void> => {
      const leading = await leader(live);
      const put = async (path: string, body: Record<string, unknown>): Promise<unknown> =>
        (await callPeer(live.cluster, leading, 'PUT', path, { body, token: live.rootToken })).body;
      // What a torn write leaves, made by hand: a root key that is neither's.
      await callPeer(live.cluster, leading, 'DELETE', REKEY, { token: live.rootToken });
      const nonce = at(await put(REKEY, { secret_shares: 3, secret_threshold: 2 }), 'nonce');
      for (const key of live.shares.slice(0, 2)) await put('sys/rekey/update', { key, nonce });
    };
    void proxy.cut({ path: 'sys/rekey/verify', method: 'PUT', skip: 1, fault: { kind: 'around', before: third } });
    const ceremony = await prepareRotation({
      live,
      roster,
      crew,
      script: rotationScript(crew, 2),
      setting: { accepted },
      onAct: restarting(live),
      peers,
    });
    expect(await codeOf(ceremony.start())).toBe('outcome-unknown');
    expect(ceremony.said.join('\n')).toContain('This server has no call that would bring the old shares back to life.');
    const events = await eventsOf(ceremony.folder);
    expect(events.some(({ event }) => event === 'snapshot')).toBe(true);
    expect(events.some((one) => one.event === 'people')).toBe(false);
  });
});

import { describe, expect, it } from 'vitest';
import type { MadeUpCustodian } from '../../../src/rehearsal/custodians.ts';
import { peersOf } from '../../support/ceremony.ts';
import { callPeer, type LiveCluster, reseal, sharedCluster, unsealAll } from '../../support/cluster.ts';
import { madeUpCustodians } from '../../support/custodians.ts';
import { at } from '../../support/http.ts';
import { makeNamespace, rosterIn, settingIn } from '../../support/namespaces.ts';
import { codeOf, prepareRotation, rosterOf, rotationScript } from '../../support/rotation.ts';
import { waitUntil } from '../../support/wait.ts';

const HOLDERS = ['Alice', 'Bo', 'Cleo'];

/** New shares, straight from the server, with verification. */
async function rotate(live: LiveCluster, shares: readonly string[], namespace = ''): Promise<readonly string[]> {
  const put = async (part: string, body: unknown): Promise<unknown> =>
    at(
      (await callPeer(live.cluster, 0, 'PUT', `sys/rotate/root/${part}`, { token: live.rootToken, namespace, body }))
        .body,
      'data',
    );
  const sizes = { secret_shares: 3, secret_threshold: 2, require_verification: true };
  const nonce = at(await put('init', sizes), 'nonce');
  await put('update', { key: shares[0], nonce });
  const issued = await put('update', { key: shares[1], nonce });
  const keys = at(issued, 'keys') as string[];
  for (const key of keys.slice(0, 2)) await put('verify', { key, nonce: at(issued, 'verification_nonce') });
  return keys;
}

describe('new shares of a namespace, in a cluster that people unseal', () => {
  const live = sharedCluster({ peers: 1 });

  it('are refused, and nobody is asked for a share', async () => {
    const crew: readonly MadeUpCustodian[] = await madeUpCustodians('Dora', 'Eve', 'Fay');
    await rosterOf(live(), HOLDERS);
    const own = await makeNamespace(live(), 'own');
    const ceremony = await prepareRotation({
      live: own,
      roster: rosterIn(own, HOLDERS),
      crew,
      script: { ...rotationScript(crew, 2), namespace: 'own' },
      setting: { ...settingIn(live(), peersOf(live().cluster), 'own'), accepted: new Map() },
    });
    expect(await codeOf(ceremony.start())).toBe('preflight-failed');
    expect(ceremony.refused).toEqual([]);
  });

  it('cost the server its cluster, unless that gets new shares before it restarts', async () => {
    const made = await makeNamespace(live(), 'team');
    const inside = await rotate(live(), made.shares, 'team');
    const next = { ...live(), shares: await rotate(live(), live().shares) };
    await reseal(next);
    await unsealAll(next);
    expect(await readable(next)).toBe(200);

    const open = { ...made, ...next, shares: inside };
    for (const key of inside.slice(0, 2)) {
      await callPeer(next.cluster, 0, 'PUT', 'sys/namespaces/team/unseal', { token: next.rootToken, body: { key } });
    }
    await rotate(next, open.shares, 'team');
    await reseal(next);
    const unseal = async (): Promise<unknown> => {
      let sealed: unknown;
      for (const key of next.shares.slice(0, 2)) {
        sealed = at((await callPeer(next.cluster, 0, 'PUT', 'sys/unseal', { body: { key } })).body, 'sealed');
      }
      return sealed;
    };
    // The shares are right, and it opens; then it leads, and seals itself.
    for (const _ of [1, 2]) {
      expect(await unseal()).toBe(false);
      await waitUntil('it has sealed itself', async () => {
        const { body } = await callPeer(next.cluster, 0, 'GET', 'sys/seal-status');
        return at(body, 'sealed') === true;
      });
    }
  });
});

async function readable({ cluster, rootToken: token }: LiveCluster): Promise<number> {
  return (await callPeer(cluster, 0, 'GET', 'auth/token/lookup-self', { token })).status;
}

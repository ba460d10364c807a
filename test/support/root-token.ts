import { expect } from 'vitest';
import { callPeer, leaderIndex, type LiveCluster } from './cluster.ts';
import { eventsOf, faultsOf } from './completion.ts';
import { at } from './http.ts';
import { attemptOf, rootAccessors } from './quorum.ts';
import type { QuorumCeremony } from './quorum-ceremony.ts';
import { waitUntil } from './wait.ts';

let written = 0;

/** A plan that changes something each time. */
export function planOf(name = `app-${(written += 1).toString()}`): Record<string, unknown> {
  return {
    ceremony: 'root-token',
    plan: [
      { action: 'read', path: 'sys/auth/approle', expect: { type: 'approle' } },
      {
        action: 'write',
        path: `sys/policies/acl/${name}`,
        data: { policy: 'path "app/*" { capabilities = ["read"] }' },
      },
    ],
  };
}

/** Whether what the plan writes is on the server. */
export async function exists(live: LiveCluster, script: Record<string, unknown>): Promise<boolean> {
  const path = at(script['plan'], 1, 'path') as string;
  const leader = (await leaderIndex(live.cluster)) ?? 0;
  return (await callPeer(live.cluster, leader, 'GET', path, { token: live.rootToken })).status === 200;
}

/** However it ended: no attempt, and no root token but the test's own. */
export async function expectClean(live: LiveCluster): Promise<void> {
  await waitUntil('there is a leader', () => leaderIndex(live.cluster));
  expect(at(await attemptOf(live), 'started')).toBe(false);
  expect(await rootAccessors(live)).toHaveLength(1);
}

/** Complete, with a sound record, and clean. */
export async function expectDone(live: LiveCluster, ceremony: QuorumCeremony): Promise<void> {
  await expectClean(live);
  expect(await faultsOf(ceremony.folder ?? '')).toEqual([]);
  const events = await eventsOf(ceremony.folder ?? '');
  expect(events.at(-1)).toMatchObject({ event: 'ceremony.closed', result: 'complete' });
  expect(events.findLast((one) => one.event === 'check' && one.code === 'root-tokens')).toMatchObject({
    ok: true,
    facts: { before: 1, left: 1 },
  });
}

import { describe, expect, it } from 'vitest';
import type { Task } from '../../../src/ceremony/apart/task.ts';
import { ticketPolicy } from '../../../src/ceremony/apart/tickets.ts';
import { codeOf } from '../../support/errors.ts';
import { anInvitation } from './samples.ts';

const CEREMONY = '2027-01-12-unseal-19fe0c2d';
const nonce = '3b8d0000-0000-4000-8000-000000000000';
const unseal: Task = { give: 'unseal', nonce, peers: ['team/a'] };

/** The paths of a policy, and what may be done there. */
function paths(policy: string): readonly string[] {
  return [...policy.matchAll(/path "([^"]+)" \{\s+capabilities = \[([^\]]*)\]/g)].map(
    ([, path = '', may = '']) => `${path} ${may.replaceAll('"', '')}`,
  );
}

describe('the policy of tickets', () => {
  it('opens nothing before an invitation, and for an unseal of a cluster', () => {
    expect(paths(ticketPolicy(CEREMONY))).toEqual([]);
    expect(paths(ticketPolicy(CEREMONY, anInvitation({ task: unseal })))).toEqual([]);
  });

  it('pins an operation to its nonce', () => {
    const policy = ticketPolicy(CEREMONY, anInvitation());
    expect(paths(policy)).toEqual(['sys/rotate/root/init read', 'sys/rotate/root/update update']);
    expect(policy).toContain(`allowed_parameters = { "key" = [], "nonce" = ["${nonce}"] }`);
  });

  it('lets custodians of a namespace see its seal, in its parent', () => {
    const look = ['team/sys/namespaces/a read', 'team/sys/namespaces/a/seal-status read'];
    const inside = anInvitation({ namespace: 'team/a', task: unseal });
    const policy = ticketPolicy(CEREMONY, inside);
    expect(paths(policy)).toEqual([...look, 'team/sys/namespaces/a/unseal update']);
    expect(policy).toContain('required_parameters = ["key"]');
    expect(paths(ticketPolicy(CEREMONY, anInvitation({ namespace: 'team/a' })))).toEqual([
      ...look,
      'team/a/sys/rotate/root/init read',
      'team/a/sys/rotate/root/update update',
    ]);
    expect(paths(ticketPolicy(CEREMONY, anInvitation({ namespace: 'one', task: { give: 'nothing', nonce } })))).toEqual(
      ['sys/namespaces/one read', 'sys/namespaces/one/seal-status read'],
    );
  });

  it('names paths from where people log in', async () => {
    const inside = anInvitation({ namespace: 'team/a', task: { give: 'root-token', nonce } });
    expect(paths(ticketPolicy(CEREMONY, inside, 'team'))).toEqual([
      'sys/namespaces/a read',
      'sys/namespaces/a/seal-status read',
      'a/sys/generate-root-token/attempt read',
      'a/sys/generate-root-token/update update',
    ]);
    expect(await codeOf(() => ticketPolicy(CEREMONY, inside, 'other'))).toBe('usage');
  });
});

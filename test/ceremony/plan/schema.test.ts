import { describe, expect, it } from 'vitest';
import { loadScript } from '../../../src/ceremony/load.ts';
import { renderYaml } from '../../../src/document.ts';
import { codeOf } from '../../support/errors.ts';

const load = (plan: unknown): Promise<unknown> =>
  loadScript(renderYaml({ ceremony: 'root-token', title: 'A test', cluster: 'test', plan }), 'script.yaml');

describe('a plan', () => {
  it.each([
    ['no action', []],
    ['an unknown action', [{ action: 'patch', path: 'sys/x' }]],
    ['a path that climbs', [{ action: 'read', path: 'sys/../x' }]],
    ['a path with a query', [{ action: 'read', path: 'sys/x?list=true' }]],
    ['data for a deletion', [{ action: 'delete', path: 'sys/x', data: { a: 1 } }]],
    [
      'a path that is written twice',
      [
        { action: 'write', path: 'sys/x', data: { a: 1 } },
        { action: 'write', path: 'sys/x', data: { a: 2 } },
      ],
    ],
  ])('is refused with %s', async (_, plan) => {
    expect(await codeOf(load(plan))).toBe('document-invalid');
  });

  it('is a list of reads, writes and deletions', async () => {
    const plan = [
      { action: 'read', path: 'sys/auth/approle', expect: { type: 'approle' } },
      { action: 'write', path: 'sys/policies/acl/x', data: { policy: '' } },
      { action: 'delete', path: 'sys/policies/acl/y' },
    ];
    expect(await load(plan)).toMatchObject({ script: { plan } });
  });
});

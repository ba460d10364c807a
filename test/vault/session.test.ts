import { expect, it } from 'vitest';
import { failure } from '../../src/vault/session.ts';

const asked = (status: number, ...errors: string[]) => failure('vault-1', 'GET', 'sys/mounts', { status, errors });

it('tells a refusal that no server makes from those that they make', () => {
  expect(asked(403)).toMatchObject({ code: 'denied' });
  expect(asked(503, 'Vault is sealed')).toMatchObject({ code: 'sealed' });
  expect(asked(500, 'internal error')).toMatchObject({ code: 'server-error', hint: undefined });
  expect(asked(404)).toMatchObject({ code: 'server-error', hint: undefined });
  for (const status of [400, 502, 503]) {
    expect(asked(status)).toMatchObject({ code: 'server-error', hint: expect.stringContaining('https') as string });
  }
});

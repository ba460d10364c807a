import { describe, expect, it } from 'vitest';
import { headLine, progressTable } from '../../src/commands/progress-table.ts';

const peers = (...statuses: readonly string[]) =>
  statuses.map((status, index) => ({ name: `vault-${(index + 1).toString()}`, status }));

describe('progressTable', () => {
  it('shows peers side by side, and reasons below', () => {
    const reason = 'vault-3 refused the connection';
    expect(progressTable(peers('1/3', 'unsealed', reason)).join('\n')).toMatchInlineSnapshot(`
      "           vault-1   vault-2    vault-3
        shares   1/3       unsealed   left out
        vault-3 refused the connection"
    `);
  });

  it('shows many peers one below the other, and never more than 80 columns', () => {
    const lines = progressTable(peers(...Array<string>(9).fill('unsealed')));
    expect(lines).toHaveLength(9);
    const long = `wants 2 of 3 shares, not 3 of 5: given none. ${'And a long story. '.repeat(8)}`;
    for (const line of progressTable(peers('0/3', long))) expect(line.length).toBeLessThanOrEqual(80);
  });
});

it('headLine tells what the ceremony is about', () => {
  const request = { cluster: 'prod-eu', needed: 3, shares: 5, given: 0, present: [] };
  expect(headLine({ ...request, peers: peers('0/3', '0/3') })).toBe('prod-eu   2 peers   threshold 3 of 5');
  expect(headLine({ ...request, peers: peers('0/3') })).toContain('1 peer ');
});

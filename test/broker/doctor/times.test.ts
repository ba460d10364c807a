import { describe, expect, it } from 'vitest';
import { judgeLeases, judgeTimes } from '../../../src/broker/doctor/times.ts';

const lease = (ttl: number) => ({
  ...{ id: 'database/creds/a/b', issued: '2027-01-12T10:04:31Z', renewed: undefined, ttl, renewable: true },
  ...{ role: 'a', stuck: ttl < 0 },
});
const codes = (findings: readonly { level: string; code: string }[]): string[] =>
  findings.map(({ level, code }) => `${level} ${code}`);

describe("a role's times", () => {
  it.each([
    [900, 3600, 1200, ['ok ttl']],
    [900, 3600, undefined, ['ok ttl']],
    [3600, 7200, 1200, ['warning ttl']],
    [900, 3600, 7200, ['fault max-ttl']],
    [0, 3600, 1200, ['warning ttl']],
  ] as const)('of %d s, at most %d s, for a job of %s s', (defaultTtl, maxTtl, job, wanted) => {
    expect(codes(judgeTimes({ defaultTtl, maxTtl }, job))).toEqual(wanted);
  });
});

describe('leases', () => {
  it('are stuck when they are overdue', () => {
    expect(codes(judgeLeases([lease(-3), lease(20)]))).toEqual(['fault lease']);
    expect(codes(judgeLeases([lease(20)]))).toEqual(['ok lease']);
    expect(codes(judgeLeases([]))).toEqual(['ok lease']);
  });

  it('end faster than they can be revoked when too many end in one minute', () => {
    const many = Array.from({ length: 600 }, (_, index) => lease(1000 + (index % 50)));
    expect(codes(judgeLeases(many))).toEqual(['warning revocation-rate']);
    const spread = Array.from({ length: 600 }, (_, index) => lease(index * 2));
    expect(codes(judgeLeases(spread))).toEqual(['ok lease']);
  });
});

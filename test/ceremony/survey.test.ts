import { describe, expect, it } from 'vitest';
import { clockSkew, describeState } from '../../src/ceremony/survey.ts';
import type { Health, Peer, SealStatus } from '../../src/vault/peer.ts';

const health = (serverTime: number, localTime: number): Health => ({
  status: 200,
  initialised: true,
  sealed: false,
  standby: false,
  serverTime,
  localTime,
});

describe('clockSkew', () => {
  it.each([
    ['the same second', 5000, 5000, 0],
    ['what the server cut off', 5000, 5999, 0],
    ['behind', 5000, 7999, -2000],
    ['ahead', 9000, 5000, 4000],
    ['a local time between two milliseconds', 5000, 7999.5, -2001],
    ['half a millisecond ahead', 5000, 4999.5, 0],
  ])('%s', (_what, server, local, skew) => {
    const found = clockSkew(health(server, local));
    expect(found).toBe(skew);
    expect(Number.isInteger(found)).toBe(true);
  });
});

describe('describeState', () => {
  const peer = { name: 'vault-1' } as Peer;
  it('says how far a sealed peer is', () => {
    const seal = { progress: 1, threshold: 3 } as SealStatus;
    expect(describeState({ peer, state: 'sealed', seal })).toBe('sealed 1/3');
  });
  it('says why a peer gave no answer', () => {
    const fault = { code: 'server-timeout', message: 'vault-1 did not answer in time' } as const;
    expect(describeState({ peer, state: 'unreachable', fault })).toBe('vault-1 did not answer in time');
    expect(describeState({ peer, state: 'active' })).toBe('active');
  });
});

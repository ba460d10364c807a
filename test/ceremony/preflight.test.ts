import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/ceremony/kind.ts';
import { clocksAgree, reachable, sameVersion, withinPolicy } from '../../src/ceremony/preflight.ts';
import type { PeerSurvey } from '../../src/ceremony/survey.ts';
import { DEFAULT_POLICY } from '../../src/connect-cluster.ts';
import { connectPeer } from '../../src/vault/connect.ts';
import type { Health, SealStatus } from '../../src/vault/peer.ts';

const POLICY = DEFAULT_POLICY;
const NOW = Date.UTC(2026, 10, 1, 12);

const SEAL: SealStatus = {
  flavour: 'openbao',
  version: '2.7.2',
  type: 'shamir',
  initialised: false,
  sealed: true,
  shares: 0,
  threshold: 0,
  progress: 0,
  nonce: '',
  migration: false,
  recoverySeal: false,
  storageType: 'raft',
};

/** A peer whose clock shows so many milliseconds more than the local one; the server tells whole seconds only. */
function survey(name: string, skew: number, seal: Partial<SealStatus> = {}): PeerSurvey {
  const health: Health = {
    status: 501,
    initialised: false,
    sealed: true,
    standby: false,
    serverTime: Math.floor((NOW + skew) / 1000) * 1000,
    localTime: NOW,
  };
  return { peer: peer(name), state: 'uninitialised', seal: { ...SEAL, ...seal }, health };
}

function peer(name: string): PeerSurvey['peer'] {
  return connectPeer({ name, address: 'https://127.0.0.1:1' });
}

function failed(findings: readonly Finding[]): readonly string[] {
  return findings.filter(({ ok }) => !ok).map(({ code, finding }) => `${code}: ${finding}`);
}

describe('clocks', () => {
  it.each([0, 400, 999, 4_999, -400, -999, -4_000, -4_999])('agree at %i ms', (skew) => {
    const findings = clocksAgree([survey('one', skew), survey('two', 0)], POLICY);
    expect(findings).toMatchObject([{ code: 'clock', ok: true }]);
  });

  it.each([
    [6_000, 'ahead of'],
    [3_600_000, 'ahead of'],
    [-7_000, 'behind'],
    [-3_600_000, 'behind'],
  ])('at %i ms are a finding that names the peer and the side', (skew, side) => {
    const [finding, ...rest] = failed(clocksAgree([survey('one', 0), survey('two', skew)], POLICY));
    expect(rest).toEqual([]);
    expect(finding).toMatch(/^clock: .*two/);
    expect(finding).toContain(side);
  });

  it('of peers that say nothing are no finding at all', () => {
    const silent: PeerSurvey = { peer: peer('one'), state: 'unreachable' };
    expect(clocksAgree([silent], POLICY)).toEqual([]);
  });
});

describe('versions', () => {
  it('that differ are a finding, and so are flavours', () => {
    expect(failed(sameVersion([survey('one', 0), survey('two', 0)]))).toEqual([]);
    expect(failed(sameVersion([survey('one', 0), survey('two', 0, { version: '2.7.1' })]))).toHaveLength(1);
    expect(failed(sameVersion([survey('one', 0), survey('two', 0, { flavour: 'vault' })]))).toHaveLength(1);
  });
});

describe('peers that do not answer', () => {
  it('are a finding each, with what the connection said', () => {
    const down = (name: string): PeerSurvey => ({
      peer: peer(name),
      state: 'unreachable',
      fault: { code: 'server-unreachable', message: `${name} refused the connection` },
    });
    const findings = failed(reachable([down('one'), survey('two', 0), down('three')]));
    expect(findings).toHaveLength(2);
    expect(findings[1]).toContain('three refused the connection');
    expect(failed(reachable([survey('two', 0)]))).toEqual([]);
  });
});

describe('peers that do not answer', () => {
  const mute = (name: string, code: 'server-identity' | 'server-unreachable'): PeerSurvey => ({
    peer: connectPeer({ name, address: 'https://127.0.0.1:1' }),
    state: 'unreachable',
    fault: { code, message: `${name} is away` },
  });

  it('are told apart: not one of them proved is its own error', () => {
    const errors = (...surveys: PeerSurvey[]): unknown[] => reachable(surveys).map(({ error }) => error);
    expect(errors(mute('one', 'server-identity'), mute('two', 'server-identity'))).toEqual([
      'server-identity',
      'server-identity',
    ]);
    expect(errors(mute('one', 'server-identity'), mute('two', 'server-unreachable'))).toEqual([undefined, undefined]);
    expect(errors(mute('one', 'server-identity'), survey('two', 0))).toEqual([undefined]);
  });
});

describe('the policy', () => {
  it('sets the smallest threshold', () => {
    expect(failed(withinPolicy(1, 1, POLICY))).toHaveLength(1);
    expect(failed(withinPolicy(3, 2, POLICY))).toEqual([]);
    expect(failed(withinPolicy(1, 1, { ...POLICY, 'smallest-threshold': 1 }))).toEqual([]);
  });
});

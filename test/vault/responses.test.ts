import { describe, expect, it } from 'vitest';
import {
  dataOf,
  payload,
  readAuth,
  readHealth,
  readInit,
  readLeader,
  readSealStatus,
} from '../../src/vault/responses.ts';
import { codeOf } from '../support/errors.ts';
import { SEAL_STATUS } from '../support/listener.ts';

describe('payload and dataOf', () => {
  it('take .data of an envelope, and a bare body as it is', () => {
    expect(payload({ request_id: 'x', data: { a: 1 } })).toEqual({ a: 1 });
    expect(payload({ a: 1 })).toEqual({ a: 1 });
    expect(dataOf({ request_id: 'x', data: null, auth: {} })).toBeNull();
    expect(dataOf({ a: 1 })).toEqual({ a: 1 });
    expect(dataOf(null)).toBeNull();
  });
});

describe('readSealStatus', () => {
  it('reads both shapes', () => {
    expect(readSealStatus('p', SEAL_STATUS)).toMatchObject({ flavour: 'openbao', threshold: 2, shares: 3 });
    expect(readSealStatus('p', { data: SEAL_STATUS })).toMatchObject({ flavour: 'openbao', threshold: 2, shares: 3 });
  });

  it('leaves out empty cluster names', () => {
    const status = readSealStatus('p', { ...SEAL_STATUS, cluster_name: '', cluster_id: 'c' });
    expect(status).not.toHaveProperty('clusterName');
    expect(status.clusterId).toBe('c');
  });

  it.each([
    null,
    'sealed',
    [],
    {},
    { ...SEAL_STATUS, t: '2' },
    { ...SEAL_STATUS, n: -1 },
    { ...SEAL_STATUS, sealed: 'no' },
  ])('refuses %j', async (body) => {
    expect(await codeOf(() => readSealStatus('p', body))).toBe('server-response');
  });

  it('does not quote what it refuses', () => {
    try {
      readSealStatus('p', { ...SEAL_STATUS, nonce: { canary: 'hunter22' }, version: ['hunter22'] });
      expect.unreachable();
    } catch (error) {
      expect(JSON.stringify(error)).not.toContain('hunter22');
    }
  });
});

describe('the others', () => {
  it('reads health in milliseconds', () => {
    const body = { initialized: true, sealed: false, standby: true, server_time_utc: 1_700_000_000 };
    expect(readHealth('p', 429, body, 5)).toEqual({
      status: 429,
      initialised: true,
      sealed: false,
      standby: true,
      serverTime: 1_700_000_000_000,
      localTime: 5,
    });
  });

  it('knows no leader from an absent and from an empty address', () => {
    expect(readLeader('p', { ha_enabled: true, is_self: false })).toEqual({ haEnabled: true, isSelf: false });
    expect(readLeader('p', { ha_enabled: true, is_self: false, leader_address: '' })).not.toHaveProperty(
      'leaderAddress',
    );
  });

  it('takes a leader for one from when it serves, and tells since when', () => {
    const leads = (time: string) => readLeader('p', { ha_enabled: true, is_self: true, active_time: time });
    expect(leads('0001-01-01T00:00:00Z')).toEqual({ haEnabled: true, isSelf: false });
    expect(leads('2026-11-01T00:00:00Z')).toEqual({
      haEnabled: true,
      isSelf: true,
      activeTime: '2026-11-01T00:00:00Z',
    });
  });

  it('takes recovery shares where there are some', () => {
    expect(readInit({ keys: [], keys_base64: [], recovery_keys_base64: ['r'], root_token: 't' })?.shares).toEqual([
      'r',
    ]);
    expect(readInit({ keys_base64: ['k'], root_token: 't' })?.shares).toEqual(['k']);
    expect(readInit({ keys_base64: ['k'] })).toBeUndefined();
  });

  it('finds no token where a second factor is wanted', () => {
    expect(readAuth({ auth: { client_token: '', mfa_requirement: {} } })).toBeUndefined();
    expect(readAuth({ auth: null })).toBeUndefined();
  });
});

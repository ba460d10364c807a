import { describe, expect, it } from 'vitest';
import { settingsFromEnvironment } from '../../src/vault/environment.ts';
import { codeOf } from '../support/errors.ts';

const ADDR = { BAO_ADDR: 'https://a.test:8200' };

describe('settingsFromEnvironment', () => {
  it('is nothing without an address', () => {
    expect(settingsFromEnvironment({ BAO_CACERT: '/ca.pem' })).toBeUndefined();
    expect(settingsFromEnvironment({ VAULT_ADDR: '' })).toBeUndefined();
  });

  it('reads every variable, BAO before VAULT', () => {
    expect(
      settingsFromEnvironment({
        BAO_ADDR: 'a.test:8200',
        VAULT_ADDR: 'b.test:8200',
        VAULT_CACERT: '/ca.pem',
        BAO_CAPATH: '/ca',
        VAULT_CLIENT_CERT: '/c.pem',
        BAO_CLIENT_KEY: '/k.pem',
        VAULT_TLS_SERVER_NAME: 'peer.test',
        BAO_NAMESPACE: 'team',
        VAULT_NAMESPACE: 'other',
        BAO_CLIENT_TIMEOUT: '1m30s',
      }),
    ).toEqual({
      name: 'a.test:8200',
      address: 'a.test:8200',
      ca: '/ca.pem',
      clientCertificate: '/c.pem',
      clientKey: '/k.pem',
      serverName: 'peer.test',
      namespace: 'team',
      timeout: 90_000,
    });
  });

  it('lets an empty BAO variable win over a VAULT one', () => {
    expect(settingsFromEnvironment({ ...ADDR, BAO_NAMESPACE: '', VAULT_NAMESPACE: 'team' })).not.toHaveProperty(
      'namespace',
    );
  });

  it.each(['1', 't', 'T', 'true', 'TRUE', 'True'])('refuses SKIP_VERIFY=%s', async (value) => {
    expect(await codeOf(() => settingsFromEnvironment({ ...ADDR, VAULT_SKIP_VERIFY: value }))).toBe(
      'environment-hostile',
    );
    expect(await codeOf(() => settingsFromEnvironment({ ...ADDR, BAO_SKIP_VERIFY: value }))).toBe(
      'environment-hostile',
    );
  });

  it.each(['0', 'f', 'false', 'FALSE', ''])('takes SKIP_VERIFY=%s for no', (value) => {
    expect(settingsFromEnvironment({ ...ADDR, VAULT_SKIP_VERIFY: value })).toBeDefined();
  });

  it('refuses a SKIP_VERIFY and a CLIENT_TIMEOUT that say nothing', async () => {
    expect(await codeOf(() => settingsFromEnvironment({ ...ADDR, VAULT_SKIP_VERIFY: 'maybe' }))).toBe('usage');
    for (const value of ['soon', '10x', '-5', '0', '0s', '5s later', '9999999h']) {
      expect(await codeOf(() => settingsFromEnvironment({ ...ADDR, BAO_CLIENT_TIMEOUT: value }))).toBe('usage');
    }
  });

  it.each([
    ['30', 30_000],
    ['1500ms', 1500],
    ['1.5s', 1500],
    ['2h', 7_200_000],
  ])('reads CLIENT_TIMEOUT=%s', (text, timeout) => {
    expect(settingsFromEnvironment({ ...ADDR, VAULT_CLIENT_TIMEOUT: text })).toMatchObject({ timeout });
  });
});

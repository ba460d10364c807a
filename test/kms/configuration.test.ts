import { describe, expect, it } from 'vitest';
import { readConfiguration } from '../../src/kms/configuration.ts';
import { sealKeyId, type SealSettings } from '../../src/kms/settings.ts';

const ONE = { lib: '/lib/p11.so', token_label: 'hsm', pin: '1234', key_label: 'seal' };

function read(stanza: Record<string, string>, env: Record<string, string> = {}, disallow = false): SealSettings {
  return readConfiguration(new Map(Object.entries(stanza)), env, disallow);
}

function faults(stanza: Record<string, string>, env: Record<string, string> = {}): string {
  try {
    return JSON.stringify(read(stanza, env));
  } catch (error) {
    return (error as Error).message;
  }
}

describe('the stanza of one token', () => {
  it('is that of the PKCS#11 seal of OpenBao', () => {
    const stanza = { ...ONE, slot: '0x7b', key_id: '0xAB01', mechanism: '0x1087', rsa_oaep_hash: 'SHA-1' };
    expect(read(stanza)).toEqual({
      ...{ threshold: 1, encryptMin: 1, timeout: 10 },
      tokens: [
        {
          ...{ name: 'hsm', lib: '/lib/p11.so', label: 'hsm', slot: 123n, keyLabel: 'seal', keyId: 'ab01' },
          ...{ mechanism: 'aes-gcm', oaepHash: 'sha1', allowExtractable: false, pin: { kind: 'stanza', pin: '1234' } },
        },
      ],
    });
    for (const mechanism of ['CKM_RSA_PKCS_OAEP', 'RSA_PKCS_OAEP', '9', '0x09', 'rsa-oaep']) {
      expect(read({ ...ONE, mechanism }).tokens[0]?.mechanism).toBe('rsa-oaep');
    }
  });

  it('lets the variables of the server go first, unless they are not allowed', () => {
    const env = { BAO_HSM_KEY_LABEL: 'other' };
    expect(read(ONE, env).tokens[0]?.keyLabel).toBe('other');
    expect(read(ONE, env, true).tokens[0]?.keyLabel).toBe('seal');
  });

  it('knows where the PIN is', () => {
    const pin = (stanza: Record<string, string>, env = {}): unknown =>
      read({ ...ONE, pin: '', ...stanza }, env).tokens[0]?.pin;
    expect(pin({ pin_file: '/run/pin' })).toEqual({ kind: 'file', path: '/run/pin' });
    expect(pin({ pin: 'file:///run/pin' })).toEqual({ kind: 'file', path: '/run/pin' });
    expect(pin({ pin: 'env://PIN' })).toEqual({ kind: 'environment', name: 'PIN' });
    expect(pin({ pin_env: 'PIN' })).toEqual({ kind: 'environment', name: 'PIN' });
    const credentials = { CREDENTIALS_DIRECTORY: '/run/credentials/bao' };
    expect(pin({ pin_file: '$CREDENTIALS_DIRECTORY/pin' }, credentials)).toEqual({
      kind: 'file',
      path: '/run/credentials/bao/pin',
    });
    expect(faults({ ...ONE, pin: '', pin_file: '$CREDENTIALS_DIRECTORY/pin' })).toMatch(/not given any/);
    expect(faults({ ...ONE, pin_file: '/run/pin' })).toMatch(/give one of them/);
  });

  it('says everything that is wrong at once, and never the PIN', () => {
    const text = faults({
      ...ONE,
      pin: 'secret',
      pin_env: 'X',
      lib: 'p11.so',
      slot: 'x',
      key_id: 'xyz',
      nonsense: '1',
      threshold: '2',
      timeout: '0',
    });
    for (const part of [
      /unknown key "nonsense"/,
      /lib is not/,
      /slot is not/,
      /key_id is not/,
      /threshold is not/,
      /timeout is not/,
    ]) {
      expect(text).toMatch(part);
    }
    expect(text).not.toContain('secret');
  });
});

describe('the stanza of several tokens', () => {
  const several = {
    ...{ lib: '/lib/p11.so', key_label: 'seal', threshold: '2' },
    ...{
      token1_token_label: 'a',
      token1_pin: '1',
      token2_token_label: 'b',
      token2_pin: '2',
      token2_lib: '/lib/other.so',
    },
    ...{ token3_serial: '77', token3_pin: '3', token3_key_label: 'else' },
  };

  it('takes what a token does not say from what is said for all', () => {
    const { tokens, threshold, encryptMin } = read(several);
    expect([threshold, encryptMin]).toEqual([2, 3]);
    expect(tokens.map(({ name, lib, keyLabel }) => [name, lib, keyLabel])).toEqual([
      ['a', '/lib/p11.so', 'seal'],
      ['b', '/lib/other.so', 'seal'],
      ['serial 77', '/lib/p11.so', 'else'],
    ]);
  });

  it('has a threshold, no gaps, no name twice, and nothing that belongs to one token without its number', () => {
    expect(faults({ ...several, threshold: '' })).toMatch(/threshold is missing/);
    const { threshold: _, ...without } = several;
    expect(faults(without)).toMatch(/threshold is missing/);
    expect(faults({ ...several, threshold: '4' })).toMatch(/threshold is not a whole number from 1 to 3/);
    expect(faults({ ...several, encrypt_min: '1' })).toMatch(/encrypt_min is not a whole number from 2 to 3/);
    expect(faults({ ...several, token5_pin: '5' })).toMatch(/without gaps, and here they are 1, 2, 3, 5/);
    expect(faults({ ...several, token2_token_label: 'a' })).toMatch(/two tokens are called "a"/);
    expect(faults({ ...several, pin: '1' })).toMatch(/pin belongs to one token: token1_pin/);
  });

  it('has a key id that tells threshold, tokens and keys apart', () => {
    const id = (stanza: Record<string, string>): string => {
      const { threshold, tokens } = read(stanza);
      return sealKeyId(threshold, tokens);
    };
    expect(id(several)).toMatch(/^2 of a\/seal, b\/seal, serial 77\/else #[0-9a-f]{16}$/);
    const others = [
      { ...several, threshold: '3' },
      { ...several, key_label: 'new' },
      { ...several, token1_key_id: '01' },
    ];
    expect(new Set([several, ...others].map(id)).size).toBe(4);
  });
});

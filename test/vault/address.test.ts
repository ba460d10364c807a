import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/vault/address.ts';
import { codeOf } from '../support/errors.ts';

describe('parseAddress', () => {
  it('means https where no scheme is given', () => {
    expect(parseAddress('vault-1.example:8200')).toMatchObject({
      kind: 'https',
      host: 'vault-1.example',
      port: 8200,
      origin: 'https://vault-1.example:8200',
      base: '',
    });
    expect(parseAddress('127.0.0.1:8200')).toMatchObject({ kind: 'https', host: '127.0.0.1', port: 8200 });
  });

  it('knows ports, IPv6, a path before the API, and unix sockets', () => {
    expect(parseAddress('https://a.test')).toMatchObject({ port: 443, authority: 'a.test' });
    expect(parseAddress('http://a.test/')).toMatchObject({ kind: 'http', port: 80, base: '' });
    expect(parseAddress('https://[::1]:8200')).toMatchObject({ host: '::1', authority: '[::1]:8200' });
    expect(parseAddress('https://a.test/bao/')).toMatchObject({ base: '/bao' });
    expect(parseAddress('unix:///run/bao.sock')).toMatchObject({ kind: 'unix', socket: '/run/bao.sock' });
  });

  it.each([
    '',
    'ftp://a.test',
    'https://user:hunter22@a.test',
    'https://a.test?x=1',
    'https://a.test#x',
    'https://',
    'unix://run/bao.sock',
    `unix:///${'a'.repeat(120)}`,
    'https://a.test:99999',
  ])('refuses %s and repeats nothing of it', async (text) => {
    expect(await codeOf(() => parseAddress(text))).toBe('usage');
    try {
      parseAddress(text);
    } catch (error) {
      expect(String(error)).not.toContain('hunter22');
    }
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePath, encodeQuery } from '../../src/vault/paths.ts';
import { codeOf } from '../support/errors.ts';

describe('encodePath', () => {
  it('leaves a plain path and a slash at its end', () => {
    expect(encodePath('sys/policies/acl/my-policy')).toBe('sys/policies/acl/my-policy');
    expect(encodePath('sys/mounts/kv/')).toBe('sys/mounts/kv/');
  });

  it('makes what would change the call part of a name', () => {
    expect(encodePath('kv/data/a#b?c=d%2e&#x2F;ü')).toBe('kv/data/a%23b%3Fc%3Dd%252e%26%23x2F%3B%C3%BC');
  });

  it.each(['../sys/seal', 'kv/../sys/seal', 'kv/.', '..', '/sys/seal', '//sys', 'kv//a', '', '/'])(
    'refuses %j',
    async (path) => {
      expect(await codeOf(() => encodePath(path))).toBe('usage');
    },
  );

  it('refuses broken Unicode', async () => {
    expect(await codeOf(() => encodePath('kv/\ud800'))).toBe('usage');
  });

  it('gives, for any path that it takes, a URL whose segments are the given ones', () => {
    const segment = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((it) => !['.', '..'].includes(it) && !it.includes('/'));
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1 }), (segments) => {
        const url = new URL(`https://peer.test/v1/${encodePath(segments.join('/'))}`);
        expect(url.search + url.hash).toBe('');
        expect(url.pathname.split('/').slice(2).map(decodeURIComponent)).toEqual(segments);
      }),
    );
  });
});

describe('encodeQuery', () => {
  it('encodes keys and values', () => {
    expect(encodeQuery()).toBe('');
    expect(encodeQuery({ 'a b': 'c&d=e', 'f': '' })).toBe('?a%20b=c%26d%3De&f=');
  });
});

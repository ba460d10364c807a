import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/secret.ts';
import { encodeJson, secretsIn } from '../../src/vault/body.ts';
import { codeOf } from '../support/errors.ts';

const decode = (bytes: Uint8Array): string => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

describe('encodeJson', () => {
  it('writes what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(decode(encodeJson(value))).toBe(JSON.stringify(value));
      }),
    );
  });

  it('writes any secret text so that a parser reads it back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 2000 }), (text) => {
        const body = { key: Secret.fromText(text), list: [Secret.fromText(text)], other: 1 };
        expect(JSON.parse(decode(encodeJson(body)))).toEqual({ key: text, list: [text], other: 1 });
      }),
    );
  });

  it('writes large numbers whole, and leaves out what is undefined', () => {
    expect(decode(encodeJson({ a: 12345678901234567890n, b: undefined, c: null }))).toBe(
      '{"a":12345678901234567890,"c":null}',
    );
  });

  it.each([[new Uint8Array(3)], [Number.NaN], [() => 1], [new Date()], [undefined], [new Secret(Uint8Array.of(0xff))]])(
    'refuses what has no form in JSON: %#',
    async (value) => {
      expect(await codeOf(() => encodeJson({ value: [value] }))).toBe('bug');
    },
  );

  it('uses no wiped secret', async () => {
    const secret = Secret.fromText('share');
    secret.wipe();
    expect(await codeOf(() => encodeJson({ key: secret }))).toBe('bug');
  });
});

describe('secretsIn', () => {
  it('finds secrets at any depth', () => {
    const [a, b] = [Secret.fromText('a'), Secret.fromText('b')];
    expect(secretsIn({ x: [1, { y: a }], z: b, n: null })).toEqual([a, b]);
    expect(secretsIn(undefined)).toEqual([]);
  });
});

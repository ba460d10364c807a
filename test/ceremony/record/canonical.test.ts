import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalBytes, canonicalJson } from '../../../src/ceremony/record/canonical.ts';
import { Secret } from '../../../src/secret.ts';

const json = fc.jsonValue({ maxDepth: 4 });

function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [key, member] of Object.entries(value).reverse()) result[key] = shuffled(member);
  return result;
}

describe('canonical JSON', () => {
  test('any order of the keys gives the same bytes', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(canonicalBytes(shuffled(value))).toEqual(canonicalBytes(value));
      }),
    );
  });

  test('what was written reads back, and is canonical again', () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
  });

  // The worked example of RFC 8785, section 3.2.
  test('the example of the standard', () => {
    const input = JSON.parse(
      '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],' +
        '"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
    ) as unknown;
    expect(canonicalJson(input)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  test('keys are ordered by UTF-16 code units', () => {
    expect(canonicalJson({ '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '😀': 5, '\u0080': 6, 'ö': 7 })).toBe(
      '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
    );
  });

  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['undefined in an object', { a: undefined }],
    ['undefined in an array', [undefined]],
    ['a hole', Object.assign(new Array<number>(2), { 1: 1 })],
    ['a named element', Object.assign([1], { name: 2 })],
    ['NaN', { a: NaN }],
    ['infinity', [-Infinity]],
    ['a bigint', 1n],
    ['a function', () => 1],
    ['toJSON', { toJSON: () => 'other' }],
    ['a symbol', Symbol('s')],
    ['a symbol as key', { [Symbol('s')]: 1 }],
    ['a lone surrogate', 'a\ud800b'],
    ['a lone surrogate in a key', { '\udc00': 1 }],
    ['a date', new Date(0)],
    ['a secret', { share: Secret.fromText('canary') }],
    ['bytes', new Uint8Array(3)],
    ['a map', new Map()],
    ['a boxed string', new String('x')],
    ['a cycle', cycle],
  ])('%s has no canonical form', (_, value) => {
    expect(() => canonicalJson(value)).toThrow(expect.objectContaining({ code: 'bug' }) as Error);
  });
});

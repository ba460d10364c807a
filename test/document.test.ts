import fc from 'fast-check';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { DOCUMENT_LIMIT, parseDocument, renderYaml } from '../src/document.ts';
import { type Fault, QuorateError } from '../src/errors.ts';

const person = v.strictObject({ name: v.string(), x: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{2}$/))) });
const schema = v.strictObject({ title: v.string(), shares: v.pipe(v.number(), v.integer()), people: v.array(person) });
const json: v.GenericSchema = v.unknown();

function faults(text: string, against: v.GenericSchema = schema): readonly Fault[] {
  try {
    parseDocument(text, against, { file: 'script.yaml' });
  } catch (error) {
    if (error instanceof QuorateError && error.code === 'document-invalid') return error.faults;
    throw error;
  }
  return [];
}

const places = (text: string, against?: v.GenericSchema) =>
  faults(text, against).map(({ line, column }) => `${String(line)}:${String(column)}`);

describe('parseDocument', () => {
  test('gives the typed value', () => {
    const value = parseDocument('# hello\ntitle: yearly\nshares: 5\npeople:\n  - { name: Alice, x: "30" }\n', schema, {
      file: 'x',
    });
    expect(value).toEqual({ title: 'yearly', shares: 5, people: [{ name: 'Alice', x: '30' }] });
  });

  test('reports every fault at its place, in order', () => {
    const text = 'titel: a\nextra: b\nshares: many\npeople:\n  - name: 7\n    x: zz\n  - nam: B\n    one: 1\n';
    expect(places(text)).toEqual(['1:1', '1:1', '2:1', '3:9', '5:11', '6:8', '7:5', '7:5', '8:5']);
  });

  test('does not quote values, which could be secrets in the wrong place', () => {
    const secret = 'ab'.repeat(33);
    const text = `title: [${secret}]\nshares: ${secret}z\npeople: ${secret}\n`;
    expect(JSON.stringify(faults(text))).not.toContain('abab');
    expect(JSON.stringify(faults(`title: "${secret}\\q"`))).not.toContain('abab');
    expect(JSON.stringify(faults(secret))).not.toContain('abab');
  });

  test.each([
    ['a duplicate key', 'a: 1\na: 2\n', '2:1'],
    ['a duplicate key in a flow map', '{a: 1, "a": 2}\n', '1:8'],
    ['an anchor', 'a: &x 1\n', '1:7'],
    ['a merge key', '<<: {b: 1}\n', '1:1'],
    ['a tag', 'a: !!str 1\n', '1:10'],
    ['a tag on a map', 'a: !!map {}\n', '1:10'],
    ['the non-specific tag', 'a: ! b\n', '1:6'],
    ['a local tag', 'a: !secret b\n', '1:4'],
    ['a second document', 'a: 1\n---\nb: 2\n', '2:1'],
    ['a version directive', '%YAML 1.1\n---\na: yes\n', '1:1'],
    ['a tag directive', '%TAG !e! tag:example.com,2000:\n---\na: 1\n', '1:1'],
    ['a hexadecimal number', 'a: 0x10\n', '1:4'],
    ['a leading zero', 'a: 08\n', '1:4'],
    ['an exponent', 'a: 1e5\n', '1:4'],
    ['an infinity', 'a: .inf\n', '1:4'],
    ['a number that would lose digits', 'a: 12345678901234567890\n', '1:4'],
    ['__proto__', '__proto__: {a: 1}\n', '1:1'],
    ['a map as a key', '{a: 1}: 2\n', '1:1'],
    ['a tab as indentation', 'a:\n\tb: 1\n', '2:1'],
    ['a control character', 'a: 1\nb: x\u0007y\n', '2:5'],
    ['a bidirectional override', 'a: "x\u202ey"\n', '1:6'],
    ['an escaped control character', 'a: "x\\ey"\n', '1:4'],
    ['an escaped NUL', 'a: "x\\0y"\n', '1:4'],
  ])('refuses %s', (_, text, place) => {
    expect(places(text, json)).toContain(place);
  });

  test('refuses aliases, however many they would expand to', () => {
    const laughs = Array.from(
      { length: 9 },
      (_, i) => `l${i.toString()}: &l${i.toString()} [${`*l${(i - 1).toString()},`.repeat(i === 0 ? 0 : 9)}]`,
    );
    expect(faults(laughs.join('\n'), json).length).toBeGreaterThan(9);
  });

  test('refuses what is too large or too deep, quickly', () => {
    const start = performance.now();
    expect(faults('a'.repeat(DOCUMENT_LIMIT + 1), json)).toHaveLength(1);
    expect(faults('ä'.repeat(DOCUMENT_LIMIT / 2 + 1), json)).toHaveLength(1);
    expect(faults('['.repeat(DOCUMENT_LIMIT), json)).not.toHaveLength(0);
    expect(faults(`${'['.repeat(40)}${']'.repeat(40)}`, json)).toHaveLength(1);
    expect(faults('- '.repeat(1000), json)).not.toHaveLength(0);
    const keys = Array.from({ length: 20_000 }, (_, i) => `k${i.toString()}: 1`).join('\n');
    parseDocument(keys, json, { file: 'x' });
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test('never throws anything but document-invalid, whatever the text', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'a: ',
        '- ',
        '{',
        '}',
        '[',
        ']',
        '&a ',
        '*a ',
        '!!x ',
        '? ',
        ': ',
        '|\n',
        '>-\n ',
        '"',
        "'",
        '%',
        '---\n',
        '...\n',
        '#',
        '\n',
        '\n  ',
        '\t',
        '<<: ',
        '__proto__: ',
        '0x',
        '\\u',
      ),
      fc.string({ unit: 'binary', maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        for (const fault of faults(pieces.join('')))
          expect((fault.line ?? 1) >= 1 && (fault.column ?? 1) >= 1).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('renderYaml', () => {
  const key = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    .filter((k) => k !== '__proto__' && k !== '<<' && !/[\p{Cc}\p{Cs}\p{Cf}\u2028\u2029]/u.test(k));
  const text = fc.oneof(
    key,
    fc.constantFrom(
      '',
      'yes',
      'no',
      'null',
      '~',
      '30',
      '08',
      '1e5',
      '3f',
      '0x1f',
      '1_000',
      '12:30:45',
      '2027-01-12',
      '<<',
      '=',
      '# a',
      'a: b',
      ' a ',
      'a\nb',
      '- a',
      '*a',
      '&a',
      '!a',
      '%a',
      '@a',
      '`a',
    ),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.boolean(),
      fc.constant(null),
      fc.integer(),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));

  test('is read back unchanged', () => {
    fc.assert(
      fc.property(value, (original) => {
        expect(parseDocument(renderYaml(original), json, { file: 'x' })).toEqual(original);
      }),
      { numRuns: 1000 },
    );
  });

  test('writes shared objects out, and leaves undefined members out', () => {
    const shared = { a: 1 };
    expect(renderYaml({ one: shared, two: shared, three: undefined }, { comment: 'Line 1\n\nLine 3' })).toBe(
      '# Line 1\n#\n# Line 3\none:\n  a: 1\ntwo:\n  a: 1\n',
    );
  });

  test('escapes what would deceive a reader', () => {
    expect(renderYaml({ a: 'x\u202ey' })).toBe('a: "x\\u202ey"\n');
    expect(renderYaml({ a: 'x\u0007y' })).toBe('a: "x\\ay"\n');
  });
});

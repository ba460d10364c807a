import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as v from 'valibot';
import { parseDocument } from '../src/document.ts';
import { readPlainYaml } from '../src/plain-yaml.ts';
import { readTracked, trackedFiles } from './structure/source-tree.ts';

const full = (text: string): unknown => parseDocument(text, v.unknown(), { file: 'x' });

/** Whatever is read as plain must be what the library reads. @returns whether it was. */
function agree(text: string): boolean {
  const plain = readPlainYaml(text);
  if (plain === undefined) return false;
  expect(plain, text).toEqual(full(text));
  return true;
}

const CONFIG = `# the cluster
clusters:
  prod:
    peers:
      - name: vault-1
        address: https://vault-1.example:8200 # the first
      - { name: vault-2, address: https://vault-2.example:8200 }
    ca: ./ca.pem
    auth:
      method: approle
      role-id: "6d2b-1a44"
      secret-id-file: 'secret id'
    namespaces:
    - path: team/a

policy:
  smallest-threshold: 2
  witnessed: true
records: records
list: [a, b c, 10.20.0.0/16]
`;

describe('plain YAML', () => {
  it('is what a quorate.yaml is written in', () => {
    expect(agree(CONFIG)).toBe(true);
  });

  it('is read as the library reads it, in everything that the project has', () => {
    const files = trackedFiles().filter((path) => /\.ya?ml$/.test(path));
    const blocks = [...readTracked('README.md').matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
    const plain = [...files.map(readTracked), ...blocks].filter(agree);
    expect(plain.length).toBeGreaterThan(1);
  });

  it.each([
    ...[
      '',
      '# nothing',
      'a',
      'a:',
      'a: ~',
      'a: null',
      'a: yes',
      'a: True',
      'a: 1.5',
      'a: 1e3',
      'a: 0x1f',
      'a: .5',
      'a: -1',
    ],
    ...['a: 007', 'a: *b', 'a: &b c', 'a: !t c', 'a: |\n  b', 'a: >\n  b', 'a: b: c', 'a: b\n  c', 'a: "b\\n"'],
    ...[
      "a: 'it''s'",
      'a: 1\na: 2',
      '__proto__: 1',
      '<<: 1',
      '? a',
      '---\na: 1',
      '%YAML 1.2\n',
      'a: 1\n...',
      'a:\tb',
      'a: b\r\n',
    ],
    ...[
      'a: ü',
      ' a: 1\nb: 2',
      'a: 1\n b: 2',
      '- - a',
      '-',
      'a: []',
      'a: {}',
      'a: [b, [c]]',
      'a: [b,c]',
      'a: {b}',
      'a: {b: }',
    ],
    ...[
      'true: 1',
      'a: b:',
      'a: [b',
      "a: 'b' c",
      'a: "b"c',
      'a: #b',
      'a: b\n- c',
      '- a\nb: c',
      'a: [b:, c]',
      'a: [b: c]',
    ],
    'a: 123456789012345678',
  ])('leaves %j to the library', (text) => {
    expect(readPlainYaml(text)).toBeUndefined();
  });

  const piece = fc.constantFrom(
    ...[
      'a',
      'b-c',
      'name',
      'https://x:8200',
      '1',
      '0',
      '12.5',
      '1e5',
      'true',
      'no',
      "'q r'",
      '"d"',
      '[a, b]',
      '[1, "x"]',
    ],
    ...[
      '{ a: b }',
      '{a: b, c: 1}',
      '#c',
      ' # c',
      '|',
      '&x',
      '*x',
      '!!str',
      '- ',
      '-',
      ': ',
      ':',
      ',',
      '10.0.0.0/8',
      './f',
      '.x',
      'x y',
    ],
    ...[
      '~',
      '%',
      '@',
      '`',
      '2027-01-12',
      '15m',
      'null',
      '0o7',
      "it's",
      'a"b',
      '?',
      '? ',
      '[',
      '}',
      '<<',
      '__proto__',
      '+1',
      '-1',
      '=',
    ],
  );
  const value = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        'x',
        'https://x:8200',
        '7',
        'false',
        '"d e"',
        "'f'",
        '[a, b]',
        '{ a: b, c: 1 }',
        '15m',
      ),
    },
    { weight: 1, arbitrary: fc.array(piece, { maxLength: 2 }).map((parts) => parts.join('')) },
  );
  const line = fc.tuple(
    fc.oneof({ weight: 5, arbitrary: fc.constantFrom(0, 2, 4) }, { weight: 1, arbitrary: fc.constantFrom(1, 3, 6) }),
    fc.constantFrom('', '', '', '- '),
    fc.constantFrom('a: ', 'b: ', 'c:', 'd: ', 'e:  ', 'f: ', ''),
    value,
  );
  const document = fc
    .array(line, { minLength: 1, maxLength: 6 })
    .map((lines) => lines.map(([indent, dash, key, text]) => `${' '.repeat(indent)}${dash}${key}${text}`).join('\n'));

  it('never differs from the library, whatever the text', () => {
    let plain = 0;
    fc.assert(
      fc.property(document, (text) => {
        if (agree(text)) plain += 1;
      }),
      { numRuns: 20_000 },
    );
    // Else this shows nothing.
    expect(plain).toBeGreaterThan(300);
  });
});

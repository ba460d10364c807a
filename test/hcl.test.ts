import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isQuorateError } from '../src/errors.ts';
import { blocksOf, type HclObject, type HclValue, isObject, parseHcl } from '../src/hcl.ts';

/** As plain data, the keys of a block joined. */
function plain(value: HclValue): unknown {
  if (Array.isArray(value)) return (value as readonly HclValue[]).map(plain);
  if (!isObject(value)) return value;
  return Object.fromEntries(value.entries.map((entry) => [entry.keys.join(' '), plain(entry.value)]));
}

const parse = (text: string): unknown => plain(parseHcl(text, 'bao.hcl'));

describe('a server configuration', () => {
  it('is read as the servers read it', () => {
    const text = `
# a comment
ui = true // another
api_addr = "https://127.0.0.1:8200" /* and
a third */
listener "tcp" {
  address = "[::]:8200", tls_disable = 0
  x_forwarded_for_authorized_addrs = ["10.0.0.0/8", "::1",]
}
seal "pkcs11" {
  lib = "/usr/lib/\\"x\\"\\u00e9\\x41\\101.so"
  slot = "0x1"
  timeout = 0x10
  ratio = -1.5e1
  note = "\${env("HOME")}"
  text = <<-EOF
      first
        second
      EOF
  raw = <<EOF
  kept
EOF
}
plugin "kms" "quorate-kms" { command = "quorate-kms" }
options = { "quoted key" = "v" }
`;
    expect(parse(text)).toEqual({
      'ui': true,
      'api_addr': 'https://127.0.0.1:8200',
      'listener tcp': {
        address: '[::]:8200',
        tls_disable: 0,
        x_forwarded_for_authorized_addrs: ['10.0.0.0/8', '::1'],
      },
      'seal pkcs11': {
        lib: '/usr/lib/"x"éAA.so',
        slot: '0x1',
        timeout: 16,
        ratio: -15,
        note: '${env("HOME")}',
        text: 'first\n  second\n',
        raw: '  kept\n',
      },
      'plugin kms quorate-kms': { command: 'quorate-kms' },
      'options': { 'quoted key': 'v' },
    });
  });

  it('may be JSON', () => {
    const root = parseHcl('{"seal": [{"pkcs11": {"lib": "/x.so"}}], "plugin": {"kms": {"a": {"command": "b"}}}}', 'x');
    expect(blocksOf(root, 'seal', 1).map(({ labels, body }) => [labels, plain(body)])).toEqual([
      [['pkcs11'], { lib: '/x.so' }],
    ]);
    expect(blocksOf(root, 'plugin', 2).map(({ labels }) => labels)).toEqual([['kms', 'a']]);
  });

  it('has its blocks in either notation, with their lines', () => {
    const root = parseHcl('a = 1\nseal "x" {\n}\nseal = { y = {} }\nplugin "kms" { n { command = "c" } }', 'x');
    expect(blocksOf(root, 'seal', 1).map(({ labels, line }) => [labels, line])).toEqual([
      [['x'], 2],
      [['y'], 4],
    ]);
    expect(blocksOf(root, 'plugin', 2).map(({ labels }) => labels)).toEqual([['kms', 'n']]);
  });

  it.each([
    ['seal "pkcs11" {\n  pin = "1234\n}', 'bao.hcl:2:14'],
    ['seal "pkcs11" {\n  pin = 12.34.5\n}', 'bao.hcl:2:9'],
    ['seal "pkcs11" {', 'bao.hcl:1:16'],
    ['}', 'bao.hcl:1:1'],
    ['a b c', 'bao.hcl:1:6'],
    ['a "b" = 1', 'bao.hcl:1:7'],
    ['a = <<EOF\ntext', 'bao.hcl:1:5'],
    ['a = "\\q"', 'bao.hcl:1:7'],
    ['a = [1 2]', 'bao.hcl:1:8'],
    ['a = nothing', 'bao.hcl:1:12'],
    ['{"a": 1', 'bao.hcl'],
    [`a ${'{ a '.repeat(40)}`, 'bao.hcl'],
  ])('that is broken is refused with its place: %j', (text, place) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'document-invalid' }));
    expect(() => parse(text)).toThrow(place);
  });
});

const NAMES = fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/);

describe('the reader', () => {
  it('reads back what is written', () => {
    const { any: value } = fc.letrec<{ any: unknown }>((tie) => ({
      any: fc.oneof(
        { maxDepth: 4 },
        fc.string({ unit: 'grapheme' }),
        fc.boolean(),
        fc.integer(),
        fc.array(tie('any'), { maxLength: 4 }),
        fc.dictionary(NAMES, tie('any'), { maxKeys: 4, noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(NAMES, value, { maxKeys: 5, noNullPrototype: true }), (object) => {
        const text = Object.entries(object).map(([key, one]) => `${key} = ${written(one)}`);
        expect(parse(text.join('\n'))).toEqual(object);
      }),
    );
  });

  it('ends on any text, with a value or with its one error, and quotes none of it', () => {
    const pieces = fc.constantFrom(
      ...['seal', '"', '{', '}', '[', ']', '=', ',', '\n', '<<EOF', 'EOF', '\\', '${', '#', '/*', '*/', '1', 'hunter2'],
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 40 }), (parts) => {
        try {
          const root: HclObject = parseHcl(parts.join(''), 'f');
          blocksOf(root, 'seal', 1);
        } catch (error) {
          expect(isQuorateError(error, 'document-invalid')).toBe(true);
          expect((error as Error).message).not.toContain('hunter2');
        }
      }),
      { numRuns: 2000 },
    );
  });
});

function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{ ${Object.entries(value)
      .map(([key, one]) => `${key} = ${written(one)}`)
      .join('\n')} }`;
  }
  if (typeof value !== 'string') return String(value);
  const names: Readonly<Record<string, string>> = { '\n': 'n', '\r': 'r', '\t': 't' };
  const escaped = value.replace(/[\\"\n\r\t]|\$(?=\{)/g, (one) => (one === '$' ? '\\u0024' : `\\${names[one] ?? one}`));
  return `"${escaped}"`;
}

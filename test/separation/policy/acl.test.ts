import { describe, expect, it } from 'vitest';
import { Acl, capabilitiesOf, passes, type PlacedRule } from '../../../src/separation/policy/acl.ts';
import { parsePolicy } from '../../../src/separation/policy/parse.ts';
import { fillIn, fillInAny } from '../../../src/separation/policy/template.ts';
import { codeOf } from '../../support/errors.ts';

const place = (text: string, namespace = ''): PlacedRule[] =>
  parsePolicy(text, 'p').map((rule) => ({ ...rule, policy: 'p', namespace }));
const rule = (path: string, ...words: string[]): string =>
  `path "${path}" { capabilities = ${JSON.stringify(words)} }\n`;
const says = (text: string, path: string): string => String(capabilitiesOf(new Acl(place(text)).at(path)));

describe('precedence', () => {
  it.each([
    ['an exact path beats a deny above it', rule('mpc/*', 'deny') + rule('mpc/data/a', 'read'), 'read'],
    ['a later wildcard beats an earlier one', rule('+/data/a', 'deny') + rule('mpc/+/a', 'read'), 'read'],
    ['+ beats * at the same place', rule('mpc/+/a', 'read') + rule('mpc/*', 'deny'), 'read'],
    ['deny wins among rules of one path', rule('mpc/data/a', 'read') + rule('mpc/data/a', 'deny'), 'deny'],
    ['rules of one path add up', rule('mpc/data/a', 'read') + rule('mpc/data/a', 'list'), 'list,read'],
    ['nothing allowed is a deny', rule('mpc/data/b', 'read'), 'deny'],
  ])('%s', (_, text, expected) => {
    expect(says(text, 'mpc/data/a')).toBe(expected);
  });

  it('starts below the namespace of the policy', () => {
    const acl = new Acl(place(rule('mpc/*', 'read'), 'team/'));
    expect(acl.at('team/mpc/data/a')?.bits).toBe(4);
    expect(acl.at('mpc/data/a')).toBeUndefined();
  });
});

describe('parameters', () => {
  const at = (body: string) => new Acl(place(`path "x" { capabilities = ["update"]\n${body} }`)).at('x')!;

  it.each([
    ['', true],
    ['allowed_parameters = { "policy" = [] }', true],
    ['allowed_parameters = { "other" = [] }', false],
    ['allowed_parameters = { "other" = [] "*" = [] }', true],
    ['denied_parameters = { "policy" = [] }', false],
    ['denied_parameters = { "*" = [] }', false],
    ['denied_parameters = { "policy" = ["one text"] }', true],
    ['required_parameters = ["reason"]', true],
    ['required_parameters = ["reason"]\nallowed_parameters = { "policy" = [] }', false],
  ])('%s', (body, expected) => {
    expect(passes(at(body), ['policy'])).toBe(expected);
  });

  it('are any value where one of two rules for a path says so', () => {
    const [one, two] = ['["a"]', '[]'].map(
      (values) => `path "x" { capabilities = ["update"] allowed_parameters = { "a" = ${values} } }\n`,
    );
    expect(new Acl(place(`${one ?? ''}${two ?? ''}`)).at('x')?.allowed?.get('a')).toEqual([]);
  });
});

describe('policies that cannot be read as meant', () => {
  it.each([
    'path "a" { capabilities = ["fly"] }',
    'path "a" { capability = ["read"] }',
    'path "a" "b" { capabilities = ["read"] }',
    'path "a/+*" { capabilities = ["read"] }',
    'route "a" { capabilities = ["read"] }',
    'path "a" { policy = "own" }',
    'path "a" { capabilities = ["read"]',
  ])('%s', async (text) => {
    expect(await codeOf(() => parsePolicy(text, 'p'))).toBe('document-invalid');
  });
});

describe('templates', () => {
  const [templated] = place(rule('mpc/data/{{identity.entity.name}}/x', 'read'));
  const entity = (name: string) => ({ id: 'i', name, metadata: {}, aliases: [], groups: [] });
  const strict = { slashes: false, wildcards: false };

  it('are filled in, or the rule is not there', () => {
    expect(fillIn(templated!, entity('north'), strict)?.path).toBe('mpc/data/north/x');
    expect(fillIn(templated!, undefined, strict)).toBeUndefined();
    expect(fillIn(templated!, entity('n/*'), strict)).toBeUndefined();
    expect(fillIn(templated!, entity('n/*'), { slashes: true, wildcards: true })?.path).toBe('mpc/data/n/*/x');
  });

  it('can be anything for somebody who is not known', () => {
    expect(fillInAny(templated!).path).toBe('mpc/data/*');
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { looksSecret } from '../../../src/ceremony/record/events.ts';
import { checkLine } from '../../../src/ceremony/record/line.ts';
import { accepted, closed, digestOf, opened } from './samples.ts';

const envelope = { seq: 1, time: '2027-01-12T10:00:00.000Z', prev: 'none' };
const bytes = (length: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((each) => Buffer.from(each));
// Random bytes, as shares are; the seed is fixed because a base64 text without digits is possible, if hardly ever.
const fixed = { seed: 20270112, numRuns: 300 };

describe('what looks like a secret', () => {
  const secrets: readonly [string, fc.Arbitrary<string>][] = [
    ['a share in hexadecimal', bytes(33).map((share) => share.toString('hex'))],
    ['a share in upper case', bytes(33).map((share) => share.toString('hex').toUpperCase())],
    ['a share in groups', bytes(33).map((share) => share.toString('hex').replaceAll(/(.{4})/g, '$1 '))],
    ['a share with dashes', bytes(33).map((share) => share.toString('hex').replaceAll(/(.{2})/g, '$1-'))],
    ['a share in base64', bytes(33).map((share) => share.toString('base64'))],
    ['a share without its x', bytes(32).map((share) => share.toString('base64'))],
    ['a token of Vault', bytes(18).map((token) => `hvs.${token.toString('base64url')}`)],
    ['a token of OpenBao', bytes(18).map((token) => `s.${token.toString('base64url')}`)],
  ];

  test.each(secrets)('%s', (_, arbitrary) => {
    fc.assert(
      fc.property(arbitrary, (secret) => {
        fc.pre(/[A-Z]/.test(secret) || !/^[A-Za-z0-9+/]{44}$/.test(secret));
        expect(looksSecret(secret)).toBe(true);
        expect(looksSecret(`he read ${secret} aloud`)).toBe(true);
        for (const event of [
          { event: 'note', text: `see ${secret}` },
          { event: 'note', text: 'x', by: secret },
          { event: 'people', say: 'x', fields: { [secret]: 'x' } },
          { event: 'request', peer: 'p', request: 'r', expected: { a: secret }, actual: {} },
        ]) {
          const checked = checkLine({ ...envelope, ...event });
          expect(checked.ok).toBe(false);
          expect(JSON.stringify(checked)).not.toContain(secret);
        }
      }),
      fixed,
    );
  });

  test.each([
    'SHA256:9kqV2Jp0mXc1n4b7v8Zq3w5e6r7t8y9u0iOpAsDfGhJ',
    '/var/lib/quorate/records/2027/Ceremonies/Root/Keys/Alice/script.yaml',
    '84980d23-701a-821c-de95-1936219b6c55',
    'POST sys/namespaces/team/region/rotate/root/verify/update/again',
    'vault-3 was last heard 41 s ago and is 5,120 entries behind, progress = 2',
    '1F2E 77AB 0C6D 9E41 53B8  2A60 9D1C 44F7 8E05 B39A',
  ])('%s does not', (text) => {
    expect(looksSecret(text)).toBe(false);
  });
});

describe('the closed schema', () => {
  const samples: readonly object[] = [opened, accepted(1), closed({ 'roster.yaml': digestOf('r') })];
  const key = fc.oneof(
    fc.string({ minLength: 1 }),
    fc.constantFrom('share', 'token', 'pin', 'toString', 'constructor'),
  );

  test('no line with a field of its own is taken, at any depth, nor quoted', () => {
    fc.assert(
      fc.property(fc.constantFrom(...samples), key, fc.string({ minLength: 6 }), (sample, name, value) => {
        fc.pre(!(name in sample) && !(name in envelope) && !OPTIONAL.has(name) && name !== '__proto__');
        const secret = `canary${value}`;
        const checked = checkLine({ ...envelope, ...sample, [name]: secret });
        expect(checked.ok).toBe(false);
        expect(JSON.stringify(checked)).not.toContain(JSON.stringify(secret).slice(1, -1));
      }),
    );
    expect(checkLine({ ...envelope, ...opened, quorate: { ...opened.quorate, token: 'x' } }).ok).toBe(false);
  });

  const OPTIONAL = new Set(['mode', 'step', 'config', 'place', 'previous', 'previousId', 'nonce', 'next']);

  test.each([
    { ...envelope, ...opened, event: 'no.such' },
    { ...envelope, ...opened, event: 'toString' },
    { ...envelope, ...opened, seq: -1 },
    { ...envelope, ...opened, seq: 2 ** 53 },
    { ...envelope, ...opened, time: '2027-01-12T10:00:00Z' },
    { ...envelope, ...opened, time: '2027-13-12T10:00:00.000Z' },
    { ...envelope, ...opened, prev: 'sha256:00' },
    { ...envelope, ...opened, mode: 'rehearsal' },
    { ...envelope, ...opened, title: 'two\nlines' },
    { ...envelope, ...opened, title: '\u001b[2J' },
    { ...envelope, ...opened, title: 'x'.repeat(401) },
    { ...envelope, event: 'participant', role: 'custodian', name: 'A', pgp: '0123456789ABCDEF' },
    { ...envelope, event: 'participant', role: 'custodian', name: 'A', pgp: 'a'.repeat(66) },
    { ...envelope, event: 'participant', role: 'custodian', name: 'A', ssh: 'ssh-ed25519 AAAA' },
    { ...envelope, event: 'request', peer: 'p', request: 'r', expected: { n: NaN }, actual: {} },
    [],
    null,
    'text',
  ])('refuses %j', (line) => {
    expect(checkLine(line).ok).toBe(false);
  });
});

import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { combine, split } from 'shamir-secret-sharing';
import { describe, expect, test } from 'vitest';
import { fingerprintShare, hasFingerprint, parseShare, shareText } from '../../src/ceremony/share.ts';
import { QuorateError } from '../../src/errors.ts';
import { Secret } from '../../src/secret.ts';

const shareBytes = fc
  .tuple(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.integer({ min: 1, max: 255 }))
  .map(([data, x]) => Uint8Array.of(...data, x));
const blank = fc.constantFrom('', '', '', '', ' ', '\n', '\r\n', '\t', '\u00a0', '\ufeff');

const parse = (text: string, options?: { single?: boolean }) => parseShare(Secret.fromText(text), options);

function refusal(text: string | Uint8Array, options?: { single?: boolean }): QuorateError {
  try {
    parseShare(typeof text === 'string' ? Secret.fromText(text) : new Secret(text), options);
  } catch (error) {
    if (error instanceof QuorateError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

const sprinkle = (text: string, blanks: readonly string[]) =>
  [...text].map((character, index) => `${blanks[index % blanks.length] ?? ''}${character}`).join('') +
  (blanks[0] ?? '');

describe('parseShare', () => {
  test('reads what was encoded, hexadecimal of any case or base64, blanks or not', () => {
    fc.assert(
      fc.property(shareBytes, fc.array(blank, { minLength: 1, maxLength: 70 }), (bytes, blanks) => {
        const hex = Buffer.from(bytes).toString('hex');
        for (const text of [hex, hex.toUpperCase(), Buffer.from(bytes).toString('base64')]) {
          const share = parse(sprinkle(text, blanks));
          expect(share.bytes.expose((own) => Buffer.from(own).toString('hex'))).toBe(hex);
          expect(share.x).toBe(hex.slice(64));
          expect(shareText(share).exposeText()).toBe(hex);
        }
      }),
    );
  });

  test('reads the only share of a 1 of 1 only when told so', () => {
    const key = Buffer.alloc(32, 0xa7);
    for (const text of [key.toString('hex'), key.toString('base64')]) {
      expect(parse(text, { single: true }).x).toBe('00');
      expect(parse(text, { single: true }).bytes.length).toBe(32);
      expect(refusal(text).code).toBe('share-invalid');
    }
    expect(refusal('a7'.repeat(33), { single: true }).code).toBe('share-invalid');
    expect(refusal(Buffer.alloc(33, 0xa7).toString('base64'), { single: true }).code).toBe('share-invalid');
  });

  test('refuses base64 whose unused bits are set', () => {
    const text = Buffer.alloc(32, 0xa7).toString('base64');
    expect(text.at(-2)).toBe('c');
    expect(refusal(`${text.slice(0, -2)}d=`, { single: true }).code).toBe('share-invalid');
  });

  test('refuses x = 0', () => {
    expect(refusal(`${'a7'.repeat(32)}00`).code).toBe('share-invalid');
  });

  test.each([
    ['nothing', '', /nothing/],
    ['blanks', ' \n\t ', /nothing/],
    ['a lost character', 'ab'.repeat(33).slice(1), /65 hexadecimal/],
    ['one too many', `${'ab'.repeat(33)}a`, /67 hexadecimal/],
    ['two shares at once', 'ab'.repeat(66), /132 hexadecimal/],
    ['a letter O', `${'ab'.repeat(8)}O${'ab'.repeat(33).slice(17)}`, /character 17 of 66/],
    ['lost x', 'ab'.repeat(32), /x-coordinate/],
    ['base64 with a lost character', Buffer.alloc(33, 0xa7).toString('base64').slice(1), /43 characters/],
    ['base64 with an odd character', `!${Buffer.alloc(33, 0xa7).toString('base64').slice(1)}`, /character 1 of 44/],
    ['url-safe base64', Buffer.alloc(33, 0xfb).toString('base64url'), /url-safe/],
    ['an armoured message', '-----BEGIN PGP MESSAGE-----\n\nwV4D\n-----END PGP MESSAGE-----', /OpenPGP message/],
    ['a message as the server sends it', `wV4D${'ab/+'.repeat(60)}`, /OpenPGP message/],
    ['a public key', '-----BEGIN PGP PUBLIC KEY BLOCK-----', /key or certificate/],
    ['an OpenBao token', 's.3v4zSQRR9bHRRsXpHVeZZqyF', /token/],
    ['a Vault token', `hvs.${'CAESIJ'.repeat(12)}`, /token/],
    ['a labelled line', `Unseal Key 1: ${'ab'.repeat(33)}`, /label/],
    ['quotes', `"${'ab'.repeat(33)}"`, /quotes/],
    ['JSON', `{"key": "${'ab'.repeat(33)}"}`, /JSON/],
    ['words', 'abandon ability able about above absent absorb abstract absurd abuse access zoo', /words/],
  ])('names %s', (_, text, words) => {
    const error = refusal(text);
    expect(error.code).toBe('share-invalid');
    expect(error.message).toMatch(words);
    expect(error.hint).toBeTruthy();
  });

  test('names binary and UTF-16', () => {
    expect(refusal(Uint8Array.of(0x85, 1, 12, 3)).message).toMatch(/binary/);
    expect(refusal(Buffer.from('ab'.repeat(33), 'utf16le')).message).toMatch(/UTF-16/);
  });

  test('throws nothing but share-invalid, and quotes nothing', () => {
    const alphabet = 'abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789+/=-_.: \n"';
    const text = fc.oneof(
      fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 150 }),
      fc.uint8Array({ maxLength: 150 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      fc.tuple(shareBytes, fc.nat(65), fc.constantFrom('g', 'O', '', 'aa')).map(([bytes, at, put]) => {
        const hex = Buffer.from(bytes).toString('hex');
        return `${hex.slice(0, at)}${put}${hex.slice(at + 1)}`;
      }),
    );
    fc.assert(
      fc.property(text, (candidate) => {
        let error: QuorateError;
        try {
          const share = parse(candidate);
          expect(share.bytes.length).toBe(33);
          return;
        } catch (caught) {
          if (!(caught instanceof QuorateError)) throw caught;
          error = caught;
        }
        expect(error.code).toBe('share-invalid');
        const told = `${error.message} ${error.hint ?? ''}`;
        // Ten characters in a row are more than a word of ours that happens to be in the text.
        for (let at = 0; at + 10 <= candidate.length; at += 1) expect(told).not.toContain(candidate.slice(at, at + 10));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('fingerprintShare', () => {
  test('is the SHA-256 of salt and share, and nothing else', () => {
    const share = parse('ab'.repeat(33));
    const { salt, sha256 } = fingerprintShare(share);
    expect(salt).toMatch(/^[0-9a-f]{32}$/);
    expect(sha256).toBe(
      createHash('sha256')
        .update(Buffer.from(`${salt}${'ab'.repeat(33)}`, 'hex'))
        .digest('hex'),
    );
    expect(fingerprintShare(share).salt).not.toBe(salt);
    expect(fingerprintShare(share, salt).sha256).toBe(sha256);
    expect(hasFingerprint(share, { salt, sha256 })).toBe(true);
  });

  test('no two shares with one character different have the same', () => {
    fc.assert(
      fc.property(shareBytes, fc.nat(65), fc.integer({ min: 1, max: 15 }), (bytes, at, change) => {
        const hex = Buffer.from(bytes).toString('hex');
        const digit = (Number.parseInt(hex.charAt(at), 16) ^ change).toString(16);
        const typo = `${hex.slice(0, at)}${digit}${hex.slice(at + 1)}`;
        fc.pre(!typo.endsWith('00'));
        expect(hasFingerprint(parse(typo), fingerprintShare(parse(hex)))).toBe(false);
      }),
    );
  });
});

test('shares have the layout of other implementations of the same scheme', async () => {
  const key = Uint8Array.from({ length: 32 }, (_, index) => index * 7);
  const shares = (await split(key, 5, 3)).map((bytes) => parse(Buffer.from(bytes).toString('base64')));
  expect(new Set(shares.map(({ x }) => x)).size).toBe(5);
  const three = shares.slice(1, 4).map((share) => Uint8Array.from(Buffer.from(shareText(share).exposeText(), 'hex')));
  expect(await combine(three)).toEqual(key);
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isQuorateError } from '../../src/errors.ts';
import { messageBytes } from '../../src/openpgp/message.ts';

/** A new-format packet of tag 1 with any body: only its shape matters here. */
const message = fc.uint8Array({ minLength: 60, maxLength: 180 }).map((body) => Uint8Array.of(0xc1, ...body));

const armoured = (bytes: Uint8Array, newline: string) =>
  [
    '-----BEGIN PGP MESSAGE-----',
    'Comment: for Alice',
    '',
    ...(Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []),
    '=abcd',
    '-----END PGP MESSAGE-----',
    '',
  ].join(newline);

describe('messageBytes', () => {
  test('gives the same bytes for every form', () => {
    fc.assert(
      fc.property(message, fc.constantFrom('\n', '\r\n'), (bytes, newline) => {
        const texts = [
          armoured(bytes, newline),
          `${newline}${armoured(bytes, newline)}`,
          Buffer.from(bytes).toString('base64'),
          `${Buffer.from(bytes).toString('base64').replace(/.{20}/g, `$&${newline}`)}${newline}`,
          Buffer.from(bytes).toString('hex'),
        ];
        expect(messageBytes(bytes)).toEqual(bytes);
        for (const text of texts) expect(messageBytes(Buffer.from(text))).toEqual(bytes);
      }),
    );
  });

  test('takes a byte order mark before text', () => {
    const bytes = Uint8Array.of(0xc1, ...new Uint8Array(80));
    expect(messageBytes(Buffer.from(`\ufeff${armoured(bytes, '\n')}`))).toEqual(bytes);
  });

  test('throws nothing but share-undecryptable', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.string().map((text) => Buffer.from(text)),
        ),
        (input) => {
          try {
            const [first] = messageBytes(input);
            expect((first ?? 0) >= 0x80).toBe(true);
          } catch (error) {
            if (!isQuorateError(error, 'share-undecryptable')) throw error;
          }
        },
      ),
    );
  });

  test.each([
    ['nothing', ''],
    ['a cut message', armoured(Uint8Array.of(0xc1, ...new Uint8Array(80)), '\n').slice(0, 150)],
    ['two messages', armoured(Uint8Array.of(0xc1, ...new Uint8Array(80)), '\n').repeat(2)],
    ['a key', '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n-----END PGP PUBLIC KEY BLOCK-----'],
    ['a plain share', 'ab'.repeat(33)],
  ])('refuses %s', (_, text) => {
    expect(() => messageBytes(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: 'share-undecryptable' }) as Error,
    );
  });
});

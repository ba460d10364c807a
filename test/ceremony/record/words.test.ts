import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesToWords, digestWords, namesDigest } from '../../../src/ceremony/record/words.ts';

const all = Uint8Array.from({ length: 256 }, (_, index) => index);
const even = bytesToWords(Uint8Array.from({ length: 512 }, (_, index) => index >> 1)).filter((_, i) => i % 2 === 0);
const odd = bytesToWords(Uint8Array.from({ length: 512 }, (_, index) => index >> 1)).filter((_, i) => i % 2 === 1);
const digest = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => `sha256:${Buffer.from(bytes).toString('hex')}`);

describe('the word list', () => {
  // Three independent copies (in Python, Kotlin and C#) have this digest; others are known to have wrong words.
  test('is the published one', () => {
    const list = `${even.join('\n')}\n${odd.join('\n')}`;
    expect(createHash('sha256').update(list).digest('hex')).toBe(
      'e9b7b0052233a74aa56724ed3f79c272036aed68d8f4c0856e833c8043b9ac62',
    );
    expect(new Set([...even, ...odd]).size).toBe(512);
    expect(bytesToWords(all)).toHaveLength(256);
  });

  // The fingerprint that the list's Wikipedia article spells out.
  test('spells the known example', () => {
    const bytes = Buffer.from('E58294F2E9A227486E8B061B31CC528FD7FA3F19', 'hex');
    expect(bytesToWords(bytes).join(' ')).toBe(
      'topmost Istanbul Pluto vagabond treadmill Pacific brackish dictator goldfish Medusa ' +
        'afflict bravado chatter revolver Dupont midsummer stopwatch whimsical cowbell bottomless',
    );
  });
});

describe('comparing a digest', () => {
  test('by digits or by words, in any case and spacing', () => {
    fc.assert(
      fc.property(digest, (head) => {
        const words = digestWords(head);
        expect(words).toHaveLength(32);
        expect(namesDigest(head, head)).toBe(true);
        expect(namesDigest(head.slice(7).toUpperCase(), head)).toBe(true);
        expect(namesDigest(` ${words.join('  ').toUpperCase()}\n`, head)).toBe(true);
        expect(namesDigest(words.join(', '), head)).toBe(true);
      }),
    );
  });

  test('a part or another digest is not enough', () => {
    fc.assert(
      fc.property(digest, digest, (head, other) => {
        fc.pre(head !== other);
        expect(namesDigest(other, head)).toBe(false);
        expect(namesDigest(digestWords(other).join(' '), head)).toBe(false);
        expect(namesDigest(digestWords(head).slice(0, 31).join(' '), head)).toBe(false);
        expect(namesDigest(head.slice(0, -1), head)).toBe(false);
      }),
    );
    expect(namesDigest('', 'none')).toBe(false);
    expect(namesDigest('none', 'none')).toBe(false);
  });
});

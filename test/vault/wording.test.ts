import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cleanLines, cleanText, strikeBytes } from '../../src/vault/wording.ts';

describe('cleanText', () => {
  it.each([
    's.AbCdEfGhIjKlMnOpQrStUvWx',
    'hvs.CAESIJ1234567890abcdefghij',
    'a'.repeat(10) + '1'.repeat(56),
    Buffer.alloc(33, 0xa7).toString('base64'),
    Buffer.alloc(33, 0xa7).toString('hex'),
  ])('strikes out %s', (secret) => {
    expect(cleanText(`illegal data "${secret}" at input byte 4`)).not.toContain(secret);
  });

  it('keeps words, paths and nonces', () => {
    const text =
      'incorrect nonce supplied; nonce for rotation is "8e19ab81-12f8-49f1-ce53-8762a958b8cb" on sys/rotate/root/update';
    expect(cleanText(text)).toBe(text);
  });

  it('makes one short line without control characters of anything', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
        const clean = cleanText(text);
        expect(clean.length).toBeLessThanOrEqual(300);
        expect(clean).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
      }),
    );
    expect(cleanText('1 error occurred:\n\t* \u001b[2Jno\n\n')).toBe('1 error occurred: * [2Jno');
  });
});

describe('cleanLines', () => {
  it('takes at most five strings, and nothing else', () => {
    expect(cleanLines(['a', 1, 'b', 'c', 'd', 'e', 'f'])).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(cleanLines('a')).toEqual([]);
    expect(cleanLines(undefined)).toEqual([]);
  });
});

describe('strikeBytes', () => {
  it('overwrites every occurrence', () => {
    const bytes = Buffer.from('x hunter22 y hunter22');
    strikeBytes(bytes, Buffer.from('hunter22'));
    expect(bytes.toString()).toBe('x ******** y ********');
  });
});

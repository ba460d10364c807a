import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeProof, parseProof, renderProof } from '../../src/ceremony/proof.ts';
import { fingerprintShare } from '../../src/ceremony/share.ts';
import { isQuorateError, QuorateError } from '../../src/errors.ts';
import { sample, sampleText } from './roster/samples.ts';

const ciphertext = Uint8Array.of(0xc1, 1, 2, 3);
const issued = { holder: 'Alice Example', ciphertext, ceremony: 'init-19fe' };

const codeOf = (text: string, against = issued): string => {
  try {
    parseProof(text, against);
  } catch (error) {
    if (error instanceof QuorateError) return error.code;
    throw error;
  }
  return 'accepted';
};

describe('a proof', () => {
  test('is one line that fits the share and holds none of it', () => {
    const line = renderProof(makeProof(sample(1), ciphertext, { holder: 'Alice Example', ceremony: 'init-19fe' }));
    expect(line).not.toContain('\n');
    expect(line).not.toContain(sampleText(1).slice(0, 16));
    const proof = parseProof(line, issued);
    expect(fingerprintShare(sample(1), proof.salt)).toEqual({ salt: proof.salt, sha256: proof.sha256 });
    expect(proof.x).toBe(sample(1).x);
  });

  test('needs no names, and takes blanks around it', () => {
    expect(codeOf(` ${renderProof(makeProof(sample(1), ciphertext))}\n`)).toBe('accepted');
  });

  test('is refused for another file, holder or ceremony', () => {
    expect(codeOf(renderProof(makeProof(sample(1), Uint8Array.of(0xc1))))).toBe('share-owner');
    expect(codeOf(renderProof(makeProof(sample(1), ciphertext, { holder: 'Bo Example' })))).toBe('share-owner');
    expect(codeOf(renderProof(makeProof(sample(1), ciphertext, { ceremony: 'other' })))).toBe('share-owner');
  });

  test('that is none is refused without being quoted', () => {
    for (const text of ['', '{}', sampleText(1), `{"proof":"share","x":"${sampleText(1)}"}`, '{"proof":'.repeat(500)]) {
      try {
        parseProof(text, issued);
        expect.unreachable();
      } catch (error) {
        expect(isQuorateError(error, 'share-invalid')).toBe(true);
        expect(String(error)).not.toContain(sampleText(1).slice(0, 8));
      }
    }
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => codeOf(text) === 'share-invalid'));
  });

  test('is not made for a name that is none', () => {
    expect(() => makeProof(sample(1), ciphertext, { holder: 'a\nb' })).toThrow(QuorateError);
  });
});

import { ed25519 } from '@noble/curves/ed25519.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifyCommitment } from '../../src/shares/commitment.ts';

const curves = {
  'feldman-secp256k1': { point: secp256k1.Point, order: 'big' },
  'feldman-ed25519': { point: ed25519.Point, order: 'little' },
} as const;

/** A polynomial's value at `index`, as a share, and the commitment to its coefficients. */
function deal(scheme: keyof typeof curves, coefficients: readonly bigint[], index: number) {
  const { point, order } = curves[scheme];
  const n = point.Fn.ORDER;
  const value = coefficients.reduceRight((sum, coefficient) => (sum * BigInt(index) + coefficient) % n, 0n);
  const share = new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));
  if (order === 'little') share.reverse();
  return { share, value, commitment: coefficients.map((one) => point.BASE.multiply(one).toHex()) };
}

const coefficient = fc.bigInt({ min: 1n, max: 2n ** 250n });

describe.each(['feldman-secp256k1', 'feldman-ed25519'] as const)('a %s commitment', (scheme) => {
  it('fits the shares that were dealt under it, and no others', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(coefficient, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 65_535 }),
        async (coefficients, index) => {
          const { share, value, commitment } = deal(scheme, coefficients, index);
          fc.pre(value !== 0n);
          const header = { scheme, threshold: coefficients.length, index, commitment };
          expect(await verifyCommitment(header, share)).toBe('checked');
          const wrong = share.map((byte, at) => (at === 16 ? byte ^ 1 : byte));
          await expect(verifyCommitment(header, wrong)).rejects.toMatchObject({ code: 'commitment-mismatch' });
          if (coefficients.length === 1) return; // the same share at every index
          const elsewhere = { ...header, index: (index % 65_535) + 1 };
          await expect(verifyCommitment(elsewhere, share)).rejects.toMatchObject({ code: 'commitment-mismatch' });
        },
      ),
      { numRuns: 15 },
    );
  });

  it('refuses what is no share, no point, or of another threshold', async () => {
    const { share, commitment } = deal(scheme, [5n, 7n], 3);
    const header = { scheme, threshold: 2, index: 3, commitment };
    for (const wrong of [share.slice(1), new Uint8Array(32), new Uint8Array(32).fill(255)]) {
      await expect(verifyCommitment(header, wrong)).rejects.toMatchObject({ code: 'share-invalid' });
    }
    for (const other of [
      { ...header, threshold: 3 },
      { ...header, commitment: [commitment[0] ?? '', 'ff'.repeat(33)] },
      { ...header, commitment: [] },
    ]) {
      await expect(verifyCommitment(other, share)).rejects.toMatchObject({ code: 'commitment-mismatch' });
    }
  });
});

it('is not looked into where the scheme is not known', async () => {
  const header = { scheme: 'cggmp21', threshold: 2, index: 1, commitment: ['00'] };
  expect(await verifyCommitment(header, new Uint8Array([1]))).toBe('unchecked');
});

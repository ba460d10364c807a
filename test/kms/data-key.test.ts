import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { divideKey, keysFrom } from '../../src/kms/data-key.ts';

const key = Uint8Array.from({ length: 32 }, (_, index) => index);

async function first(parts: readonly Uint8Array[], threshold: number): Promise<Uint8Array | undefined> {
  for await (const made of keysFrom(parts, threshold)) return made;
  return undefined;
}

describe('a data key over several tokens', () => {
  it('comes back from any threshold of its parts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 8 }), fc.nat(), fc.nat(), async (count, a, b) => {
        const threshold = 1 + (a % count);
        const parts = await divideKey(key, count, threshold);
        const chosen = parts.map((_, index) => parts[(index + b) % count]!).slice(0, threshold);
        expect(await first(chosen, threshold)).toEqual(key);
      }),
      { numRuns: 40 },
    );
  });

  it('is not in fewer parts than the threshold', async () => {
    const parts = await divideKey(key, 3, 2);
    for (const part of parts) expect(Buffer.from(part).includes(Buffer.from(key).subarray(0, 8))).toBe(false);
    expect(await first(parts.slice(0, 1), 2)).toBeUndefined();
  });

  it('is among what is tried although one part is wrong', async () => {
    const parts = await divideKey(key, 3, 2);
    const wrong = Uint8Array.from(parts[0]!, (byte, index) => (index < 32 ? byte ^ 0xff : byte));
    const made: Uint8Array[] = [];
    for await (const one of keysFrom([wrong, parts[1]!, parts[2]!], 2)) made.push(one);
    expect(made).toContainEqual(key);
    expect(await first([parts[0]!, parts[0]!], 2)).toBeUndefined();
  });
});

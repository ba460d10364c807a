import { createHash } from 'node:crypto';

/** Chance that a seed decides: the same words give the same numbers. */
export interface Chance {
  /** From 0 up to 1. */
  fraction(): number;
  /** A whole number from 0 up to `limit`. */
  below(limit: number): number;
  pick<T>(list: readonly T[]): T;
}

export function chanceOf(...words: readonly (string | number)[]): Chance {
  let count = 0;
  const fraction = (): number => {
    const hash = createHash('sha256')
      .update([...words, (count += 1)].join('\n'))
      .digest();
    return hash.readUInt32BE(0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(fraction() * limit);
  return {
    fraction,
    below,
    pick: <T>(list: readonly T[]): T => {
      const one = list[below(list.length)];
      if (one === undefined) throw new Error('nothing to pick from');
      return one;
    },
  };
}

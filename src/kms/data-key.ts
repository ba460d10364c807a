import { combine, split } from 'shamir-secret-sharing';

/*
 * The data key over several tokens. With a threshold of 1 every token gets the whole of it, which Shamir's scheme does
 * not do; else each gets a share of it (33 bytes, the last one its x-coordinate).
 */

/** One part of `key` for each of `count` tokens, `threshold` of which make it again. The caller wipes them. */
export async function divideKey(key: Uint8Array, count: number, threshold: number): Promise<Uint8Array[]> {
  if (threshold === 1) return Array.from({ length: count }, () => Uint8Array.from(key));
  return split(key, count, threshold);
}

/**
 * Every key that `threshold` of `parts` make, one after the other: with parts that are all as they should be the first
 * is the key, and only who decrypts with it can tell. The caller wipes each.
 */
export async function* keysFrom(parts: readonly Uint8Array[], threshold: number): AsyncGenerator<Uint8Array> {
  for (const chosen of choices(parts, threshold)) {
    const [first] = chosen;
    if (threshold === 1) {
      if (first !== undefined) yield Uint8Array.from(first);
      continue;
    }
    const fitting = chosen.every((part) => part.length === first?.length && part.length > 1);
    if (!fitting || new Set(chosen.map((part) => part.at(-1))).size < threshold) continue;
    // It takes no Buffer and no view of another class.
    const copies = chosen.map((part) => Uint8Array.from(part));
    try {
      yield await combine(copies);
    } finally {
      for (const copy of copies) copy.fill(0);
    }
  }
}

/** Every choice of `count` of `items`, in order. */
function* choices<T>(items: readonly T[], count: number): Generator<T[]> {
  if (count === 0) {
    yield [];
    return;
  }
  for (const [index, item] of items.entries()) {
    for (const rest of choices(items.slice(index + 1), count - 1)) yield [item, ...rest];
  }
}

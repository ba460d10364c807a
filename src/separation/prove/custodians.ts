import type { Custodians, Topology, TopologyNode } from '../topology.ts';

/** Two seals that fewer people open than they should. */
export interface Overlap {
  readonly seals: readonly [string, string];
  readonly people: readonly string[];
  /** How many people open both, and how many it should take. */
  readonly enough: number;
  readonly needed: number;
}

/** What could be said of the people before the seals of a wallet's nodes. */
export interface CustodianCheck {
  readonly overlaps: readonly Overlap[];
  /** Seals of which nobody said who holds their shares. */
  readonly unknown: readonly string[];
}

/**
 * No set of custodians smaller than the two thresholds together may open the seals of two nodes of a wallet: so nobody may
 * hold shares of both. People are the same by name, or by one of their keys.
 * @param sealsOf the seals in front of a node's store, the innermost last.
 */
export function checkCustodians(
  { wallets, custodians }: Topology,
  sealsOf: (node: TopologyNode) => readonly { readonly cluster: string; readonly namespace: string }[],
): CustodianCheck {
  const overlaps = new Map<string, Overlap>();
  const unknown = new Set<string>();
  for (const { nodes } of wallets) {
    const seals = nodes.flatMap((node) => {
      const innermost = sealsOf(node).at(-1);
      return innermost === undefined ? [] : [innermost];
    });
    const distinct = [...new Map(seals.map((seal) => [nameOf(seal), seal])).values()];
    const found = distinct.flatMap((seal) => {
      const known = custodians.find(
        ({ cluster, namespace }) => cluster === seal.cluster && namespace === seal.namespace,
      );
      if (known === undefined) unknown.add(nameOf(seal));
      return known === undefined ? [] : [known];
    });
    for (const [index, one] of found.entries()) {
      for (const other of found.slice(index + 1)) {
        const overlap = compare(one, other);
        if (overlap !== undefined) overlaps.set(overlap.seals.join(' '), overlap);
      }
    }
  }
  return { overlaps: [...overlaps.values()], unknown: [...unknown] };
}

function compare(one: Custodians, other: Custodians): Overlap | undefined {
  const both = one.holders.filter((holder) => other.holders.some((second) => isSame(holder, second)));
  if (both.length === 0) return undefined;
  const needed = one.threshold + other.threshold;
  // Each of those who hold both stands for two, as far as both thresholds have use for them.
  const saved = Math.min(both.length, one.threshold, other.threshold);
  return { seals: [nameOf(one), nameOf(other)], people: both.map(({ name }) => name), enough: needed - saved, needed };
}

type Holder = Custodians['holders'][number];

function isSame(a: Holder, b: Holder): boolean {
  return plain(a.name) === plain(b.name) || a.keys.some((key) => b.keys.includes(key));
}

function plain(name: string): string {
  return name.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();
}

function nameOf({ cluster, namespace }: { readonly cluster: string; readonly namespace: string }): string {
  return namespace === '' ? cluster : `${cluster}/${namespace.replace(/\/$/, '')}`;
}

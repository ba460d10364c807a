import type { Principal } from './principals.ts';
import type { Way } from './reach.ts';

/** A principal, and what it reaches. */
export interface Reaching {
  readonly principal: Principal;
  readonly ways: readonly Way[];
}

/** All that is the same somebody, on whatever clusters. */
export interface Person {
  /** What it is called in the table. */
  readonly name: string;
  readonly parts: readonly Reaching[];
}

/** Puts together what is the same by what it is called; those that reach nothing are left out. */
export function personsOf(all: readonly Reaching[]): readonly Person[] {
  const reaching = all.filter(({ ways }) => ways.length > 0);
  const parent = reaching.map((_, index) => index);
  const root = (index: number): number => {
    const above = parent[index] ?? index;
    return above === index ? index : root(above);
  };
  const first = new Map<string, number>();
  for (const [index, { principal }] of reaching.entries()) {
    for (const key of principal.same) {
      const other = first.get(key);
      if (other === undefined) first.set(key, index);
      else parent[root(index)] = root(other);
    }
  }
  const groups = new Map<number, Reaching[]>();
  for (const [index, one] of reaching.entries()) {
    const at = root(index);
    const there = groups.get(at);
    if (there === undefined) groups.set(at, [one]);
    else there.push(one);
  }
  const persons = [...groups.values()].map((parts) => ({ name: nameOf(parts), parts }));
  // Two that are called alike, and are not known to be the same, are told apart by where they are.
  const often = new Map<string, number>();
  for (const { name } of persons) often.set(name, (often.get(name) ?? 0) + 1);
  return persons.map(({ name, parts }) => {
    const cluster = parts[0]?.principal.cluster ?? '';
    return { name: (often.get(name) ?? 0) > 1 ? `${name} on ${cluster}` : name, parts };
  });
}

function nameOf(parts: readonly Reaching[]): string {
  const names = [...new Set(parts.map(({ principal }) => principal.name))];
  const [one = ''] = names;
  return names.length > 1 ? `${one} +${(names.length - 1).toString()}` : one;
}

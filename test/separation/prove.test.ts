import { describe, expect, it } from 'vitest';
import { prove } from '../../src/separation/prove/prove.ts';
import { SEEDS, type Place } from './breaches.ts';
import { type MadeUpWorld, madeUpWorld, random } from './made-up.ts';
import { addNoise } from './noise.ts';

const WHO = 'mallory';

function places({ clusters, nodes }: MadeUpWorld): Place[] {
  return nodes.map((node, index) => ({
    cluster: clusters[index]!,
    namespace: node.namespace,
    node: node.name,
    login: node.login!,
  }));
}

/** In an order of chance. */
function shuffled<T>(items: readonly T[], next: () => number): T[] {
  return items
    .map((item) => ({ item, at: next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

const proveWorld = ({ topology, clusters }: MadeUpWorld) =>
  prove(
    topology,
    clusters.map((one) => one.export),
  );

describe('200 clean topologies', () => {
  it.each(Array.from({ length: 200 }, (_, index) => index))('%i raises no alarm', (index) => {
    const next = random(index);
    const world = madeUpWorld(next);
    addNoise(world, next);
    const { breaches, doubts } = proveWorld(world);
    expect(breaches.map(({ code, what, ways }) => ({ code, what, ways }))).toEqual([]);
    expect(doubts).toEqual([]);
  });
});

describe('seeded breaches', () => {
  /** Each kind on all clusters, in worlds of five sizes. */
  const cases = SEEDS.flatMap((seed) =>
    [1, 2, 3, 4].map((round) => ({ seed, round, name: `${seed.what}, ${round.toString()}` })),
  );

  it('are 200 at least', () => {
    expect(cases.length).toBeGreaterThanOrEqual(200);
  });

  it.each(cases)('$name', ({ seed, round }) => {
    const next = random(round * 1000 + SEEDS.indexOf(seed));
    const world = madeUpWorld(next);
    addNoise(world, next);
    const needed = seed.gives === 'reads' ? world.threshold : Math.max(2, world.nodes.length - world.threshold + 1);
    const struck = shuffled(places(world), next).slice(0, needed);
    // One fewer is none.
    for (const place of struck.slice(1)) seed.plant(place, WHO);
    const code = seed.gives === 'reads' ? 'read-threshold' : 'destroy-threshold';
    expect(proveWorld(world).breaches.filter((one) => one.code === code)).toEqual([]);

    seed.plant(struck[0]!, WHO);
    const found = proveWorld(world).breaches.filter((one) => one.code === code && one.who.includes(WHO));
    expect(found).toHaveLength(1);
    const [breach] = found;
    expect(breach?.nodes.map(({ node }) => node).sort()).toEqual(struck.map(({ node }) => node).sort());
    for (const { steps } of breach!.ways) {
      expect(steps.map(({ text }) => text).join(', ')).toContain(seed.by);
      expect(steps.every(({ policy, text }) => policy !== undefined || text.startsWith('takes policy'))).toBe(true);
    }
    expect(breach?.mend).toContain('out of policy');
  });

  it.each(Array.from({ length: 40 }, (_, index) => index))('of mixed kinds, %i', (index) => {
    const next = random(50_000 + index);
    const world = madeUpWorld(next);
    addNoise(world, next);
    const some = SEEDS.filter(({ gives }) => gives === 'reads');
    const struck = shuffled(places(world), next).slice(0, world.threshold);
    for (const place of struck) some[Math.floor(next() * some.length)]!.plant(place, WHO);
    const found = proveWorld(world).breaches.filter(({ code, who }) => code === 'read-threshold' && who.includes(WHO));
    expect(found.map(({ nodes }) => nodes.map(({ node }) => node).sort())).toEqual([
      struck.map(({ node }) => node).sort(),
    ]);
  });
});

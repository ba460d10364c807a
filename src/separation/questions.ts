import type { Question } from './compare.ts';
import type { Credential, Probe } from './prove/credential.ts';
import type { World } from './prove/world.ts';
import type { Topology } from './topology.ts';

/** Gathers what a proof asked of sets of policies, each once, and for each set every share besides. */
export function gatherQuestions({ wallets }: Topology): {
  readonly take: (world: World, probe: Probe) => void;
  readonly all: () => readonly Question[];
} {
  const questions = new Map<Credential, { readonly world: World; readonly paths: Set<string> }>();
  const sharesOn = (world: World): readonly string[] =>
    wallets.flatMap(({ name, nodes }) =>
      nodes
        .filter(({ cluster }) => cluster === world.export.cluster)
        .flatMap(({ namespace, mount }) =>
          ['data', 'metadata', 'delete', 'destroy'].map((what) => `${namespace}${mount}/${what}/${name}/envelopes`),
        ),
    );
  return {
    take: (world, { credential, path }) => {
      const known = questions.get(credential) ?? { world, paths: new Set(sharesOn(world)) };
      known.paths.add(path);
      questions.set(credential, known);
    },
    all: () => [...questions].map(([credential, { world, paths }]) => ({ credential, world, paths })),
  };
}

import { QuorateError } from '../../errors.ts';
import type { SeparationExport } from '../model.ts';
import type { Topology, TopologyNode } from '../topology.ts';
import { Evaluator, type Probe } from './credential.ts';
import { checkCustodians } from './custodians.ts';
import type { Breach, Doubt, Note, Proof, Row } from './findings.ts';
import { breachesOf, rowOf } from './judge.ts';
import { type Person, personsOf, type Reaching } from './persons.ts';
import { principalsOf, sudoPaths } from './principals.ts';
import { Reach, type Way } from './reach.ts';
import { targetsOf } from './targets.ts';
import { nameOf, World } from './world.ts';

export interface ProveOptions {
  /** Told every question that was put to a set of policies, for the second engine. */
  readonly onProbe?: (world: World, probe: Probe) => void;
}

/**
 * Joins the exports with where the shares are, and finds everybody who reaches too many of them. Whatever could not be
 * read, or not be understood, is a doubt, with which nothing is proved.
 * @throws QuorateError `usage` for two exports of one cluster, and when no wallet is described.
 */
export function prove(topology: Topology, exports: readonly SeparationExport[], options: ProveOptions = {}): Proof {
  if (topology.wallets.length === 0) {
    throw new QuorateError('usage', 'no wallet is described, so that there is nothing to keep apart', {
      hint: 'Describe wallets and their nodes in quorate.yaml.',
    });
  }
  const worlds = worldsOf(exports);
  const doubts: Doubt[] = [...readDoubts(topology, worlds)];
  const notes: Note[] = [];
  const all: Reaching[] = [];
  for (const [cluster, world] of worlds) {
    const { onProbe } = options;
    const evaluator = new Evaluator(
      world,
      targetsOf(world, topology),
      onProbe === undefined
        ? undefined
        : (probe) => {
            onProbe(world, probe);
          },
    );
    // Many can do the same: what that leads to is followed once.
    const followed = new Map<string, readonly Way[]>();
    for (const principal of principalsOf(world, evaluator, topology)) {
      const credentials = principal.credentials.filter((one) => evaluator.leads(one));
      const key = credentials
        .map((one) => evaluator.keyOf(one))
        .sort()
        .join('|');
      const ways = followed.get(key) ?? new Reach(world, evaluator, topology).from(credentials);
      followed.set(key, ways);
      all.push({ principal, ways });
    }
    notes.push(
      ...holders(
        world,
        all.filter((one) => one.principal.cluster === cluster),
      ),
    );
  }
  const persons = personsOf(all);
  const breaches = [
    ...sharedClusters(topology, worlds, notes),
    ...topology.wallets.flatMap((wallet) => persons.flatMap((person) => breachesOf(wallet, person))),
    ...custodianBreaches(topology, worlds, doubts),
  ];
  for (const { name, threshold, nodes } of topology.wallets) {
    if (threshold < nodes.length) continue;
    notes.push({ code: 'no-spare', what: `${name} has no node to spare: whoever destroys one share stops it` });
  }
  return { breaches, doubts, notes, rows: rowsOf(topology, persons, breaches), principals: all.length };
}

function worldsOf(exports: readonly SeparationExport[]): ReadonlyMap<string, World> {
  const worlds = new Map<string, World>();
  for (const one of exports) {
    if (worlds.has(one.cluster)) {
      throw new QuorateError('usage', `there are two exports of ${one.cluster}`, { hint: 'Give the newest one.' });
    }
    worlds.set(one.cluster, new World(one));
  }
  return worlds;
}

/** Everything that the exports do not say and would have to. */
function readDoubts({ wallets }: Topology, worlds: ReadonlyMap<string, World>): readonly Doubt[] {
  const nodes = wallets.flatMap((wallet) => wallet.nodes);
  const doubts: Doubt[] = [];
  for (const cluster of new Set(nodes.map((node) => node.cluster))) {
    const world = worlds.get(cluster);
    if (world === undefined) {
      const what = `there is no export of ${cluster}, where nodes keep their shares`;
      doubts.push({ code: 'export-missing', cluster, what, mend: `quorate separation export --cluster ${cluster}` });
      continue;
    }
    doubts.push(...partialDoubts(world));
    for (const node of nodes) if (node.cluster === cluster) doubts.push(...storeDoubts(world, node));
  }
  return [...new Map(doubts.map((doubt) => [JSON.stringify(doubt), doubt])).values()];
}

function partialDoubts({ export: { cluster, scope, unread }, strange }: World): readonly Doubt[] {
  const mend = 'Give the login of the export the policy that quorate separation export --print-policy prints.';
  const whole: readonly Doubt[] =
    scope === ''
      ? []
      : [
          {
            code: 'export-partial',
            cluster,
            what: `the export of ${cluster} starts at ${scope}: what is above was not read`,
            mend: 'Export the whole cluster.',
          },
        ];
  return [
    ...whole,
    ...unread.map(({ namespace, path, why }): Doubt => ({
      code: 'export-partial',
      cluster,
      what: `${namespace}${path} was not read: ${why}`,
      mend,
    })),
    ...strange.map(({ key, why }): Doubt => ({
      code: 'policy-strange',
      cluster,
      what: `policy ${nameOf(key)} cannot be understood: ${why}`,
      mend: 'Write it anew, without what is not known.',
    })),
  ];
}

function storeDoubts(world: World, { name, cluster, namespace, mount }: TopologyNode): readonly Doubt[] {
  const place = world.namespace(namespace);
  if (place === undefined) {
    const what = `${name} keeps its share in ${namespace}, which is not in the export of ${cluster}`;
    return [
      {
        code: 'namespace-missing',
        cluster,
        what,
        mend: 'Is its name right in quorate.yaml, and may the export see it?',
      },
    ];
  }
  const found = place.mounts.find(({ path }) => path === `${mount}/`);
  if (found?.type === 'kv' && found.options['version'] === '2') return [];
  const what = `${name} keeps its share at ${namespace}${mount}/, where there is no KV store of version 2`;
  return [
    {
      code: 'mount-missing',
      cluster,
      what,
      mend: 'Is the mount right in quorate.yaml? quorate shares setup makes it.',
    },
  ];
}

function holders(world: World, all: readonly Reaching[]): readonly Note[] {
  const { cluster } = world.export;
  return all.flatMap(({ principal }): readonly Note[] => {
    if (principal.kind === 'root') return [{ code: 'root-token', cluster, what: principal.name }];
    const paths = sudoPaths(world, principal);
    if (paths.length === 0) return [];
    return [{ code: 'sudo', cluster, what: `${principal.name}: ${[...new Set(paths)].join(', ')}` }];
  });
}

/** Two nodes of a wallet behind one root. Two names for one cluster are found by its id. */
function sharedClusters({ wallets }: Topology, worlds: ReadonlyMap<string, World>, notes: Note[]): readonly Breach[] {
  return wallets.flatMap(({ name: wallet, nodes, acceptSharedRoot }) => {
    const groups = new Map<string, TopologyNode[]>();
    for (const node of nodes) {
      const id = worlds.get(node.cluster)?.export.clusterId ?? node.cluster;
      const there = groups.get(id);
      if (there === undefined) groups.set(id, [node]);
      else there.push(node);
    }
    return [...groups.values()].flatMap((shared): readonly Breach[] => {
      const [first] = shared;
      if (first === undefined || shared.length < 2) return [];
      const names = shared.map(({ name }) => name).join(' and ');
      const what = `${names} of ${wallet} keep their shares on one cluster, whose root reads them all`;
      if (acceptSharedRoot) {
        notes.push({ code: 'shared-root-accepted', cluster: first.cluster, what });
        return [];
      }
      const refs = shared.map(({ name }) => ({ wallet, node: name }));
      const mend = 'Give each node a cluster of its own, or say accept-shared-root: true.';
      return [{ code: 'shared-cluster', wallet, who: `root of ${first.cluster}`, what, nodes: refs, ways: [], mend }];
    });
  });
}

function custodianBreaches(topology: Topology, worlds: ReadonlyMap<string, World>, doubts: Doubt[]): readonly Breach[] {
  const sealsOf = ({
    cluster,
    namespace,
  }: TopologyNode): readonly { readonly cluster: string; readonly namespace: string }[] => [
    { cluster, namespace: '' },
    ...(worlds.get(cluster)?.export.namespaces ?? [])
      .filter(({ path, seal }) => path !== '' && seal !== null && namespace.startsWith(path))
      .map(({ path }) => ({ cluster, namespace: path })),
  ];
  const { overlaps, unknown } = checkCustodians(topology, sealsOf);
  for (const seal of unknown) {
    const what = `nobody says who holds the shares of ${seal}`;
    doubts.push({ code: 'custodians-unknown', cluster: seal, what, mend: 'Name its roster in quorate.yaml.' });
  }
  for (const { cluster, namespace, threshold, clusterId } of topology.custodians) {
    const world = worlds.get(cluster);
    if (world === undefined) continue;
    const seal = namespace === '' ? world.export.seal : world.namespace(namespace)?.seal;
    const other = namespace === '' && clusterId !== undefined && clusterId !== world.export.clusterId;
    if (seal === undefined || seal === null || (seal.threshold === threshold && !other)) continue;
    const what = `the roster of ${cluster}${namespace === '' ? '' : `/${namespace}`} is not that of its seal`;
    doubts.push({ code: 'custodians-mismatch', cluster, what, mend: 'Name the roster of the seal that is in force.' });
  }
  return overlaps.map(({ seals, people, enough, needed }): Breach => ({
    code: 'custodians-overlap',
    who: people.join(', '),
    what: `${enough.toString()} custodians open both ${seals.join(' and ')}, where it should take ${needed.toString()}: ${people.join(', ')} hold${people.length === 1 ? 's' : ''} shares of both`,
    nodes: [],
    ways: [],
    mend: `Give the shares of one of them to others: quorate rotate-root-key on ${seals[1]}.`,
  }));
}

function rowsOf({ wallets }: Topology, persons: readonly Person[], breaches: readonly Breach[]): readonly Row[] {
  const guilty = new Set(breaches.map(({ who }) => who));
  const rows = persons.map((person) => rowOf(wallets, person, guilty.has(person.name)));
  return rows.sort(
    (a, b) => Number(b.breach) - Number(a.breach) || b.reach.length - a.reach.length || (a.who < b.who ? -1 : 1),
  );
}

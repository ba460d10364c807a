import type { TopologyWallet } from '../topology.ts';
import type { Breach, Row, ShownStep, ShownWay } from './findings.ts';
import type { Person, Reaching } from './persons.ts';
import type { Step, Way } from './reach.ts';
import type { Power } from './targets.ts';

interface Found {
  readonly from: Reaching;
  readonly way: Way;
}

/**
 * What somebody breaks of one wallet: reading as many shares as make the key, or being able to overwrite or destroy so
 * many that fewer remain. Power over one node alone is no lack of separation, though a wallet without a spare may stop.
 */
export function breachesOf({ name: wallet, threshold, nodes }: TopologyWallet, person: Person): readonly Breach[] {
  const reads = nearest(person, wallet, ['read']);
  const harms = nearest(person, wallet, ['overwrite', 'destroy']);
  const left = nodes.length - harms.length;
  const breaches: Breach[] = [];
  if (reads.length >= threshold) {
    const what = `${person.name} reads ${reads.length.toString()} shares of ${wallet}: ${threshold.toString()} make the key`;
    breaches.push({ code: 'read-threshold', wallet, who: person.name, what, ...evidence(reads) });
  }
  if (left < threshold && harms.length >= 2) {
    const what = `${person.name} can overwrite or destroy ${harms.length.toString()} of ${nodes.length.toString()} shares of ${wallet}: ${threshold.toString()} are needed`;
    breaches.push({ code: 'destroy-threshold', wallet, who: person.name, what, ...evidence(harms) });
  }
  return breaches;
}

/** For each node of the wallet that is reached in one of these ways, the shortest one. */
function nearest({ parts }: Person, wallet: string, powers: readonly Power[]): readonly Found[] {
  const best = new Map<string, Found>();
  for (const from of parts) {
    for (const way of from.ways) {
      if (way.node.wallet !== wallet || !powers.includes(way.power)) continue;
      const known = best.get(way.node.node);
      if (known === undefined || way.steps.length < known.way.steps.length) best.set(way.node.node, { from, way });
    }
  }
  return [...best.values()];
}

function evidence(found: readonly Found[]): Pick<Breach, 'nodes' | 'ways' | 'mend'> {
  // The longest way is the one that nobody meant.
  const [odd] = [...found].sort((a, b) => b.way.steps.length - a.way.steps.length);
  return {
    nodes: found.map(({ way }) => way.node),
    ways: found.map(shownWay),
    mend: odd === undefined ? '' : mendOf(odd),
  };
}

function mendOf({ from: { principal }, way: { steps } }: Found): string {
  const rule = steps.find((step) => step.rule !== undefined)?.rule;
  if (rule === undefined) return `On ${principal.cluster}, ${principal.mend ?? `take root from ${principal.name}`}`;
  const inside = rule.namespace === '' ? '' : ` of ${rule.namespace}`;
  return `take \`${rule.path}\` out of policy ${rule.policy}${inside} on ${principal.cluster}, or the policy from ${principal.name}`;
}

function shownWay({ from: { principal }, way: { node, power, steps } }: Found): ShownWay {
  return { cluster: principal.cluster, principal: principal.name, node: node.node, power, steps: steps.map(shownStep) };
}

function shownStep({ text, rule }: Step): ShownStep {
  if (rule === undefined) return { text };
  return {
    text,
    policy: rule.namespace + rule.policy,
    rule: rule.path,
    ...(rule.line === undefined ? {} : { line: rule.line }),
  };
}

/** What somebody can do to each share. */
export function rowOf(wallets: readonly TopologyWallet[], person: Person, breach: boolean): Row {
  const reach = wallets.flatMap(({ name: wallet, nodes }) =>
    nodes.flatMap(({ name: node }) => {
      const ways = person.parts
        .flatMap(({ ways: all }) => all)
        .filter((way) => way.node.wallet === wallet && way.node.node === node);
      if (ways.length === 0) return [];
      const powers = (['read', 'overwrite', 'destroy'] as const).filter((power) =>
        ways.some((way) => way.power === power),
      );
      return [{ wallet, node, powers, direct: ways.some(({ steps }) => steps.length === 1) }];
    }),
  );
  const clusters = [...new Set(person.parts.map(({ principal }) => principal.cluster))];
  return { who: person.name, clusters, breach, reach };
}

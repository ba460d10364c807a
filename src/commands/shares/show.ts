import { tableLines } from '../../layout.ts';
import type { Gathered, WalletStatus } from '../../shares/relay.ts';

/** A wallet's status as a table: nodes by what they have stated. */
export function statusLines(status: WalletStatus, { lacks, faults }: Gathered): string[] {
  const list = (epochs: readonly number[]): string => epochs.map((epoch) => epoch.toString()).join(' ');
  const rows = status.nodes.map(({ node, staged, signed, acknowledged, retired, abandoned }) => [
    node,
    list(staged),
    list(signed),
    list(acknowledged),
    list(retired),
    list(abandoned),
    faults.get(node)?.message ?? storeWords(lacks.get(node) ?? 0),
  ]);
  const head = ['node', 'staged', 'signed', 'acknowledged', 'retired', 'abandoned', 'store'];
  const committed =
    status.committed === 0 ? 'no epoch is committed' : `epoch ${status.committed.toString()} is committed`;
  const next = status.next === undefined ? '' : `; epoch ${status.next.toString()} is on its way`;
  return [...tableLines(rows, head), '', `${committed}${next}${status.settled ? ', by all nodes' : ''}`];
}

/** The same for programs. */
export function statusJson(wallet: string, status: WalletStatus, { lacks, faults }: Gathered): Record<string, unknown> {
  const nodes = status.nodes.map((one) => ({
    ...one,
    ...(faults.has(one.node) ? { fault: faults.get(one.node) } : { lacks: lacks.get(one.node) }),
  }));
  return { wallet, ...status, nodes };
}

function storeWords(lacks: number): string {
  return lacks === 0 ? 'up to date' : `lacks ${lacks.toString()} ${lacks === 1 ? 'statement' : 'statements'}`;
}

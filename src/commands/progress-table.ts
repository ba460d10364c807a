import type { ShareRequest } from '../ceremony/people.ts';
import { named } from '../ceremony/unseal/target.ts';
import { tableLines, wrapLines } from '../layout.ts';

const WIDTH = 80;
/** A longer word than this is a reason, and goes below the table. */
const LONGEST_WORD = 14;

/**
 * Where every peer stands, side by side as long as that fits a terminal of 80 columns, else one below the other.
 * Reasons why a peer gets no shares go below the table.
 */
export function progressTable(peers: ShareRequest['peers'], label = 'shares'): string[] {
  const isReason = (status: string): boolean => status.length > LONGEST_WORD;
  const rows = peers.map(({ name, status }) => [name, isReason(status) ? 'left out' : status] as const);
  const across = tableLines([
    ['  '.padEnd(label.length + 2), ...rows.map(([name]) => name)],
    [`  ${label}`, ...rows.map(([, word]) => word)],
  ]);
  const table = across.every((line) => line.length <= WIDTH)
    ? across
    : tableLines(rows.map(([name, word]) => [`  ${name}`, word]));
  const reasons = peers.filter(({ status }) => isReason(status));
  return [...table, ...reasons.flatMap(({ name, status }) => wrapLines(named(name, status), WIDTH, '  '))];
}

/** What the ceremony is about, in one line: `prod-eu   3 peers   threshold 3 of 5`. */
export function headLine({ cluster, peers, needed, shares }: ShareRequest): string {
  const count = `${peers.length.toString()} peer${peers.length === 1 ? '' : 's'}`;
  return [
    cluster,
    count,
    `threshold ${needed.toString()}${shares === undefined ? '' : ` of ${shares.toString()}`}`,
  ].join('   ');
}

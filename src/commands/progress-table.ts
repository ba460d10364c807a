import type { ShareRequest } from '../ceremony/people.ts';
import { tableLines, wrapLines } from '../layout.ts';

const WIDTH = 80;

/**
 * Where every peer stands, side by side as long as that fits a terminal of 80 columns, else one below the other.
 * Long words (why a peer is not there) go below the table.
 */
export function progressTable(peers: ShareRequest['peers']): string[] {
  const notes = peers.filter(({ status }) => status.length > 12);
  const rows = peers.map(({ name, status }) => [name, status.length > 12 ? 'not there' : status] as const);
  const across = tableLines([
    ['       ', ...rows.map(([name]) => name)],
    ['  sealed', ...rows.map(([, word]) => word)],
  ]);
  const table = across.every((line) => line.length <= WIDTH)
    ? across
    : tableLines(rows.map(([name, word]) => [`  ${name}`, word]));
  return [...table, ...notes.flatMap(({ name, status }) => wrapLines(`${name}: ${status}`, WIDTH, '  '))];
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

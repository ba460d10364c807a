import { tableLines, wrapLines } from '../../layout.ts';
import type { Breach, Doubt, Proof, Row } from '../../separation/prove/findings.ts';
import type { Topology, TopologyWallet } from '../../separation/topology.ts';
import type { Paint } from '../../ui/terminal.ts';

const WIDTH = 80;
/** Rows that are shown of those that break nothing, and findings of one kind. */
const MOST = 40;
const LONGEST_NAME = 34;

/** The proof for people, in lines of at most 80 characters where names are not longer. */
export function proofLines(proof: Proof, { wallets }: Topology, paint: Paint): string[] {
  return [
    ...wallets.flatMap((wallet) => walletLines(wallet, proof.rows, paint)),
    ...proof.breaches.flatMap((breach) => [...breachLines(breach, paint), '']),
    ...listed(proof.doubts, (doubt) => doubtLines(doubt, paint)),
    ...(proof.doubts.length === 0 ? [] : ['']),
    ...noteLines(proof),
    verdict(proof, paint),
  ];
}

function walletLines({ name, threshold, nodes }: TopologyWallet, rows: readonly Row[], paint: Paint): string[] {
  const lines = [
    `${paint.strong(name)}: ${threshold.toString()} of ${nodes.length.toString()} shares make the key`,
    '',
  ];
  const reaching = rows.filter(({ reach }) => reach.some(({ wallet }) => wallet === name));
  const shown = [
    ...reaching.filter(({ breach }) => breach),
    ...reaching.filter(({ breach }) => !breach).slice(0, MOST),
  ];
  if (shown.length === 0) return [...lines, 'nobody in the exports reaches a share', ''];
  for (const some of columns(
    nodes.map((node) => node.name),
    shown,
    name,
  )) {
    const head = ['', ...some];
    const table = shown.map((row) => [
      cut(row.who),
      ...some.map((node) => cell(row, name, node)),
      row.breach ? paint.bad('BREACH') : '',
    ]);
    lines.push(...tableLines(table, head), '');
  }
  const more = reaching.length - shown.length;
  return more > 0 ? [...lines, `and ${more.toString()} more that break nothing`, ''] : lines;
}

/** Nodes in groups whose columns fit beside the names. */
function columns(nodes: readonly string[], rows: readonly Row[], wallet: string): string[][] {
  const first = Math.max(...rows.map(({ who }) => cut(who).length));
  const groups: string[][] = [];
  let used = WIDTH + 1;
  for (const node of nodes) {
    const width = Math.max(node.length, ...rows.map((row) => cell(row, wallet, node).length)) + 3;
    if (used + width > WIDTH) {
      groups.push([]);
      used = first + 9;
    }
    groups.at(-1)?.push(node);
    used += width;
  }
  return groups;
}

/** `read`, `via read write`: by one request, or by a chain of steps. */
function cell({ reach }: Row, wallet: string, node: string): string {
  const found = reach.find((one) => one.wallet === wallet && one.node === node);
  if (found === undefined) return '-';
  const words = found.powers.map((power) => (power === 'overwrite' ? 'write' : power));
  const all = words.length === 3 ? 'all' : words.join(' ');
  return found.direct ? all : `via ${all}`;
}

function breachLines({ code, what, ways, mend }: Breach, paint: Paint): string[] {
  return [
    ...hanging(paint.bad('BREACH'), 6, `${what} (${code})`),
    ...ways.flatMap(({ cluster, node, principal, steps }) => [
      `  ${node} on ${cluster}, as ${principal}:`,
      ...steps.flatMap(({ text, policy, line }) => {
        const where =
          policy === undefined ? '' : ` (policy ${policy}${line === undefined ? '' : `, line ${line.toString()}`})`;
        return wrapLines(`${text}${where}`, WIDTH, '    ');
      }),
    ]),
    ...wrapLines(`hint: ${mend}`, WIDTH, '  '),
  ];
}

function doubtLines({ code, what, mend }: Doubt, paint: Paint): string[] {
  return [...hanging(paint.warn('UNREAD'), 6, `${what} (${code})`), ...wrapLines(`hint: ${mend}`, WIDTH, '  ')];
}

function noteLines({ notes }: Proof): string[] {
  const titles = {
    'root-token': 'root tokens',
    'sudo': 'sudo',
    'shared-root-accepted': 'accepted',
    'no-spare': 'note',
    'signature-unchecked': 'note',
  } as const;
  const lines = listed(notes, ({ code, cluster, what }) =>
    hanging(titles[code], titles[code].length, `${cluster === undefined ? '' : `${cluster}: `}${what}`),
  );
  return lines.length === 0 ? [] : [...lines, ''];
}

function listed<T>(items: readonly T[], render: (item: T) => string[]): string[] {
  const more = items.length - MOST;
  return [...items.slice(0, MOST).flatMap(render), ...(more > 0 ? [`and ${more.toString()} more`] : [])];
}

function verdict({ breaches, doubts, principals }: Proof, paint: Paint): string {
  const looked = `${principals.toString()} ${principals === 1 ? 'principal' : 'principals'} looked at`;
  if (breaches.length > 0) return `${paint.bad('broken')}: ${count(breaches.length, 'breach', 'breaches')}; ${looked}`;
  if (doubts.length > 0)
    return `${paint.warn('not proved')}: ${count(doubts.length, 'thing was', 'things were')} not read; ${looked}`;
  return `${paint.good('apart')}: nobody reaches too many shares; ${looked}`;
}

function count(number: number, one: string, many: string): string {
  return `${number.toString()} ${number === 1 ? one : many}`;
}

function hanging(word: string, width: number, text: string): string[] {
  const indent = ' '.repeat(width + 2);
  const [first = '', ...rest] = wrapLines(text, WIDTH, indent);
  return [`${word}  ${first.trimStart()}`, ...rest];
}

function cut(name: string): string {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name;
}

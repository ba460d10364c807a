import { VERDICTS, type Verdict } from './cells.ts';
import type { Played } from './play.ts';

export interface Row {
  readonly name: string;
  readonly counts: Readonly<Record<Verdict, number>>;
  readonly slowestRepair: number;
}

/** The counts of each cell, in the order in which they are first named. */
export function rowsOf(names: readonly string[], played: readonly Played[]): readonly Row[] {
  return [...new Set(names)].map((name) => {
    const own = played.filter((one) => one.name === name);
    const count = (verdict: Verdict): number => own.filter((one) => one.verdict === verdict).length;
    return {
      name,
      counts: {
        unchanged: count('unchanged'),
        done: count('done'),
        repaired: count('repaired'),
        unknown: count('unknown'),
        lost: count('lost'),
      },
      slowestRepair: Math.max(0, ...own.map(({ repairSeconds }) => repairSeconds)),
    };
  });
}

/** The rows as a table of Markdown, which reads well on a screen too. */
export function tableOf(rows: readonly Row[]): string {
  const head = ['ceremony/fault', ...VERDICTS, 'slowest repair'];
  const cells = rows.map(({ name, counts, slowestRepair }) => [
    name,
    ...VERDICTS.map((verdict) => counts[verdict].toString()),
    slowestRepair === 0 ? '' : `${Math.ceil(slowestRepair).toString()} s`,
  ]);
  const widths = head.map((title, column) =>
    Math.max(...[head, ...cells].map((line) => (line[column] ?? title).length)),
  );
  const line = (list: readonly string[]): string =>
    `| ${list.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n');
}

/** What showed which shares are live, and how often. */
export function waysOf(played: readonly Played[]): readonly string[] {
  const ways = played.flatMap(({ by }) => by ?? []);
  return [...new Set(ways)].sort().map((way) => `${ways.filter((one) => one === way).length.toString()} ${way}`);
}

/** How many trials there were, and whether any ended in what must not be. */
export function failed(played: readonly Played[]): readonly Played[] {
  return played.filter(({ verdict }) => verdict === 'unknown' || verdict === 'lost');
}

/** One line on one trial. */
export function lineOf({ name, trial, verdict, request, by, repairSeconds, commands }: Played): string {
  const struck = request === undefined ? 'nothing was struck' : `at ${request}`;
  const how = by === undefined ? '' : `; ${by}`;
  const repair = repairSeconds === 0 ? '' : `; ${repairSeconds.toFixed(1)} s`;
  return `${verdict.padEnd(9)} ${name} #${trial.toString()} ${struck}${how}${repair}; ${commands.length.toString()} sittings`;
}

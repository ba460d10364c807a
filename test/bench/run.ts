import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Benchmark, Row } from './case.ts';
import { compare } from './compare.ts';

/*
 * npm run bench [-- [--only NAME]... [--runs N] [--format table|json]]
 *
 * Compares quorate with what people would use in its place; a case's goal is a bound for ours/reference, or where it
 * says so for ours. Exits with 1 when a case could not be measured; a missed goal is shown, and no failure.
 */

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    runs: { type: 'string' },
    format: { type: 'string', default: 'table' },
  },
});

const folder = join(import.meta.dirname, 'cases');
const benchmarks: Benchmark[] = [];
for (const file of readdirSync(folder).sort()) {
  benchmarks.push(((await import(join(folder, file))) as { benchmark: Benchmark }).benchmark);
}
const names = benchmarks.map(({ name }) => name);
const unknown = values.only?.filter((name) => !names.includes(name)) ?? [];
if (unknown.length > 0) throw new Error(`no case ${unknown.join(', ')}; there are ${names.join(', ')}`);

const rows: Row[] = [];
for (const benchmark of benchmarks) {
  if (values.only !== undefined && !values.only.includes(benchmark.name)) continue;
  console.error(`measuring ${benchmark.name} ...`);
  try {
    rows.push(...(await compare(benchmark, values.runs === undefined ? undefined : Number(values.runs))));
  } catch (error) {
    console.error(`${benchmark.name}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

if (values.format === 'json') console.log(JSON.stringify(rows, undefined, 2));
else console.log(table(rows));

function table(lines: readonly Row[]): string {
  const head = ['case', 'ours', 'reference', 'ratio', 'goal', 'runs'];
  const cells = lines.map((row) => [
    row.name,
    `${number(row.ours)} ${row.unit}`,
    ...(Number.isNaN(row.reference) ? ['', ''] : [`${number(row.reference)} ${row.unit}`, row.ratio.toFixed(2)]),
    row.goal === undefined
      ? ''
      : `${number(row.goal)}${row.goalOf === 'ours' ? ` ${row.unit}` : ''} ${row.met ? 'met' : 'MISSED'}`,
    row.runs.toString(),
  ]);
  const widths = head.map((title, column) =>
    Math.max(...[head, ...cells].map((line) => (line[column] ?? title).length)),
  );
  return [head, ...cells]
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}

function number(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: 3, useGrouping: value >= 10_000 });
}

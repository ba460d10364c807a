import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { endAll } from '../support/at-end.ts';
import { cellsOf } from './cells.ts';
import { cellJobs, killJobs, KILLS, playAll, tearJobs } from './play.ts';
import { failed, lineOf, rowsOf, tableOf, waysOf } from './report.ts';

/*
 * npm run faults -- [--trials N] [--seed S] [--only CELLS] [--kills K] [--lanes L] [--format table|json]
 *
 * Plays every ceremony against every fault on real clusters, N times, and K kills of the server in the call that makes
 * a rotation take effect. CELLS are kinds, faults, or KIND/FAULT, with commas between them; with `--only kills` there
 * are none, and with `--only torn` only rotations that are killed after each of their writes. The seed decides which call is struck, and at which moment. Exits with 1 when an outcome is unknown or a
 * cluster is lost; the same seed plays it again.
 */

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '1' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    only: { type: 'string' },
    kills: { type: 'string', default: '0' },
    lanes: { type: 'string', default: '2' },
    format: { type: 'string', default: 'table' },
  },
});
const { seed } = values;
const alone = values.only === 'kills' || values.only === 'torn';
const cells = alone ? [] : cellsOf(values.only);
const torn = values.only === undefined || values.only === 'torn' ? tearJobs(Number(values.trials)) : [];
const jobs = [...cellJobs(cells, Number(values.trials)), ...torn, ...killJobs(Number(values.kills))];

async function main(): Promise<void> {
  console.error(`${jobs.length.toString()} trials with --seed ${seed}`);
  const start = Date.now();
  const played = await playAll(jobs, {
    seed,
    lanes: Number(values.lanes),
    tell: (one) => {
      console.error(lineOf(one));
      if (one.detail !== undefined) console.error(one.detail);
    },
  });
  const rows = rowsOf(
    jobs.map(({ name }) => name),
    played,
  );
  const bad = failed(played).length;
  if (values.format === 'json') console.log(JSON.stringify({ seed, rows, played }, undefined, 2));
  else console.log(tableOf(rows));
  const minutes = ((Date.now() - start) / 60_000).toFixed(1);
  console.error(
    `${played.length.toString()} trials in ${minutes} minutes, ${bad.toString()} unknown or lost; --seed ${seed}`,
  );
  const ways = waysOf(played.filter(({ name }) => name.startsWith(KILLS)));
  if (ways.length > 0) console.error(`after the kills: ${ways.join('; ')}`);
  if (bad > 0) process.exitCode = 1;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void endAll().finally(() => process.exit(130));
  });
}

main()
  .finally(endAll)
  .catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });

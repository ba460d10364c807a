import type { Benchmark } from '../case.ts';
import { processSide } from '../process-side.ts';
import { environment, QUORATE } from '../quorate.ts';

/** Starting up: the least that any command costs, against the least that Node costs. */
export const benchmark: Benchmark = {
  name: 'version',
  measures: [{ measure: 'time', unit: 'ms', goal: 1.5 }],
  runs: 30,
  prepare: () =>
    Promise.resolve({
      ours: processSide({ commands: [[QUORATE, '--version']], env: environment() }),
      reference: processSide({ commands: [[process.execPath, '-e', '0']] }),
    }),
};

import { join } from 'node:path';
import type { Benchmark } from '../case.ts';
import { processSide } from '../process-side.ts';

const launcher = join(import.meta.dirname, '../../../bin/quorate');

/** Starting up: the least that any command costs, against the least that Node costs. */
export const benchmark: Benchmark = {
  name: 'version',
  measures: [{ measure: 'time', unit: 'ms', goal: 1.5 }],
  runs: 30,
  prepare: () =>
    Promise.resolve({
      ours: processSide({
        commands: [[launcher, '--version']],
        env: { ...process.env, QUORATE_NODE: process.execPath },
      }),
      reference: processSide({ commands: [[process.execPath, '-e', '0']] }),
    }),
};

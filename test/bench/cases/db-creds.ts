import type { Benchmark } from '../case.ts';
import { brokerFor } from '../broker.ts';
import { processSide } from '../process-side.ts';
import { QUORATE } from '../quorate.ts';

/** One database credential, as a step of a job asks for it. */
export const benchmark: Benchmark = {
  name: 'db-creds',
  measures: [
    { measure: 'time', unit: 'ms', goal: 0.8 },
    { measure: 'memory', unit: 'MB', goal: 0.8 },
  ],
  runs: 20,
  async prepare() {
    const { bao, env, cwd, close } = await brokerFor();
    return {
      ours: processSide({ commands: [[QUORATE, 'db', 'creds', 'read', '--format', 'json']], env, cwd }),
      reference: processSide({ commands: [[bao, 'read', '-format=json', 'database/creds/read']], env, cwd }),
      close,
    };
  },
};

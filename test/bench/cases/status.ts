import type { Benchmark } from '../case.ts';
import { processSide } from '../process-side.ts';
import { environment, QUORATE } from '../quorate.ts';
import { startServers } from '../servers.ts';

/** Asking one unsealed server how it is, as scripts and probes do. */
export const benchmark: Benchmark = {
  name: 'status',
  measures: [
    { measure: 'time', unit: 'ms', goal: 0.8 },
    { measure: 'memory', unit: 'MB', goal: 0.8 },
  ],
  runs: 20,
  async prepare() {
    const { cluster, bao, folder, close } = await startServers({ peers: 1, shares: 1 });
    const env = environment({ BAO_ADDR: cluster.peers[0]?.address ?? '', BAO_CACERT: cluster.caFile });
    return {
      ours: processSide({ commands: [[QUORATE, 'status', '--format', 'json']], env, cwd: folder }),
      reference: processSide({ commands: [[bao, 'status', '-format=json']], env, cwd: folder }),
      close,
    };
  },
};

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Benchmark } from '../case.ts';
import { processSide } from '../process-side.ts';
import { environment, QUORATE } from '../quorate.ts';
import { startServers } from '../servers.ts';

/** Three shares for each of three sealed peers: one command, with its checks and its record, against nine. */
export const benchmark: Benchmark = {
  name: 'unseal',
  measures: [{ measure: 'time', unit: 'ms', goal: 0.5 }],
  runs: 8,
  async prepare() {
    const { cluster, bao, folder, shares, seal, close } = await startServers({ peers: 3, shares: 3 });
    const files = shares.map((_, index) => join(folder, `share-${index.toString()}`));
    await Promise.all(files.map((file, index) => writeFile(file, shares[index] ?? '', { mode: 0o600 })));
    const given = files.flatMap((file) => ['--share-file', file]);
    const named = ['--config', cluster.configFile, '--records', join(folder, 'records')];
    const env = environment({ BAO_CACERT: cluster.caFile });
    return {
      ours: processSide({ commands: [[QUORATE, 'unseal', ...named, ...given]], env, cwd: folder, before: seal }),
      reference: processSide({
        commands: shares.flatMap((share) =>
          cluster.peers.map(({ address }) => [bao, 'operator', 'unseal', `-address=${address}`, share] as const),
        ),
        env,
        cwd: folder,
        before: seal,
      }),
      close,
    };
  },
};

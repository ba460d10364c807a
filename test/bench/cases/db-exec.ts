import type { Benchmark } from '../case.ts';
import { brokerFor } from '../broker.ts';
import { processSide } from '../process-side.ts';
import { QUORATE } from '../quorate.ts';

/** What people do by hand: a credential into the environment, the program, and the revocation. */
const SCRIPT = `
set -e
reply=$("$BAO" read -format=json database/creds/read)
field() { printf '%s' "$reply" | sed -n "s/.*\\"$1\\": \\"\\([^\\"]*\\)\\".*/\\1/p"; }
lease=$(field lease_id)
env PGUSER="$(field username)" PGPASSWORD="$(field password)" true
exec "$BAO" lease revoke -sync "$lease"
`;

/** A program that does nothing, with a credential of its own that is gone afterwards. */
export const benchmark: Benchmark = {
  name: 'db-exec',
  measures: [{ measure: 'time', unit: 'ms', goal: 0.7 }],
  runs: 20,
  async prepare() {
    const { bao, env, root, cwd, close } = await brokerFor();
    return {
      ours: processSide({ commands: [[QUORATE, 'db', 'exec', 'read', '--', 'true']], env, cwd }),
      reference: processSide({ commands: [['sh', '-c', SCRIPT]], env: { ...root, BAO: bao }, cwd }),
      close,
    };
  },
};

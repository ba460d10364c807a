import { resolve } from 'node:path';
import { QuorateError } from '../errors.ts';
import { closingLines } from './ceremony/closing.ts';
import { defineCommand } from './command.ts';
import { conductShort, quorumOptions } from './short-ceremony.ts';

// A snapshot is of the cluster with all of its namespaces.
const { namespace: _, ...options } = quorumOptions;

/** `quorate recover`: the old shares back from a snapshot, when a rotation tore and all is sealed. */
export const command = defineCommand({
  arguments: [{ name: 'SCRIPT', optional: true, description: 'a reviewed recover script; without one, --record' }],
  options: {
    record: { value: 'FOLDER', description: 'the ceremony folder of the rotation that tore' },
    snapshot: { value: 'FILE', description: 'where its snapshot is now, when it was moved' },
    roster: { value: 'FILE', description: 'the roster of the old shares (default: as quorate.yaml says)' },
    on: { value: 'PEER', description: 'the peer that starts with an empty data folder (default: the first)' },
    ...options,
  },
  examples: [
    {
      command: 'quorate recover --record records/2027-03-01-rotate-root-key-1a2b3c4d',
      text: 'when no peer is unsealed and neither the old nor the new shares open one',
    },
    { command: 'quorate ceremony new recover', text: 'a script to review first, which is the better way' },
  ],
  async run(context, values, [file]) {
    const { record, snapshot, roster, on } = values;
    const flags = [record, snapshot, roster, on].some((one) => one !== undefined);
    if (file === undefined ? record === undefined : flags) {
      throw new QuorateError('usage', 'recover needs a script, or --record, and not both', {
        hint: '--record names the ceremony folder of the rotation that tore; its record names the snapshot.',
      });
    }
    const path = (name: string, value: string | undefined): Readonly<Record<string, string>> =>
      value === undefined ? {} : { [name]: resolve(context.cwd, value) };
    const outcome = await conductShort(context, 'recover', values, {
      ...(file === undefined ? {} : { file }),
      flags: (cluster) => ({
        title: `Recovery of ${cluster}`,
        ...path('record', record),
        ...path('snapshot', snapshot),
        ...path('roster', roster),
        ...(on === undefined ? {} : { peer: on }),
      }),
    });
    context.output.result(outcome, () => closingLines(outcome));
    return undefined;
  },
});

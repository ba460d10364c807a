import { closingLines } from './ceremony/closing.ts';
import { defineCommand } from './command.ts';
import { conductRotation, rotationOptions } from './rotation-flags.ts';

// The seals of namespaces are opened by shares.
const { namespace: _, ...options } = rotationOptions;

/** `quorate rotate-recovery-key`: new recovery shares of a cluster that unseals itself. */
export const command = defineCommand({
  arguments: [
    { name: 'SCRIPT', optional: true, description: 'a reviewed script; without one the flags below make it' },
  ],
  options,
  examples: [
    { command: 'quorate rotate-recovery-key ceremonies/rotate-recovery-key.yaml', text: 'from a reviewed script' },
    {
      command:
        'quorate rotate-recovery-key --threshold 2 \\\n      --custodian Alice=alice.asc --custodian Bo=bo.asc --custodian Chris=chris.asc',
      text: 'the same from flags; the script that they make is kept in the record',
    },
  ],
  async run(context, values, [file]) {
    const outcome = await conductRotation(context, 'rotate-recovery-key', values, file);
    context.output.result(outcome, () => closingLines(outcome));
    return undefined;
  },
});

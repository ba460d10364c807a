import { closingLines } from './ceremony/closing.ts';
import { defineCommand } from './command.ts';
import { conductRotation, rotationOptions } from './rotation-flags.ts';

/** `quorate rotate-root-key`: new unseal shares, verified before they take effect. */
export const command = defineCommand({
  arguments: [
    { name: 'SCRIPT', optional: true, description: 'a reviewed script; without one the flags below make it' },
  ],
  options: {
    ...rotationOptions,
    'auto-unseal': {
      description: 'the cluster unseals itself: recovery shares authorise the new root key, and none are issued',
    },
  },
  examples: [
    { command: 'quorate rotate-root-key ceremonies/rotate-root-key.yaml', text: 'from a reviewed script' },
    {
      command:
        'quorate rotate-root-key --threshold 2 \\\n      --custodian Alice=alice.asc --custodian Bo=bo.asc --custodian Chris=chris.asc',
      text: 'the same from flags; the script that they make is kept in the record',
    },
    { command: 'quorate rotate-root-key --auto-unseal', text: 'of a cluster that unseals itself; proved by a restart' },
  ],
  async run(context, values, [file]) {
    const outcome = await conductRotation(context, 'rotate-root-key', values, file);
    context.output.result(outcome, () => closingLines(outcome));
    return undefined;
  },
});

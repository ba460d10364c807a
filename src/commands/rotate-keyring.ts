import { closingLines } from './ceremony/closing.ts';
import { defineCommand } from './command.ts';
import { ceremonyOptions, conductShort } from './short-ceremony.ts';

/** `quorate rotate-keyring`: exactly one new term of the keyring. */
export const command = defineCommand({
  arguments: [{ name: 'SCRIPT', optional: true, description: 'a reviewed rotate-keyring script' }],
  options: ceremonyOptions,
  examples: [
    { command: 'quorate rotate-keyring', text: 'shows the term and the automatic rotation, then rotates' },
    { command: 'quorate rotate-keyring ceremonies/rotate-keyring.yaml', text: 'from a reviewed script' },
  ],
  async run(context, values, [file]) {
    const outcome = await conductShort(context, 'rotate-keyring', values, {
      ...(file === undefined ? {} : { file }),
      flags: (cluster) => ({ title: `New keyring term on ${cluster}` }),
    });
    context.output.result(outcome, () => closingLines(outcome));
    return undefined;
  },
});

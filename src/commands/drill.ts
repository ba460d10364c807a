import { closingLines } from './ceremony/closing.ts';
import { defineCommand } from './command.ts';
import { conductShort, quorumOptions } from './short-ceremony.ts';

/** `quorate drill`: proves that custodians can open the cluster, and changes nothing. */
export const command = defineCommand({
  arguments: [{ name: 'SCRIPT', optional: true, description: 'a reviewed drill script' }],
  options: quorumOptions,
  examples: [
    { command: 'quorate drill', text: 'a threshold of custodians give their shares; the roster says who is proved' },
    { command: 'quorate drill ceremonies/drill.yaml', text: 'from a reviewed script' },
  ],
  async run(context, values, [file]) {
    const outcome = await conductShort(context, 'drill', values, {
      ...(file === undefined ? {} : { file }),
      flags: (cluster) => ({ title: `Share drill of ${cluster}` }),
    });
    context.output.result(outcome, () => closingLines(outcome));
    return undefined;
  },
});

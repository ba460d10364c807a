import { closingLines } from './ceremony/closing.ts';
import { defineCommand } from './command.ts';
import { conductShort, quorumOptions } from './short-ceremony.ts';

/** `quorate seal`: every peer, once an unseal quorum is seen to be at hand. */
export const command = defineCommand({
  arguments: [{ name: 'SCRIPT', optional: true, description: 'a reviewed seal script' }],
  options: {
    ...quorumOptions,
    'without-quorum': {
      description: 'although nobody has shown that they can unseal again; asks for a typed confirmation',
    },
  },
  examples: [
    { command: 'quorate seal', text: 'custodians show their shares, which go nowhere; then every peer is sealed' },
    { command: 'quorate seal --without-quorum', text: 'in an emergency; the record keeps that nobody was asked' },
    {
      command: 'quorate seal --accept idle --reason "intruder on peer 3"',
      text: 'although something is under way on a peer, or one does not answer',
    },
  ],
  async run(context, values, [file]) {
    const outcome = await conductShort(context, 'seal', values, {
      ...(file === undefined ? {} : { file }),
      flags: (cluster) => ({ 'title': `Seal of ${cluster}`, 'without-quorum': values['without-quorum'] ?? false }),
    });
    context.output.result(outcome, () => closingLines(outcome));
    return undefined;
  },
});

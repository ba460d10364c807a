import { tableLines } from '../../layout.ts';
import { defineCommand } from '../command.ts';

/** `quorate ceremony list`: the kinds of ceremony. */
export const command = defineCommand({
  options: {},
  examples: [{ command: 'quorate ceremony list', text: 'what can be run' }],
  async run({ output }) {
    const { kindSummaries } = await import('../../ceremony/kinds.ts');
    const kinds = kindSummaries();
    output.result(kinds, () => tableLines(kinds.map(({ name, summary }) => [name, summary])));
    return undefined;
  },
});

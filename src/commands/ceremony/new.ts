import { resolve } from 'node:path';
import { defineCommand } from '../command.ts';

/** `quorate ceremony new KIND`: the shipped script of a kind, to edit. */
export const command = defineCommand({
  arguments: [{ name: 'KIND', description: 'a kind that `quorate ceremony list` names' }],
  options: {
    output: { value: 'FILE', short: 'o', description: 'write it here (default: KIND.yaml); nothing is overwritten' },
  },
  examples: [
    { command: 'quorate ceremony new init', text: 'writes init.yaml, commented, to edit and review' },
    { command: 'quorate ceremony new unseal -o ceremonies/unseal.yaml', text: 'into another file' },
  ],
  async run(context, values, [kind = '']) {
    const [{ loadKind }, { readTemplate }, { writeExclusive }] = await Promise.all([
      import('../../ceremony/kinds.ts'),
      import('../../templates.ts'),
      import('../../files.ts'),
    ]);
    await loadKind(kind);
    const { text } = await readTemplate(kind);
    const file = resolve(context.cwd, values.output ?? `${kind}.yaml`);
    await writeExclusive(file, text);
    context.output.result({ file }, () => [
      file,
      '',
      'Put in your people and their key fingerprints, have it reviewed, then:',
      `  quorate ceremony check ${file} --live`,
    ]);
    return undefined;
  },
});

import { resolve } from 'node:path';
import { QuorateError } from '../errors.ts';
import { readText } from '../files.ts';
import { closingLines } from './ceremony/closing.ts';
import { defineCommand } from './command.ts';
import { conductShort, quorumOptions } from './short-ceremony.ts';

/** `quorate migrate-seal`: another seal, peer by peer. */
export const command = defineCommand({
  arguments: [{ name: 'SCRIPT', optional: true, description: 'a reviewed script; without one, --from and --to' }],
  options: {
    'from': { value: 'TYPE', description: 'the seal of now, as quorate status tells it, such as shamir' },
    'to': { value: 'TYPE', description: 'the new seal, as its stanza is called, such as quorate-kms' },
    'stanza': { value: 'FILE', description: 'the new seal stanza, to be printed when it is wanted; no secrets in it' },
    'old-stanza': { value: 'FILE', description: 'the present seal stanza, likewise' },
    ...quorumOptions,
  },
  examples: [
    { command: 'quorate migrate-seal ceremonies/migrate-seal.yaml', text: 'from a reviewed script' },
    { command: 'quorate migrate-seal --from shamir --to quorate-kms --stanza seal.hcl', text: 'from shares to an HSM' },
    { command: 'quorate migrate-seal --from quorate-kms --to shamir', text: 'and back' },
  ],
  async run(context, values, [file]) {
    const { from, to } = values;
    const flags = [from, to, values.stanza, values['old-stanza']].some((one) => one !== undefined);
    if (file === undefined ? from === undefined || to === undefined : flags) {
      throw new QuorateError('usage', 'migrate-seal needs a script, or --from and --to, and not both', {
        hint: '`quorate ceremony new migrate-seal` writes a script to edit and review, which is the better way.',
      });
    }
    const text = async (name: 'stanza' | 'old-stanza'): Promise<Readonly<Record<string, string>>> => {
      const path = values[name];
      return path === undefined ? {} : { [name]: await readText(resolve(context.cwd, path)) };
    };
    const stanzas = { ...(await text('stanza')), ...(await text('old-stanza')) };
    const outcome = await conductShort(context, 'migrate-seal', values, {
      ...(file === undefined ? {} : { file }),
      flags: (cluster) => ({ title: `Another seal for ${cluster}`, from, to, ...stanzas }),
    });
    context.output.result(outcome, () => closingLines(outcome));
    return undefined;
  },
});

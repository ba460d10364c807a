import { resolve } from 'node:path';
import { QuorateError } from '../errors.ts';
import { readText } from '../files.ts';
import { closingLines } from './ceremony/closing.ts';
import { defineCommand } from './command.ts';
import { conductShort, quorumOptions } from './short-ceremony.ts';

/** `quorate root-token`: a root token by quorum for one plan, revoked however it ends. */
export const command = defineCommand({
  arguments: [{ name: 'SCRIPT', optional: true, description: 'a reviewed root-token script; without one, --plan' }],
  options: {
    ...quorumOptions,
    'plan': { value: 'FILE', description: 'the actions alone, as a YAML list; as `plan` in a script' },
    'unlisted-share': { description: 'let a share through that is not in the roster, after a typed confirmation' },
  },
  examples: [
    {
      command: 'quorate root-token ceremonies/root-token.yaml',
      text: 'from a reviewed script (quorate ceremony new root-token writes one)',
    },
    {
      command: 'quorate ceremony check root-token.yaml --live',
      text: 'first: what the plan will change; changes nothing',
    },
    {
      command: 'quorate root-token --plan plan.yaml --share-file alice.pgp',
      text: "a plan alone; Alice's issued share is decrypted by her gpg, then the others are asked",
    },
  ],
  async run(context, values, [file]) {
    const planFile = values.plan;
    if ((file === undefined) === (planFile === undefined)) {
      throw new QuorateError('usage', 'root-token needs a script, or --plan, and not both', {
        hint: '`quorate ceremony new root-token` writes a script to edit and review, which is the better way.',
      });
    }
    const actions = planFile === undefined ? [] : await readPlan(resolve(context.cwd, planFile));
    const outcome = await conductShort(context, 'root-token', values, {
      ...(file === undefined ? {} : { file }),
      flags: (cluster) => ({
        'title': `Root token on ${cluster}`,
        'plan': actions,
        'unlisted-share': values['unlisted-share'] ?? false,
      }),
    });
    context.output.result(outcome, () => closingLines(outcome));
    return undefined;
  },
});

async function readPlan(path: string): Promise<unknown> {
  const [{ parseDocument }, { plan }] = await Promise.all([
    import('../document.ts'),
    import('../ceremony/plan/schema.ts'),
  ]);
  return parseDocument(await readText(path), plan, { file: path });
}

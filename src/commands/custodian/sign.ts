import { relative, resolve } from 'node:path';
import { QuorateError } from '../../errors.ts';
import { defineCommand } from '../command.ts';

/** `quorate custodian sign`: a custodian of the generation before (of its own, for the first) stands by a roster. */
export const command = defineCommand({
  arguments: [{ name: 'ROSTER', description: 'the roster, as it was reviewed' }],
  options: {
    key: { value: 'FILE', description: 'your SSH key: a private key, or the public half of one in ssh-agent' },
    as: { value: 'NAME', description: 'your name, as the roster has it' },
  },
  examples: [
    {
      command: 'quorate custodian sign rosters/prod-eu.yaml --key ~/.ssh/id_ed25519.pub --as "Alice Example"',
      text: 'writes a signature beside the roster; commit both',
    },
  ],
  async run(context, { key, as }, [file]) {
    if (file === undefined || key === undefined || as === undefined) {
      throw new QuorateError('usage', 'signing needs ROSTER, --key and --as', {
        hint: 'quorate custodian sign ROSTER --key ~/.ssh/id_ed25519 --as "Alice Example"',
      });
    }
    const [{ signRoster }, { loadRoster }, { sshKeygen }] = await Promise.all([
      import('../../ceremony/roster/signatures.ts'),
      import('../../ceremony/roster/roster.ts'),
      context.programs(),
    ]);
    const path = resolve(context.cwd, file);
    const { generation, cluster } = await loadRoster(path);
    const { signal } = context;
    const signature = await signRoster(sshKeygen, path, { who: as, key: resolve(context.cwd, key), signal });
    context.output.result({ roster: path, cluster, generation, signature }, () => [
      `${as} signed generation ${generation.toString()} of ${cluster}: ${relative(context.cwd, signature)}`,
    ]);
    return undefined;
  },
});

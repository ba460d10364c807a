import { resolve } from 'node:path';
import { EXIT, QuorateError } from '../../errors.ts';
import { defineCommand } from '../command.ts';

/** `quorate custodian verify`: whether enough custodians of the generation before stand by a roster. */
export const command = defineCommand({
  arguments: [{ name: 'ROSTER', description: 'the roster to check' }],
  options: {
    'allowed-signers': { value: 'FILE', description: 'your own file of keys (ssh-keygen(1), ALLOWED SIGNERS)' },
    'before': { value: 'FILE', description: 'the roster of the generation before, which you trust already' },
  },
  examples: [
    {
      command: 'quorate custodian verify rosters/prod-eu.yaml --allowed-signers ~/allowed_signers',
      text: 'the first generation, signed by its own custodians; exit 5 unless a threshold has',
    },
    {
      command: 'quorate custodian verify new.yaml --before old.yaml --allowed-signers ~/allowed_signers',
      text: 'after a rotation, signed by the custodians before it',
    },
  ],
  async run(context, values, [file]) {
    const allowed = values['allowed-signers'];
    if (file === undefined || allowed === undefined) {
      throw new QuorateError('usage', 'checking a roster needs ROSTER and --allowed-signers', {
        hint: 'Keys named in the roster prove nothing: bring those that you got from their owners.',
      });
    }
    const [{ verifyRoster }, { loadRoster }, { sshKeygen }] = await Promise.all([
      import('../../ceremony/roster/signatures.ts'),
      import('../../ceremony/roster/roster.ts'),
      context.programs(),
    ]);
    const { cwd, output, signal } = context;
    const { roster, signed, needed, trusted, ...rest } = await verifyRoster(sshKeygen, resolve(cwd, file), {
      allowedSigners: resolve(cwd, allowed),
      ...(values.before === undefined ? {} : { before: await loadRoster(resolve(cwd, values.before)) }),
      signal,
    });
    const { cluster, generation } = roster;
    output.result({ cluster, generation, trusted, signed, needed, void: rest.void }, () => [
      `generation ${generation.toString()} of ${cluster}: ${trusted ? output.paint.good('trusted') : output.paint.bad('NOT trusted')}`,
      `  signed by ${signed.join(', ') || 'nobody'} (${needed.toString()} needed)`,
      ...rest.void.map((name) => `  not a good signature: ${name}`),
    ]);
    return trusted ? EXIT.done : EXIT.unverified;
  },
});

import { resolve } from 'node:path';
import type { Invitation } from '../../ceremony/apart/invitation.ts';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import { defineCommand } from '../command.ts';

/** `quorate ceremony join`: a custodian takes part from their own machine. */
export const command = defineCommand({
  arguments: [
    {
      name: 'INVITATION',
      optional: true,
      description: 'the file that the administrator handed out; without it, pasted',
    },
  ],
  options: {
    'as': { value: 'NAME', description: 'your name, as the roster or the script has it' },
    'key': {
      value: 'FILE',
      description: 'your SSH key, which signs the receipt: private, or the public half of one in ssh-agent',
    },
    'share-file': { value: 'FILE', description: 'your share in a 0600 file, or as the PGP message that was issued' },
    'share-fd': { value: 'N', description: 'the same from an open file descriptor; 0 is standard input' },
    'ticket': {
      value: 'FILE',
      description: 'your ticket, where the server wants a token and you have no login of your own',
    },
    'words': { value: 'WORDS', description: 'the words that the administrator reads; without it you are asked' },
    'receipt': { value: 'FILE', description: 'where the receipt goes (default: a name of its own here)' },
    'keep': { value: 'FILE', description: 'where your new share goes, still encrypted to you, when one was issued' },
  },
  examples: [
    {
      command: 'quorate ceremony join 2-collect-1f2e77ab.invitation --as "Alice Example" --key ~/.ssh/id_ed25519',
      text: 'your share goes from here to the servers; you hand over the receipt',
    },
    {
      command:
        'quorate ceremony join 2-collect-1f2e77ab.invitation --as "Alice Example" --key ~/.ssh/id_ed25519.pub --ticket alice.ticket',
      text: 'a key in ssh-agent, and a ticket. The same again after a crash, or when the receipt was lost',
    },
  ],
  async run(context, values, [file]) {
    const { as, key } = values;
    if (as === undefined || key === undefined) {
      throw new QuorateError('usage', 'joining needs --as and --key', {
        hint: 'quorate ceremony join INVITATION --as "Alice Example" --key ~/.ssh/id_ed25519',
      });
    }
    if (values['share-file'] !== undefined && values['share-fd'] !== undefined) {
      throw new QuorateError('usage', '--share-file and --share-fd exclude each other');
    }
    const { join } = await import('./joiner.ts');
    const { shareSources } = await import('../share-sources.ts');
    const one = (text: string | undefined): readonly string[] => (text === undefined ? [] : [text]);
    const [source] = shareSources({ 'share-file': one(values['share-file']), 'share-fd': one(values['share-fd']) });
    await join(context, {
      invitation: await readInvitation(context, file),
      as,
      key: resolve(context.cwd, key),
      ...(source === undefined ? {} : { source }),
      ...(values.ticket === undefined ? {} : { ticket: resolve(context.cwd, values.ticket) }),
      ...(values.words === undefined ? {} : { words: values.words }),
      ...(values.receipt === undefined ? {} : { receipt: resolve(context.cwd, values.receipt) }),
      ...(values.keep === undefined ? {} : { keep: resolve(context.cwd, values.keep) }),
    });
    return undefined;
  },
});

async function readInvitation(context: Context, file: string | undefined): Promise<Invitation> {
  const { parseInvitation } = await import('../../ceremony/apart/invitation.ts');
  if (file !== undefined) return parseInvitation(await readText(resolve(context.cwd, file)));
  const { prompts, output } = context;
  if (!prompts.interactive) {
    throw new QuorateError('terminal-needed', 'there is no terminal to paste an invitation at', {
      hint: 'Name its file: quorate ceremony join INVITATION.',
    });
  }
  output.say('Paste the invitation (it is not shown):');
  for (;;) {
    const line = await prompts.pasted(60_000);
    if (line === null) throw new QuorateError('cancelled', 'no invitation was pasted');
    if (line !== undefined) return parseInvitation(line);
  }
}

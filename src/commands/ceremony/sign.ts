import { resolve } from 'node:path';
import type { SshKeygen } from '../../programs/ssh-keygen.ts';
import type { Context } from '../../context.ts';
import type { Signed } from '../../ceremony/record/signatures.ts';
import { QuorateError } from '../../errors.ts';
import { wrapLines } from '../../layout.ts';
import { defineCommand } from '../command.ts';

export interface SignValues {
  readonly record: string;
  readonly key: string;
  readonly name: string;
  readonly disagree?: string | undefined;
}

/** Shows what is about to be signed, and signs it. Throws as `signRecord`. */
export async function sign(
  context: Pick<Context, 'cwd' | 'output' | 'signal'>,
  sshKeygen: SshKeygen,
  values: SignValues,
): Promise<Signed> {
  const [{ locateRecord }, { readSoundRecord }, { signRecord }, { digestWords }] = await Promise.all([
    import('../../ceremony/record/folder.ts'),
    import('../../ceremony/record/read.ts'),
    import('../../ceremony/record/signatures.ts'),
    import('../../ceremony/record/words.ts'),
  ]);
  const { cwd, output, signal } = context;
  const place = await locateRecord(resolve(cwd, values.record));
  const { head, lines } = await readSoundRecord(place.record);
  output.say(`${place.record}: ${lines.length.toString()} events, head ${head}`);
  for (const line of wrapLines(digestWords(head).join(' '), 80, '  ')) output.say(line);
  output.say('Compare these with what was read aloud before you unlock or touch your key.');
  const signed = await signRecord({
    place,
    name: values.name,
    key: resolve(cwd, values.key),
    disagree: values.disagree,
    sshKeygen,
    signal,
  });
  output.result(signed, () => [
    signed.agrees
      ? `${signed.name} signed the record: ${signed.file}`
      : `${signed.name} signed a statement that they do not agree: ${signed.file}`,
  ]);
  return signed;
}

export const command = defineCommand({
  arguments: [{ name: 'RECORD', description: "the ceremony's folder, or its record.jsonl" }],
  options: {
    key: { value: 'FILE', description: 'your SSH key: a private key, or the public half of one in ssh-agent' },
    as: { value: 'NAME', description: 'your name, as the record has it' },
    disagree: {
      value: 'REASON',
      description: 'sign a statement that you do not agree, and why, in place of the record',
    },
  },
  examples: [
    {
      command: 'quorate ceremony sign records/2027-01-12-unseal-19fe --key ~/.ssh/id_ed25519.pub --as "Dana Example"',
      text: 'sign with a key that ssh-agent holds',
    },
    {
      command:
        'quorate ceremony sign records/2027-01-12-unseal-19fe --key ~/.ssh/id_ed25519 --as "Dana Example" --disagree "bag 0417 was open"',
      text: 'put on record that you do not agree',
    },
  ],
  async run(context, { key, as, disagree }, [record]) {
    if (record === undefined || key === undefined || as === undefined) {
      throw new QuorateError('usage', 'signing needs RECORD, --key and --as', {
        hint: 'quorate ceremony sign RECORD --key ~/.ssh/id_ed25519 --as "Dana Example"',
      });
    }
    const { sshKeygen } = await context.programs();
    await sign(context, sshKeygen, { record, key, name: as, disagree });
    return undefined;
  },
});

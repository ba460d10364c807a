import { resolve } from 'node:path';
import type { SshKeygen } from '../../programs/ssh-keygen.ts';
import type { Context } from '../../context.ts';
import type { Outcome } from '../../ceremony/record/finding.ts';
import type { Role } from '../../ceremony/record/participants.ts';
import type { Verification } from '../../ceremony/record/verify.ts';
import type { Paint } from '../../ui/terminal.ts';
import { EXIT, type Exit, QuorateError } from '../../errors.ts';
import { wrapLines } from '../../layout.ts';
import { defineCommand } from '../command.ts';

export interface VerifyValues {
  readonly record: string;
  readonly allowedSigners?: string | undefined;
  readonly revokedKeys?: string | undefined;
  readonly require?: readonly Role[];
  readonly head?: string | undefined;
}

/** Verifies and prints what was found; exit status 5 unless all of it is proved. Throws as `verifyFolder`. */
export async function verify(
  context: Pick<Context, 'cwd' | 'output' | 'signal'>,
  sshKeygen: SshKeygen,
  values: VerifyValues,
): Promise<Exit> {
  const [{ locateRecord }, { verifyFolder }] = await Promise.all([
    import('../../ceremony/record/folder.ts'),
    import('../../ceremony/record/verify.ts'),
  ]);
  const { cwd, output, signal } = context;
  const { allowedSigners, revokedKeys } = values;
  const verification = await verifyFolder({
    place: await locateRecord(resolve(cwd, values.record)),
    allowedSigners: allowedSigners === undefined ? undefined : resolve(cwd, allowedSigners),
    revokedKeys: revokedKeys === undefined ? undefined : resolve(cwd, revokedKeys),
    require: values.require ?? [],
    head: values.head,
    sshKeygen,
    signal,
  });
  output.result(verification, () => verificationLines(verification, output.paint));
  return verification.ok ? EXIT.done : EXIT.unverified;
}

const MARKS = { ok: 'ok', fail: 'FAIL', unchecked: 'UNCHECKED', note: 'note' } as const satisfies Record<
  Outcome,
  string
>;

/** A verification as lines for people. */
export function verificationLines(verification: Verification, paint: Paint): readonly string[] {
  const colour: Record<Outcome, (text: string) => string> = {
    ok: (text) => paint.good(text),
    fail: (text) => paint.bad(text),
    unchecked: (text) => paint.bad(text),
    note: (text) => paint.dim(text),
  };
  const lines: string[] = [];
  if (verification.rehearsal) lines.push(paint.warn('REHEARSAL: this proves nothing about a real cluster'), '');
  for (const { about, outcome, text, line } of verification.findings) {
    const place = line === undefined ? '' : `line ${line.toString()}: `;
    lines.push(`  ${colour[outcome](MARKS[outcome].padEnd(10))}${about.padEnd(12)}${place}${text}`);
  }
  const signers = verification.signers.map(
    ({ name, roles, signature }) => `  ${signature.padEnd(11)} ${name} (${roles.join(', ')})`,
  );
  if (signers.length > 0) lines.push('', ...signers);
  lines.push('', `head  ${verification.head}`, ...wrapLines(verification.words, 80, '      '), '');
  const wrong = verification.findings.filter(({ outcome }) => outcome === 'fail').length;
  const open = verification.findings.filter(({ outcome }) => outcome === 'unchecked').length;
  if (verification.ok) lines.push(paint.good('Verified.'));
  else lines.push(paint.bad(`NOT verified: ${wrong.toString()} failed, ${open.toString()} unchecked.`));
  return lines;
}

function checkRoles(known: readonly Role[], asked: readonly string[]): readonly Role[] {
  return asked.map((role) => {
    const found = known.find((each) => each === role);
    if (found === undefined) throw new QuorateError('usage', `--require takes one of ${known.join(', ')}`);
    return found;
  });
}

export const command = defineCommand({
  arguments: [{ name: 'RECORD', description: "the ceremony's folder, or its record.jsonl" }],
  options: {
    'allowed-signers': {
      value: 'FILE',
      description: 'your own file of keys that you trust, as for ssh-keygen -Y verify; without it nothing is verified',
    },
    'revoked-keys': {
      value: 'FILE',
      description: 'your own list of keys that count no more: public keys, or a KRL (ssh-keygen -k)',
    },
    'require': {
      value: 'ROLE',
      repeat: true,
      choices: ['administrator', 'custodian', 'witness', 'scribe', 'auditor'],
      description: 'everybody of this role must have signed',
    },
    'head': {
      value: 'HASH',
      description: 'the head that you wrote down, as hexadecimal or words; it must be this one',
    },
  },
  examples: [
    {
      command: 'quorate ceremony verify records/2027-01-12-unseal-19fe --allowed-signers ~/.ssh/allowed_signers',
      text: 'check the chain, the outputs and every signature',
    },
    {
      command:
        'quorate ceremony verify record-folder --allowed-signers signers --require administrator --require witness',
      text: 'insist that the administrator and the witnesses signed',
    },
  ],
  async run(context, values, [record]) {
    if (record === undefined) {
      throw new QuorateError('usage', 'which record?', { hint: "Name the ceremony's folder." });
    }
    const { ROLES } = await import('../../ceremony/record/participants.ts');
    const { sshKeygen } = await context.programs();
    return await verify(context, sshKeygen, {
      record,
      allowedSigners: values['allowed-signers'],
      revokedKeys: values['revoked-keys'],
      require: checkRoles(ROLES, values.require ?? []),
      head: values.head,
    });
  },
});

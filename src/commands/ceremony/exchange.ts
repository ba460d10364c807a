import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Apart } from '../../ceremony/apart/apart.ts';
import { invitationDigest, invitationWords, renderInvitation } from '../../ceremony/apart/invitation.ts';
import { RECEIPT_NAMESPACE } from '../../ceremony/apart/receipt.ts';
import type { Context } from '../../context.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { fileError, readText, replaceFile } from '../../files.ts';
import { shownPath, wrapLines } from '../../layout.ts';
import type { Programs } from '../../programs/programs.ts';

const RECEIPT = /\.receipt$/;
const SETTLED = 5000;
/** What people type in place of a receipt. */
const NO_MORE = new Set(['lost', 'stop']);

/** Text that nobody is still copying: it ends as receipts do, or has not changed for a while. */
async function wholeText(path: string): Promise<string | undefined> {
  try {
    const text = await readText(path);
    if (text.endsWith('\n')) return text;
    return Date.now() - (await stat(path)).mtimeMs > SETTLED ? text : undefined;
  } catch (error) {
    // Gone again, or no text.
    if (isQuorateError(error)) return undefined;
    throw error;
  }
}

/**
 * The way to custodians apart: invitations are written to `folder`, and receipts taken from it or from what is pasted
 * at this terminal. The folder may be one that people share; nothing in it is secret.
 * @param patience milliseconds without a receipt after which `deadline-passed` is thrown; 0: for ever.
 */
export async function createExchange(
  context: Context,
  programs: Programs,
  folder: string,
  patience: number,
): Promise<Apart> {
  const { output, prompts, cwd } = context;
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw fileError(folder, error);
  });
  const seen = new Set<string>();
  let quietSince = Date.now();

  /** A receipt that was read is set aside, so that neither this sitting nor another ceremony meets it again. */
  async function nextFile(): Promise<string | undefined> {
    for (const name of (await readdir(folder)).filter((one) => RECEIPT.test(one)).sort()) {
      const path = join(folder, name);
      if (seen.has(path)) continue;
      const text = await wholeText(path);
      if (text === undefined) continue;
      // Where the folder is only for reading, it is remembered.
      await rename(path, `${path}.taken`).catch(() => seen.add(path));
      return text;
    }
    return undefined;
  }

  return {
    async invite(invitation) {
      quietSince = Date.now();
      const digest = invitationDigest(invitation).slice('sha256:'.length, 'sha256:'.length + 8);
      const file = join(folder, `${invitation.step.number}-${invitation.step.id}-${digest}.invitation`);
      await replaceFile(file, `${renderInvitation(invitation)}\n`);
      output.say();
      output.say(`  invitation  ${shownPath(cwd, file)}`);
      output.say('              each custodian, on their own machine:');
      output.say('              quorate ceremony join INVITATION --as NAME --key SSHKEY');
      for (const [index, line] of wrapLines(invitationWords(invitation).join(' '), 66).entries()) {
        output.say(output.paint.strong(`  ${index === 0 ? 'words     ' : '          '}  ${line}`));
      }
      output.say('              they see the same words; compare them on the telephone');
      output.say(`  receipts    put them into ${shownPath(cwd, folder)}/, or paste them here (not shown);`);
      output.say('              "stop" when nobody else will hand one in');
      output.say();
    },

    async next(wait) {
      const found = await nextFile();
      const line = found ?? (await prompts.pasted(wait));
      if (line !== undefined) quietSince = Date.now();
      if (found !== undefined) return found;
      if (patience > 0 && Date.now() - quietSince > patience) {
        throw new QuorateError('deadline-passed', 'nobody has handed in a receipt for too long', {
          hint: 'Resume the ceremony when custodians are there. The limit: policy.longest-wait-minutes, or --longest-wait.',
        });
      }
      if (line === undefined || line === null) return line;
      return NO_MORE.has(line.trim().replaceAll('"', '').toLowerCase()) ? null : line;
    },

    async signer({ bytes, signature }) {
      const place = await mkdtemp(join(tmpdir(), 'quorate-receipt-'));
      try {
        const file = join(place, 'receipt.sig');
        await writeFile(file, signature, { mode: 0o600 });
        const { signal } = context;
        const found = await programs.sshKeygen.check({ namespace: RECEIPT_NAMESPACE, signature: file, bytes, signal });
        return found.ok ? found.key : undefined;
      } finally {
        await rm(place, { recursive: true, force: true });
      }
    },
  };
}

import { type Invitation, invitationWords, saysWords, scriptDigest } from '../../ceremony/apart/invitation.ts';
import type { Joining } from '../../ceremony/apart/joining/surroundings.ts';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import { wrapLines } from '../../layout.ts';

/** What the custodian compares before they are asked for anything. */
export function showInvitation(
  output: Context['output'],
  { invitation, loaded, cluster, custodian }: Joining,
  seen: readonly string[],
): void {
  const { paint } = output;
  const { script, kind } = loaded;
  const { step, task } = invitation;
  const row = (label: string, text: string): void => {
    for (const [index, line] of wrapLines(text, 66).entries()) {
      output.say(`  ${(index === 0 ? label : '').padEnd(13)}${line}`);
    }
  };
  output.say();
  output.say(
    paint.strong(`${script.title}   ${kind.name} on ${cluster.name}${invitation.rehearsal ? '   REHEARSAL' : ''}`),
  );
  output.say();
  row('ceremony', invitation.ceremony);
  row('invited', `${custodian}${invitation.administrator === undefined ? '' : `, by ${invitation.administrator}`}`);
  row(
    'cluster',
    `${invitation.clusterId ?? 'sealed: it does not tell its id'}, ${cluster.peers.length.toString()} peers`,
  );
  row('script', scriptDigest(invitation));
  // All of it: a line that looks like a comment can be part of what a plan writes.
  for (const line of invitation.script.split('\n').filter((one) => one.trim() !== '')) {
    output.say(paint.dim(`  | ${line}`));
  }
  for (const [index, { id, title }] of kind.steps(script, new Map()).entries()) {
    row(id === step.id ? 'now      ->' : index === 0 ? 'steps' : '', `${(index + 1).toString()} ${id}: ${title}`);
  }
  row('nonce', task.nonce);
  for (const [index, line] of seen.entries()) row(index === 0 ? 'the servers' : '', line);
  for (const [index, line] of wrapLines(invitationWords(invitation).join(' '), 66).entries()) {
    output.say(paint.strong(`  ${(index === 0 ? 'words' : '').padEnd(13)}${line}`));
  }
  output.say();
}

/**
 * Whether the administrator sees the same, told by the words.
 * @throws QuorateError `cancelled`; `invitation-invalid` when `words` are others; `terminal-needed`.
 */
export async function agree({ prompts }: Context, invitation: Invitation, words: string | undefined): Promise<void> {
  if (words !== undefined) {
    if (saysWords(words, invitation)) return;
    throw new QuorateError('invitation-invalid', 'those are not the words of this invitation', {
      hint: 'Give no share. The invitation was changed on its way, or is not the newest one.',
    });
  }
  const question = 'Does the administrator read the same words to you?';
  if (await prompts.confirm(question, { instead: '--words "WORDS"' })) return;
  throw new QuorateError('cancelled', 'the words were not the same, or not compared; no share was given');
}

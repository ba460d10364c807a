import { join } from 'node:path';
import { handedOut } from '../../ceremony/apart/handed-out.ts';
import { TICKETS, wantsTickets } from '../../ceremony/apart/inviting.ts';
import { endTickets } from '../../ceremony/apart/tickets.ts';
import type { CeremonySetting } from '../../ceremony/engine.ts';
import { clusterLeader } from '../../ceremony/leadership.ts';
import { RECORD_FILE } from '../../ceremony/record/folder.ts';
import { readRecord } from '../../ceremony/record/read.ts';
import type { Context } from '../../context.ts';
import { isQuorateError } from '../../errors.ts';

/** Ends the tickets of a ceremony that is complete, where it had any; says so when it could not. */
export async function endTicketsOf(
  { output }: Pick<Context, 'output'>,
  setting: Pick<CeremonySetting, 'cluster' | 'login' | 'signal'>,
  folder: string,
): Promise<void> {
  const { lines } = await readRecord(join(folder, RECORD_FILE));
  const opened = lines[0];
  if (opened?.event !== 'ceremony.opened' || !handedOut(lines).some(wantsTickets)) return;
  const had = lines.some((line) => line.event === 'note' && line.text === TICKETS);
  try {
    const { home = '' } = setting.cluster;
    // A ceremony may have left its namespace sealed.
    const { session } = await setting.login(await clusterLeader(setting));
    try {
      const ended = await endTickets(session.inNamespace(home), opened.id);
      if (ended) output.say('The tickets of this ceremony are ended.');
    } finally {
      session.close();
    }
  } catch (error) {
    if (!isQuorateError(error)) throw error;
    if (!had) return;
    output.say(`The tickets of this ceremony could not be ended: ${error.message}. They expire by themselves.`);
  }
}

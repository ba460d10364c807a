import type { Run } from '../kind.ts';
import type { RecordLine } from '../record/events.ts';
import { surveyPeers } from '../survey.ts';

/** An attempt of this ceremony whose end its peer was not seen to know. */
export interface Ghost {
  readonly peer: string;
  readonly nonce: string;
}

/** What the record says once a peer that leads was asked and holds no such attempt any more. */
export const noneLeft = (peer: string, nonce: string): string => `no attempt with nonce ${nonce} is left on ${peer}`;

/**
 * Attempts that may still be in the memory of a peer that stopped leading in one: it answers for the new leader then, so
 * that nobody sees them or can cancel them before it leads again (OpenBao 2.7.2). They make no token that anybody could
 * read, since their one-time pad is gone, but they keep others from starting.
 */
export function ghostsOf(events: readonly RecordLine[]): readonly Ghost[] {
  let open: Ghost[] = [];
  for (const event of events) {
    // A token came of the last one.
    if (event.event === 'token.revoked') open = open.slice(0, -1);
    if (event.event === 'note') open = open.filter(({ peer, nonce }) => event.text !== noneLeft(peer, nonce));
    if (event.event !== 'request' || !event.request.endsWith('/attempt') || event.actual['started'] !== true) continue;
    const { nonce } = event.actual;
    if (typeof nonce === 'string' && nonce !== '') open.push({ peer: event.peer, nonce });
  }
  return open;
}

/** Says at the end what may come alive later, so that nobody is surprised. */
export async function tellGhosts(run: Run): Promise<void> {
  const ghosts = ghostsOf(run.events);
  if (ghosts.length === 0) return;
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  for (const { peer, nonce } of ghosts) {
    const survey = surveys.find((one) => one.peer.name === peer);
    // One that leads was just asked. Of HashiCorp Vault's nothing outlives a leadership, nor a sealing of either's.
    if (survey?.state === 'active' || survey?.state === 'sealed' || survey?.seal?.flavour === 'vault') continue;
    const text = `${peer} stopped leading with a void attempt (nonce ${nonce}) in its memory, and shows it when it leads again: the next ceremony offers to cancel it. A restart of ${peer} ends it too.`;
    run.people.say(text);
    await run.record({ event: 'note', text });
  }
}

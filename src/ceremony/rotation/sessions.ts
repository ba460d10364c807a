import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError } from '../../errors.ts';
import type { Peer, Session } from '../../vault/peer.ts';
import type { Run } from '../kind.ts';

const REPLICATION = 3000;
const POLL = 200;

/** A login on one peer, closed at the end. A token that was made on the leader reaches its standbys a moment later. */
export async function withSession<T>(
  run: Pick<Run, 'login' | 'signal'>,
  peer: Peer,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { session } = await run.login(peer);
  const deadline = Date.now() + REPLICATION;
  try {
    for (;;) {
      try {
        return await work(session);
      } catch (error) {
        if (!isQuorateError(error, 'denied') || Date.now() > deadline) throw error;
        await sleep(POLL);
      }
    }
  } finally {
    session.close();
  }
}

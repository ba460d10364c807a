import { isQuorateError } from '../errors.ts';
import type { Session } from '../vault/peer.ts';
import type { Finding, PreflightRun } from './kind.ts';
import { lockFinding } from './lock.ts';
import { underWayFindings } from './rotation/under-way.ts';
import type { PeerSurvey } from './survey.ts';

/**
 * What a ceremony on an unsealed cluster wants to find, seen with the administrator's login on the active peer: the
 * lock free, nothing under way on any peer, and whatever `more` looks at. Without a leader or a login that is the
 * finding. Changes nothing.
 */
export async function liveFindings(
  run: PreflightRun,
  surveys: readonly PeerSurvey[],
  more: (session: Session) => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  const active = surveys.find(({ state }) => state === 'active');
  if (active === undefined) {
    return [
      { code: 'leader', ok: false, finding: 'no peer leads the cluster', mend: 'Unseal it; quorate status shows why.' },
    ];
  }
  let session: Session;
  try {
    ({ session } = await run.login(active.peer));
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    const mend = error.hint ?? 'Mend the login in quorate.yaml.';
    return [{ code: 'login', ok: false, finding: error.message.slice(0, 390), mend }];
  }
  try {
    return [await lockFinding(session), ...(await underWayFindings(run)), ...(await more(session))];
  } finally {
    session.close();
  }
}

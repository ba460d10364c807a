import { isQuorateError } from '../../../errors.ts';
import type { Session } from '../../../vault/peer.ts';
import type { Run, Step } from '../../kind.ts';
import { activePeer } from '../../leadership.ts';
import { releaseLock } from '../../lock.ts';
import { rootTokens } from '../../root-generation/tokens.ts';
import { RotationOperation } from '../../rotation/operation.ts';
import type { RecoverScript } from './script.ts';
import { chosenPeer, tornRotation } from './source.ts';

const REMAINS = 'root-tokens';

/** What came back with the snapshot and should not have, and what did not come back. */
export function remainsStep(script: RecoverScript): Step {
  return {
    id: 'remains',
    title: 'root tokens that came back are counted; the lock and backup of the rotation go; what is lost is said',
    who: 'administrator',
    done: (run) => Promise.resolve(run.events.some((one) => one.event === 'check' && one.code === REMAINS)),
    async run(run) {
      const peer = chosenPeer(run, script);
      const torn = await tornRotation(run, script);
      for (const text of notes(peer.name, torn.taken)) {
        await run.record({ event: 'note', text });
        run.people.say(`  ${text}`);
      }
      const leader = await activePeer({ cluster: { name: run.cluster.name, peers: [peer] }, signal: run.signal });
      const session = await attempt(run, async () => (await run.login(leader)).session);
      if (session === undefined) {
        await recordTokens(run, undefined);
        return;
      }
      try {
        await attempt(run, () => freeLock(run, session, torn.id));
        await attempt(run, () => deleteBackup(run, session));
        await recordTokens(run, await attempt(run, () => rootTokens(session)));
      } finally {
        session.close();
      }
    },
  };
}

const notes = (peer: string, taken: string): readonly string[] => [
  `Lost: everything written after the snapshot of ${taken}. It is only in the data folders that were set aside.`,
  'Tokens and secrets that were revoked after the snapshot may live again: go through them, and revoke them once more.',
  `The other peers join with empty data folders, and the old shares: set their old ones aside, start them while ${peer} is unsealed, then run quorate unseal.`,
  'The new shares of the torn rotation open nothing that is in use. They still open the data that was set aside: destroy both together.',
];

/** The snapshot was taken while the rotation held the lock. */
async function freeLock(run: Run, session: Session, ceremony: string): Promise<void> {
  if (!(await releaseLock(session, { ceremony }))) return;
  await run.record({ event: 'note', text: `the ceremony lock of ${ceremony}, which came back, is free` });
}

/** A snapshot taken during a rotation brings its encrypted copy of the new shares back. */
async function deleteBackup(run: Run, session: Session): Promise<void> {
  const operation = await RotationOperation.on(session, 'rotate-root-key');
  if ((await operation.backup()) === undefined) return;
  await operation.deleteBackup();
  await run.record({
    event: 'destroyed',
    what: "the server's copy of the dead new shares, which came back with the snapshot",
    how: 'deleted',
  });
}

async function recordTokens(run: Run, tokens: Awaited<ReturnType<typeof rootTokens>> | undefined): Promise<void> {
  const count = tokens?.length;
  const finding =
    count === undefined
      ? 'root tokens were not counted: no login could'
      : `${count.toString()} root tokens came back with the snapshot`;
  await run.record({
    event: 'check',
    code: REMAINS,
    ok: count === 0,
    finding,
    ...(count === 0 ? {} : { mend: 'LIST auth/token/accessors, and revoke by accessor what should not be there.' }),
    facts: {
      count: count ?? null,
      ...Object.fromEntries(
        (tokens ?? []).slice(0, 20).map(({ accessor }, index) => [`accessor ${(index + 1).toString()}`, accessor]),
      ),
    },
  });
  run.people.say(`  ${finding}`);
  for (const { accessor } of tokens ?? []) run.people.say(`    accessor ${accessor}`);
}

/** The cluster is open again: what this login may not do is said, and stops nothing. */
async function attempt<T>(run: Run, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    run.people.say(`  ${error.message}`);
    await run.record({ event: 'note', text: `not done: ${error.code}` });
    return undefined;
  }
}

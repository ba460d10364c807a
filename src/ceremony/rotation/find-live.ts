import { QuorateError } from '../../errors.ts';
import type { Run } from '../kind.ts';
import type { Leadership } from '../leadership.ts';
import { rotateAnew } from './anew.ts';
import { type Live, recordNoLiveSet, sameSinceLastCall } from './attempt.ts';
import { shareDrill } from './drill.ts';
import { mustBeUnderWay, newShares, type Plan } from './plan.ts';
import { presentShares, type ShareSet } from './share-set.ts';

/*
 * Where the last call made the server write and it was stopped, what is on disk is one of six states: the writes have
 * an order (OpenBao 2.7.2, and HashiCorp Vault 1.14): the root key wrapped with the key of the new shares, the keyring,
 * the root key for standbys, the key of the shares (`core/shamir-kek`), the seal's n and threshold.
 *
 *   written     what opens it cold                              what is done
 *   none        the old shares                                  nothing
 *   1           neither; as long as a peer serves from memory   the root key is rotated once more: the old shares
 *   1 to 2      the new shares, and the server stops at once    the snapshot
 *   1 to 3      the new shares, but a root key that is rotated  the root key is rotated once more: the old shares
 *               once more is again one of the old shares
 *   1 to 4      the new shares; n and threshold are the old     nothing where these stay the same; else the snapshot
 *   all         the new shares                                  nothing
 *
 * A crash can end one write further than the data that a peer is unsealed with: Raft replays its log after that.
 */

/** Does some work on the peer that leads. */
export type Leading = <T>(work: (leadership: Leadership) => Promise<T>) => Promise<T>;

/**
 * Finds out by drills which shares are live, once no leader holds the verification any more: drills cancel nothing
 * then. Afterwards the server's own copy of their key is the same.
 * @throws QuorateError `outcome-unknown` where no set is, and the snapshot is the way back.
 */
export async function findLive(run: Run, plan: Plan, leading: Leading): Promise<Live> {
  run.people.say(
    '  No peer that leads holds the verification any more. A share drill finds out which shares are live.',
  );
  await run.record({ event: 'note', text: 'the verification is gone; a drill finds out which shares are live' });
  const fresh = newShares(run, plan);
  const old = presentShares(run, 'the old shares');
  const fits = await leading((leadership) => fitsNew(run, plan, leadership));
  if (!fits) run.people.say('  The seal wants as many shares as before: the new ones are not in force.');
  if (fits && (await isLive(run, plan, fresh))) return confirm(run, plan, leading, fresh, old);
  if (await isLive(run, plan, old)) return { set: 'old', by: 'a share drill' };
  run.people.say('  Neither set opens the root key: the write was torn. The root key is rotated once more.');
  const outcome = await anew(run, plan, leading);
  if (outcome === 'denied') throw mayNotRotate();
  if (outcome === 'unknown call') {
    run.people.say('!!  This server has no call that would bring the old shares back to life.');
  } else {
    if (await isLive(run, plan, old)) return { set: 'old', by: 'rotating the root key back' };
    if (fits && (await isLive(run, plan, fresh))) return { set: 'new', by: 'rotating the root key once more' };
  }
  await recordNoLiveSet(run, `neither the new nor the old shares open ${run.cluster.name}`);
  throw lostSets(run, 'serves');
}

/**
 * New shares that open the root key may still not be those of the key that the server keeps for itself, which is written
 * later. Peers could not join then, and the next rotation without shares would bring the old ones back. One such
 * rotation now, with both sets at hand, shows it.
 */
async function confirm(run: Run, plan: Plan, leading: Leading, fresh: ShareSet, old: ShareSet): Promise<Live> {
  const byDrill: Live = { set: 'new', by: 'a share drill' };
  if (plan.purpose !== 'rotate-root-key') return byDrill;
  const attempt = mustBeUnderWay(run);
  if (await leading((leadership) => Promise.resolve(sameSinceLastCall(attempt, leadership)))) return byDrill;
  run.people.say(
    '  The leader has changed in the last call, and the key of the shares is written late. The root key is rotated once more, and drilled again.',
  );
  const outcome = await anew(run, plan, leading);
  if (outcome !== 'done') {
    const why = outcome === 'denied' ? 'this login may not' : 'this server has no call for that';
    const text = `The root key could not be rotated once more (${why}). Before a peer joins anew, rotate it again, whole.`;
    run.people.say(`!!  ${text}`);
    await run.record({ event: 'note', text });
    return byDrill;
  }
  if (await isLive(run, plan, fresh))
    return { set: 'new', by: 'a share drill, and another after the root key was rotated once more' };
  if (await isLive(run, plan, old)) return { set: 'old', by: 'rotating the root key back' };
  await recordNoLiveSet(run, `neither the new nor the old shares open ${run.cluster.name} any more`);
  throw lostSets(run, 'serves');
}

function anew(run: Run, plan: Plan, leading: Leading): ReturnType<typeof rotateAnew> {
  if (plan.purpose !== 'rotate-root-key') return Promise.resolve('unknown call');
  return leading((leadership) => rotateAnew(run, leadership));
}

/** Whether the leader asks for as many shares as the new ones are: that is written last. */
async function fitsNew(run: Run, plan: Plan, { peer }: Leadership): Promise<boolean> {
  if (plan.purpose !== 'rotate-root-key' || plan.namespace !== undefined) return true;
  const { shares, threshold } = await peer.sealStatus({ signal: run.signal });
  return shares === plan.shares && threshold === plan.threshold;
}

async function isLive(run: Run, plan: Plan, set: ShareSet): Promise<boolean> {
  const { opens } = await shareDrill(run, plan.purpose, set, { refusalIsAnswer: true, tolerate: true });
  run.people.say(`  ${set.name}: ${opens ? 'live' : 'refused'}`);
  await run.record({
    event: 'check',
    code: 'drill',
    ok: opens,
    finding: `${set.name} ${opens ? 'are live' : 'are refused'}`,
  });
  return opens;
}

function mayNotRotate(): QuorateError {
  return new QuorateError('denied', 'this login may not rotate the root key once more, which is the repair', {
    hint: 'Restart and seal nothing. Give its policy update and sudo on sys/rotate/root (a root token can), then resume.',
  });
}

/** The error where no set of shares opens anything; a peer may still serve from what it has in memory. */
export function lostSets(run: Run, serves?: 'serves'): QuorateError {
  const snapshot = run.events.findLast(({ event }) => event === 'snapshot');
  const file = snapshot?.event === 'snapshot' ? snapshot.file : 'from before the last call';
  const first =
    serves === 'serves'
      ? 'A peer still serves, from its memory alone: copy what you need out of it now, and restart it only for this.'
      : 'Nothing on the disks is lost by waiting; change nothing there.';
  return new QuorateError('outcome-unknown', `neither the new nor the old shares open ${run.cluster.name}`, {
    hint: `${first} This brings the old shares back from the snapshot ${file}: quorate recover --record ${run.folder}`,
  });
}

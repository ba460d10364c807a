import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Run, Step } from '../kind.ts';
import { Leadership } from '../leadership.ts';
import { surveyPeers } from '../survey.ts';
import { currentAttempt, LIVE_SET, type Live, recordNoLiveSet } from './attempt.ts';
import { findLive, type Leading, lostSets } from './find-live.ts';
import { RotationOperation } from './operation.ts';
import { mustBeUnderWay, newShares, type Plan } from './plan.ts';
import { areOpen, openSealed, reopen } from './reopen.ts';
import type { RotationStatus } from './replies.ts';
import { presentShares } from './share-set.ts';
import { sweep } from './sweep.ts';
import { giveNewShares } from './verify.ts';

const LEADER_WAIT = 600_000;
const POLL = 1000;
const TRIES = 20;
/** A peer that opens and stops as often as this has a torn root key, and does it again. */
const STOPS = 2;

/** While these last, the cluster is finding itself; everything is looked at again. */
export const PASSING = new Set<string>([
  'leader-changed',
  'server-unreachable',
  'server-timeout',
  'server-error',
  'server-response',
  'sealed',
  'not-ready',
  'token-missing',
]);

/** What happened is told by the server's 200 alone; without it, by looking, and then it is repaired. */
export function settleStep(plan: Plan): Step {
  return {
    id: 'settle',
    title: 'which shares are live is known, and repaired where neither is',
    who: 'administrator, custodians',
    done: (run) => Promise.resolve(currentAttempt(run.events)?.live !== undefined),
    run: (run) => settle(run, plan),
  };
}

export async function recordLive(run: Run, live: Live, finding: string): Promise<void> {
  await run.record({ event: 'check', code: LIVE_SET, ok: true, finding, facts: { set: live.set, by: live.by } });
}

async function settle(run: Run, plan: Plan): Promise<void> {
  const attempt = mustBeUnderWay(run);
  if (attempt.live !== undefined) return;
  warn(run, attempt.events);
  const live = await repair(run, plan);
  const away = new Set(await sweep(run, { tolerate: true }));
  for (const name of await leftSealed(run, plan, live)) away.add(name);
  for (const peer of away) {
    const text = `${peer} is away. Its disk is as it was when it went: it may want the old shares or the new ones. If it takes neither, remove it from Raft (remove-peer), wipe its data and let it join again.`;
    run.people.say(`  ${text}`);
    await run.record({ event: 'note', text });
  }
  if (live.set === 'new') {
    run.people.say('  repaired: the NEW shares are live');
    await recordLive(run, live, `the NEW shares are live, by ${live.by}`);
    return;
  }
  // Before it counts as void: what is left of it must not be taken for something that could still be used.
  await withLeader(run, async (leadership) => {
    await (await RotationOperation.on(leadership.session, plan.purpose)).deleteBackup();
  });
  await recordLive(run, live, `the OLD shares are live, by ${live.by}; the new ones are void`);
  run.people.say('  repaired: the OLD shares are live, as before the ceremony; the new ones are void.');
  throw new QuorateError('ceremony-interrupted', 'the rotation did not take effect: the OLD shares are live', {
    hint: 'Nothing is lost. Find out what went wrong, then resume: the rotation starts over. Void shares can be destroyed.',
  });
}

/** Those that went down and are up again get the shares that they want, while all who hold some are there. */
async function leftSealed(run: Run, plan: Plan, live: Live): Promise<readonly string[]> {
  if (plan.purpose !== 'rotate-root-key' || plan.namespace !== undefined) return [];
  const sets = [newShares(run, plan), presentShares(run, 'the old shares')];
  await openSealed(run, live.set === 'new' ? sets : sets.reverse());
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  return surveys.flatMap(({ peer, state }) => (state === 'sealed' ? [peer.name] : []));
}

export function warn(run: Run, events: ReturnType<typeof mustBeUnderWay>['events']): void {
  const lost = events.findLast((event) => event.event === 'request' && event.actual['said'] !== undefined);
  const why = lost?.event === 'request' ? String(lost.actual['said']) : 'quorate was interrupted';
  const where = lost?.event === 'request' ? ` on ${lost.peer}` : '';
  run.people.say('');
  run.people.say(`!!  The last call of the rotation${where} got no answer that counts (${why}).`);
  run.people.say(`!!  Do not restart, seal or upgrade any peer of ${run.cluster.name} until this is settled.`);
  run.people.say('');
}

/** Looks, repairs what can be repaired, and says which set is live. Each outcome is recorded as it comes. */
async function repair(run: Run, plan: Plan): Promise<Live> {
  const opened = { without: 0 };
  const leading: Leading = (work) => withLeader(run, work, () => openAgain(run, plan, opened));
  for (let tries = 1; ; tries += 1) {
    try {
      return (
        (await leading((leadership) => {
          opened.without = 0;
          return giveAgain(run, plan, leadership);
        })) ?? (await findLive(run, plan, leading))
      );
    } catch (error) {
      if (!isQuorateError(error) || !PASSING.has(error.code) || tries === TRIES) throw error;
      run.people.say(`  ${error.message}. Looking again; nothing was cancelled.`);
      await run.record({ event: 'note', text: `settling: ${error.code}; looking again` });
      await sleep(POLL, undefined, { signal: run.signal });
    }
  }
}

/** Repair 1: where the leader still holds the verification, the new shares given there again settle everything. */
async function giveAgain(run: Run, plan: Plan, leadership: Leadership): Promise<Live | undefined> {
  const operation = await RotationOperation.on(leadership.session, plan.purpose);
  const held = await ownVerification(run, operation);
  if (held === undefined) return undefined;
  const count = `${held.progress.toString()} of ${held.threshold.toString()}`;
  run.people.say(`  ${operation.peer} leads and still holds the verification (${count}). Nothing was cancelled.`);
  run.people.say(
    `  Giving the ${held.threshold.toString()} new shares again on ${operation.peer} settles it, whatever the lost call did.`,
  );
  await run.record({
    event: 'note',
    text: `${operation.peer} still holds the verification (${count}); nothing was cancelled`,
  });
  const outcome = await giveNewShares(run, leadership, operation, newShares(run, plan));
  if (outcome.kind === 'complete') return { set: 'new', by: 'giving the new shares again' };
  throw new QuorateError('leader-changed', `the new shares were given again, and ${outcome.why}`);
}

/**
 * Whether shares opened a peer, where too few were open to elect a leader. The new ones come first: whoever holds them
 * is there.
 */
async function openAgain(run: Run, plan: Plan, opened: { without: number }): Promise<boolean> {
  if (opened.without >= STOPS && !(await areOpen(run, 'a majority'))) {
    run.people.say('!!  Shares open peers, which stop as soon as they are to lead: the write was torn.');
    await recordNoLiveSet(run, `peers of ${run.cluster.name} that shares open stop as soon as they are to lead`);
    throw lostSets(run);
  }
  const sets = [newShares(run, plan), presentShares(run, 'the old shares')];
  const outcome = await reopen(run, plan.purpose === 'rotate-root-key' ? sets : [], 'a majority');
  if (outcome === 'refused' && !(await areOpen(run, 'one'))) throw lostSets(run);
  if (outcome === 'opened') opened.without += 1;
  return outcome === 'opened';
}

/** The verification on the leader, when it is that of this rotation. */
async function ownVerification(run: Run, operation: RotationOperation): Promise<RotationStatus | undefined> {
  const status = await operation.status();
  if (!status.started || status.nonce !== mustBeUnderWay(run).nonce) return undefined;
  return operation.verification();
}

/**
 * Waits for a leader, as long as people do.
 * @param openAgain called when none leads; true when it has changed that.
 */
export async function withLeader<T>(
  run: Run,
  work: (leadership: Leadership) => Promise<T>,
  openAgain: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<T> {
  const deadline = Date.now() + LEADER_WAIT;
  let told = false;
  for (;;) {
    let leadership: Leadership | undefined;
    try {
      leadership = await Leadership.find(run);
    } catch (error) {
      if (!isQuorateError(error) || !PASSING.has(error.code) || Date.now() > deadline) throw error;
      if (!told) run.people.say('  No peer leads yet. Waiting; nothing was cancelled.');
      told = true;
      if (error.code === 'not-ready' && (await openAgain())) continue;
      await sleep(POLL, undefined, { signal: run.signal });
      continue;
    }
    try {
      return await work(leadership);
    } finally {
      leadership.close();
    }
  }
}

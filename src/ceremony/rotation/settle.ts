import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Run, Step } from '../kind.ts';
import { Leadership } from '../leadership.ts';
import { currentAttempt, LIVE_SET, type Live } from './attempt.ts';
import { shareDrill } from './drill.ts';
import { RotationOperation } from './operation.ts';
import { mustBeUnderWay, newShares, type Plan } from './plan.ts';
import { reopen } from './reopen.ts';
import { refusal, type RotationStatus } from './replies.ts';
import { presentShares, type ShareSet } from './share-set.ts';
import { sweep } from './sweep.ts';
import { giveNewShares } from './verify.ts';

const LEADER_WAIT = 600_000;
const POLL = 1000;
const TRIES = 20;

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
  const away = await sweep(run, { tolerate: true });
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
  for (let tries = 1; ; tries += 1) {
    try {
      return (await giveAgain(run, plan)) ?? (await findLive(run, plan));
    } catch (error) {
      if (!isQuorateError(error) || !PASSING.has(error.code) || tries === TRIES) throw error;
      run.people.say(`  ${error.message}. Looking again; nothing was cancelled.`);
      await run.record({ event: 'note', text: `settling: ${error.code}; looking again` });
      await sleep(POLL, undefined, { signal: run.signal });
    }
  }
}

/** Repair 1: where the leader still holds the verification, the new shares given there again settle everything. */
async function giveAgain(run: Run, plan: Plan): Promise<Live | undefined> {
  const work = async (leadership: Leadership): Promise<Live | undefined> => {
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
  };
  return withLeader(run, work, () => openAgain(run, plan));
}

/** Whether shares opened a peer, where none was open. The new ones come first: whoever holds them is there. */
async function openAgain(run: Run, plan: Plan): Promise<boolean> {
  const sets = [newShares(run, plan), presentShares(run, 'the old shares')];
  const outcome = await reopen(run, plan.purpose === 'rotate-root-key' ? sets : []);
  if (outcome === 'refused') throw lostSets(run);
  return outcome === 'opened';
}

/** The verification on the leader, when it is that of this rotation. */
async function ownVerification(run: Run, operation: RotationOperation): Promise<RotationStatus | undefined> {
  const status = await operation.status();
  if (!status.started || status.nonce !== mustBeUnderWay(run).nonce) return undefined;
  return operation.verification();
}

/** Only when the verification is gone: drills cancel nothing then. */
async function findLive(run: Run, plan: Plan): Promise<Live> {
  run.people.say(
    '  No peer that leads holds the verification any more. A share drill finds out which shares are live.',
  );
  await run.record({ event: 'note', text: 'the verification is gone; a drill finds out which shares are live' });
  const fresh = newShares(run, plan);
  const old = presentShares(run, 'the old shares');
  if (await isLive(run, plan, fresh)) return { set: 'new', by: 'a share drill' };
  if (await isLive(run, plan, old)) return { set: 'old', by: 'a share drill' };
  run.people.say(
    '  Neither set opens the root key: the write was torn. The root key is rotated back to the old shares.',
  );
  await rotateBack(run, plan);
  if (await isLive(run, plan, old)) return { set: 'old', by: 'rotating the root key back' };
  throw lostSets(run);
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

/**
 * Repair 2: a new root key without new shares writes everything anew under the shares of the key that the server has
 * in memory, which are the old ones (OpenBao 2.7.2). HashiCorp Vault has no such call.
 */
async function rotateBack(run: Run, plan: Plan): Promise<void> {
  await withLeader(run, async (leadership) => {
    const { flavour } = await leadership.peer.sealStatus({ signal: run.signal });
    const path = await leadership.peer.endpoint('rotate-root-key');
    if (flavour !== 'openbao' || plan.purpose !== 'rotate-root-key') {
      run.people.say('!!  This server has no call that would bring the old shares back to life.');
      throw lostSets(run);
    }
    await leadership.check(run);
    const reply = await leadership.session.request('POST', path);
    await run.record({
      event: 'request',
      peer: leadership.peer.name,
      request: `POST ${path}`,
      expected: { status: 204 },
      actual: { status: reply.status },
    });
    if (reply.status >= 300) throw refusal(leadership.peer.name, `POST ${path}`, reply);
  });
}

/** The error where no set of shares opens anything. */
export function lostSets(run: Run): QuorateError {
  const snapshot = run.events.findLast(({ event }) => event === 'snapshot');
  const file = snapshot?.event === 'snapshot' ? snapshot.file : 'from before the last call';
  return new QuorateError('outcome-unknown', `neither the new nor the old shares open ${run.cluster.name}`, {
    hint: `While a peer is unsealed it serves: restart nothing, and copy its data out. When all is sealed, this brings the old shares back from the snapshot ${file}: quorate recover --record ${run.folder}`,
  });
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

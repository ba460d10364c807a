import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Peer, SealStatus } from '../../vault/peer.ts';
import { unsealApart } from '../apart/unsealing.ts';
import { askForShare, type AskOptions, type Given, type ShareQuestion } from '../asking.ts';
import { recordDeadline } from '../deadline.ts';
import type { Run } from '../kind.ts';
import { type GiveOptions, giveShare } from './giving.ts';
import { type Absent, countedByAll, describe, named, names, newTarget, progressOf, type Target } from './target.ts';
import { lookAgain, lookForAbsent, waitUntilJoined, waitUntilOpen, type Wants } from './waiting.ts';

export interface UnsealOutcome {
  readonly unsealed: readonly string[];
  /** Peers that are still sealed or gave no answer, and why. */
  readonly left: readonly { readonly peer: string; readonly why: string }[];
}

export interface UnsealOptions extends AskOptions, GiveOptions {
  /**
   * Keeps the shares in memory until the end, for peers that join only once the first is unsealed.
   * For an init, where the cluster is empty; an unseal forgets each share as soon as it was given.
   */
  readonly hold?: boolean;
  /** Shares for one peer after the other: those in the list are given first, new ones are added. The caller wipes them. */
  readonly kept?: Given[];
  /** Peers that do not answer, or that want other shares; each is asked again before every share. */
  readonly absent?: readonly { readonly peer: Peer; readonly why: string }[];
  readonly wants?: Wants;
}

/** A peer that is to be unsealed, and what it last said. */
export interface SealedPeer {
  readonly peer: Peer;
  readonly seal: SealStatus;
}

/** What one run of `unsealPeers` keeps while it goes on. */
interface Attempt {
  readonly targets: Target[];
  readonly absent: Absent[];
  readonly held: Given[];
  /** Who gave which x, as far as that is known. */
  readonly givers: Map<string, string>;
}

/**
 * Gives each share to every sealed peer side by side until all are unsealed or nobody gives another.
 * A share is checked before it is sent. A lost reply is settled by reading the peer's progress; only when that proves
 * that the share was not counted it is sent once more. Peers that fail do not stop the others.
 * @throws QuorateError what `People` throws, and what the record's writing throws.
 */
export async function unsealPeers(
  run: Run,
  peers: readonly SealedPeer[],
  options: UnsealOptions,
): Promise<UnsealOutcome> {
  if (run.apart !== undefined && options.kept === undefined) return unsealApart(run, run.apart, peers, options);
  const attempt: Attempt = {
    targets: peers.map(({ peer, seal }) => newTarget(peer, seal)),
    absent: (options.absent ?? []).map((one) => ({ ...one })),
    held: options.kept ?? [],
    givers: new Map(),
  };
  for (const target of attempt.targets) await settleEarlierProgress(run, attempt, target);
  try {
    await collect(run, attempt, options);
  } catch (error) {
    if (isQuorateError(error, 'deadline-passed')) await forget(run, attempt);
    throw error;
  } finally {
    if (options.kept === undefined) wipeHeld(attempt);
  }
  const { targets, absent } = attempt;
  return {
    unsealed: targets.filter(({ state }) => state === 'unsealed').map(({ peer }) => peer.name),
    left: [
      ...targets
        .filter(({ state }) => state !== 'unsealed')
        .map((target) => ({ peer: target.peer.name, why: target.why ?? `sealed ${describe(target)}` })),
      ...absent.map(({ peer, why }) => ({ peer: peer.name, why })),
    ],
  };
}

async function collect(run: Run, attempt: Attempt, options: UnsealOptions): Promise<void> {
  const { targets, held, givers } = attempt;
  for (const given of [...held]) await giveToAll(run, attempt, targets, given, options);
  for (;;) {
    await lookForOthers(run, attempt, options);
    const waiting = targets.filter(({ state }) => state === 'sealed');
    if (waiting.length === 0) {
      const joining = targets.filter(({ state }) => state === 'joining');
      if (joining.length === 0) return;
      await waitUntilJoined(run, joining, options);
      for (const given of [...held]) await giveToAll(run, attempt, joining, given, options);
      continue;
    }
    const given = await askForShare(run, questionOf(run, attempt, waiting), options);
    if (given === null) return;
    held.push(given);
    const { share, admission } = given;
    if (admission.holder !== undefined) givers.set(share.x, admission.holder);
    run.people.say(`  ${acceptedLine(given)}`);
    await giveToAll(run, attempt, waiting, given, options);
    if (options.hold !== true && options.kept === undefined) wipeHeld(attempt);
  }
}

/** What the next custodian is asked, while these peers wait for a share. */
function questionOf(run: Run, { targets, absent, givers }: Attempt, waiting: readonly Target[]): ShareQuestion {
  const taken = countedByAll(waiting);
  const seal = waiting[0]?.seal;
  const order = run.cluster.peers.map(({ name }) => name);
  const place = ({ name }: { readonly name: string }): number => order.indexOf(name);
  return {
    needed: seal?.threshold ?? 0,
    given: Math.min(...waiting.map((target) => target.seal.progress)),
    shares: seal?.shares ?? 0,
    present: [...taken].map((x) => givers.get(x) ?? `x ${x}`),
    peers: [
      ...targets.map((target) => ({ name: target.peer.name, status: describe(target) })),
      ...absent.map(({ peer, why }) => ({ name: peer.name, status: why })),
    ].sort((one, other) => place(one) - place(other)),
    single: seal?.shares === 1,
    taken,
  };
}

function acceptedLine({ share, admission }: Given): string {
  const { holder, generation } = admission;
  if (holder === undefined) return `accepted: a share with x ${share.x}, which no roster knows`;
  return `accepted from ${holder} (share ${share.x}, generation ${generation.toString()})`;
}

/** Peers that were lost or absent may be there now; they get what is held, and all that follows. */
async function lookForOthers(run: Run, attempt: Attempt, options: UnsealOptions): Promise<void> {
  const { targets, absent, held } = attempt;
  const wants = options.wants ?? (() => undefined);
  const back = await Promise.all(
    targets.map(async (target) => ((await lookAgain(run, target, wants)) ? [target] : [])),
  );
  const found = await Promise.all(absent.map(async (one) => ({ one, target: await lookForAbsent(run, one, wants) })));
  const fresh: Target[] = back.flat();
  for (const { one, target } of found) {
    if (target === undefined) continue;
    absent.splice(absent.indexOf(one), 1);
    targets.push(target);
    await settleEarlierProgress(run, attempt, target);
    if (target.state === 'sealed') fresh.push(target);
  }
  if (fresh.length > 0) for (const given of [...held]) await giveToAll(run, attempt, fresh, given, options);
}

/** One share to several peers; a set that turns out wrong is told once, and starts again from zero. */
async function giveToAll(
  run: Run,
  attempt: Attempt,
  waiting: readonly Target[],
  given: Given,
  options: UnsealOptions,
): Promise<void> {
  const sealed = waiting.filter(({ state }) => state === 'sealed');
  const outcomes = await Promise.all(sealed.map((target) => giveShare(run, target, given, options)));
  await waitUntilOpen(run, sealed, options);
  const wrong = sealed.filter((_, index) => outcomes[index] === 'wrong set');
  if (wrong.length === 0) return;
  // Held shares are of the wrong set too.
  wipeHeld(attempt);
  await run.people.refused(wrongSet(names(wrong)));
}

function wrongSet(peers: string): QuorateError {
  return new QuorateError('shares-wrong', `the shares given do not open ${peers} together`, {
    hint: 'One of them is mistyped, of another cluster, or of an older generation; the server cannot tell which. The attempt starts again from zero.',
  });
}

/** Shares that a peer had before: given by this ceremony, before it was interrupted, or by somebody else. */
async function settleEarlierProgress(run: Run, { givers }: Attempt, target: Target): Promise<void> {
  if (target.state !== 'sealed' || target.seal.progress === 0) return;
  for (const line of run.events) {
    // An attempt's nonce is its own: what was accepted under it is still there.
    if (line.event !== 'share.accepted' || line.peer !== target.peer.name || line.nonce !== target.seal.nonce) continue;
    target.counted.add(line.x);
    if (line.who !== undefined) givers.set(line.x, line.who);
  }
  if (target.counted.size >= target.seal.progress) return;
  const choice = await run.people.foreignProgress(target.peer.name, target.seal);
  await run.record({
    event: 'exception',
    expected: `no unseal attempt under way on ${target.peer.name}`,
    happened: `${progressOf(target.seal)} was given before this ceremony`,
    decision: choice,
    by: 'administrator',
  });
  if (choice !== 'reset') return;
  target.counted.clear();
  try {
    target.seal = await target.peer.resetUnseal({ signal: run.signal });
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    // It may be gone, or unsealed by now: `lookAgain` finds out.
    target.state = 'lost';
    target.why = error.message;
  }
}

/** People have gone: what they gave must not wait in the peers' memory for somebody else to complete it. */
async function forget(run: Run, { targets }: Attempt): Promise<void> {
  await recordDeadline(run, 'the unseal attempts are reset');
  for (const { peer, state, counted } of targets) {
    if (state !== 'sealed' || counted.size === 0) continue;
    await peer.resetUnseal().catch((error: unknown) => {
      if (!isQuorateError(error)) throw error;
      run.people.say(`  ${named(peer.name, error.message)}: its attempt may still wait.`);
    });
  }
}

function wipeHeld({ held }: Attempt): void {
  for (const { share } of held.splice(0)) share.bytes.wipe();
}

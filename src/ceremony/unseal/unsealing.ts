import { QuorateError } from '../../errors.ts';
import type { Peer, SealStatus } from '../../vault/peer.ts';
import type { Run } from '../kind.ts';
import { askForShare, type AskOptions } from './asking.ts';
import {
  describe,
  type Given,
  type GiveOptions,
  giveShare,
  lookAgain,
  progressOf,
  type Target,
  waitUntilJoined,
} from './target.ts';

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
}

/** A peer that is to be unsealed, and what it last said. */
export interface SealedPeer {
  readonly peer: Peer;
  readonly seal: SealStatus;
}

/**
 * Gives each share to every sealed peer side by side until all are unsealed or nobody gives another.
 * A share is checked before it is sent; each is sent to a peer at most once per attempt, and a lost reply is
 * settled by reading the peer's progress. Peers that fail do not stop the others.
 * @throws QuorateError what `People` throws, and what the record's writing throws.
 */
export async function unsealPeers(
  run: Run,
  peers: readonly SealedPeer[],
  options: UnsealOptions,
): Promise<UnsealOutcome> {
  const targets: Target[] = peers.map(({ peer, seal }) => ({
    peer,
    seal,
    counted: new Set(),
    state: seal.initialised ? 'sealed' : 'joining',
  }));
  for (const target of targets) await settleForeignProgress(run, target);
  const held: Given[] = [];
  try {
    await collect(run, targets, held, options);
  } finally {
    wipeHeld(held);
  }
  return {
    unsealed: targets.filter((target) => target.state === 'unsealed').map((target) => target.peer.name),
    left: targets
      .filter((target) => target.state !== 'unsealed')
      .map((target) => ({ peer: target.peer.name, why: target.why ?? describe(target) })),
  };
}

async function collect(run: Run, targets: readonly Target[], held: Given[], options: UnsealOptions): Promise<void> {
  const present: string[] = [];
  for (;;) {
    await Promise.all(targets.map((target) => lookAgain(run, target)));
    const waiting = targets.filter((target) => target.state === 'sealed');
    if (waiting.length === 0) {
      const joining = targets.filter((target) => target.state === 'joining');
      if (joining.length === 0) return;
      await run.people.progress(`waiting for ${names(joining)} to join`, async () => {
        await Promise.all(joining.map((target) => waitUntilJoined(run, target, options)));
      });
      for (const given of [...held]) await giveToAll(run, joining, given, options, present);
      continue;
    }
    const given = await askForShare(run, targets, waiting, present, options);
    if (given === null) return;
    held.push(given);
    present.push(given.admission.holder ?? `x ${given.share.x}`);
    await giveToAll(run, waiting, given, options, present);
    if (options.hold !== true || present.length === 0) wipeHeld(held);
  }
}

/** One share to several peers; a set that turns out wrong is told once, and starts again from zero. */
async function giveToAll(
  run: Run,
  waiting: readonly Target[],
  given: Given,
  options: UnsealOptions,
  present: string[],
): Promise<void> {
  const sealed = waiting.filter((target) => target.state === 'sealed');
  const outcomes = await Promise.all(sealed.map((target) => giveShare(run, target, given, options)));
  const wrong = sealed.filter((_, index) => outcomes[index] === 'wrong set');
  if (wrong.length === 0) return;
  present.length = 0;
  await run.people.refused(wrongSet(names(wrong)));
}

function wrongSet(peers: string): QuorateError {
  return new QuorateError('shares-wrong', `the shares given do not open ${peers} together`, {
    hint: 'One of them is of another cluster or an older generation. The attempt starts again from zero.',
  });
}

async function settleForeignProgress(run: Run, target: Target): Promise<void> {
  if (target.seal.progress === 0) return;
  const choice = await run.people.foreignProgress(target.peer.name, target.seal);
  await run.record({
    event: 'exception',
    expected: `no unseal attempt under way on ${target.peer.name}`,
    happened: `${progressOf(target.seal)} was given before this ceremony`,
    decision: choice,
    by: 'administrator',
  });
  if (choice === 'reset') target.seal = await target.peer.resetUnseal({ signal: run.signal });
}

function names(targets: readonly Target[]): string {
  return targets.map((target) => target.peer.name).join(', ');
}

function wipeHeld(held: Given[]): void {
  for (const { share } of held.splice(0)) share.bytes.wipe();
}

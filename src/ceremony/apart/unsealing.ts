import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError } from '../../errors.ts';
import { recordDeadline } from '../deadline.ts';
import type { Run } from '../kind.ts';
import type { ShareSet } from '../rotation/share-set.ts';
import { type PeerSurvey, describeState, surveyPeers } from '../survey.ts';
import type { SealedPeer, UnsealOptions, UnsealOutcome } from '../unseal/unsealing.ts';
import type { Apart } from './apart.ts';
import { gather, type Standing } from './gather.ts';
import { standingNonce } from './inviting.ts';
import { keptReceipts } from './keeping.ts';
import { mayCount, type ReceiptBody } from './receipt.ts';

const POLL = 500;

/**
 * Has custodians who are not in the room give their shares to every sealed peer themselves. Peers that come later (a
 * Raft peer joins once the first is unsealed) are asked for in another invitation.
 */
export async function unsealApart(
  run: Run,
  apart: Apart,
  peers: readonly SealedPeer[],
  options: UnsealOptions,
): Promise<UnsealOutcome> {
  const { joinTimeout, wants = () => undefined } = options;
  const all = [...peers, ...(options.absent ?? [])].map(({ peer }) => peer);
  const set: ShareSet = { name: 'the shares', ...(options.roster === undefined ? {} : { roster: options.roster }) };
  const survey = (): Promise<readonly PeerSurvey[]> => surveyPeers(all, { signal: run.signal });
  let stopped = false;
  for (let waited = 0; !stopped;) {
    const surveys = await survey();
    const sealed = surveys.filter(
      ({ state, seal }) => state === 'sealed' && seal !== undefined && wants(seal) === undefined,
    );
    if (sealed.length === 0) {
      // Only peers that this ceremony has seen are waited for; those that were away from the start are what is left.
      const joining = surveys.some(
        ({ peer, state }) => state === 'uninitialised' && peers.some((one) => one.peer === peer),
      );
      if (!joining || waited > joinTimeout) break;
      await sleep(POLL, undefined, { signal: run.signal });
      waited += POLL;
      continue;
    }
    const names = sealed.map(({ peer }) => peer.name);
    const { kind } = await gather(run, apart, {
      task: { give: 'unseal', nonce: await nonceFor(run, sealed), peers: names },
      set,
      look: watch(survey, names, joinTimeout),
    }).catch(async (error: unknown) => {
      if (isQuorateError(error, 'deadline-passed')) await forget(run, sealed);
      throw error;
    });
    if (kind === 'fell') {
      await run.record({ event: 'share.refused', reason: 'shares-wrong' });
      run.people.say('  The shares given do not open the peers together; they count from zero.');
    }
    stopped = kind === 'nobody';
  }
  const after = await survey();
  return {
    unsealed: after.filter(isOpen).map(({ peer }) => peer.name),
    left: after.filter((one) => !isOpen(one)).map((one) => ({ peer: one.peer.name, why: describeState(one) })),
  };
}

/** That of an invitation from before an interruption, where the servers still count all the shares in its receipts. */
async function nonceFor(run: Run, sealed: readonly PeerSurvey[]): Promise<string> {
  const standing = standingNonce(run, 'unseal');
  const counted = Math.max(...sealed.map(({ seal }) => seal?.progress ?? 0));
  if (standing !== undefined && counted > 0) {
    const kept = (await keptReceipts(run)).filter((one) => one.nonce === standing && mayCount(one));
    if (kept.length <= counted) return standing;
  }
  return randomBytes(16).toString('hex');
}

/** When people leave, no share of theirs stays behind in a server. */
async function forget(run: Run, sealed: readonly PeerSurvey[]): Promise<void> {
  await recordDeadline(run, 'the unseal attempts are reset');
  for (const { peer } of sealed) {
    await peer.resetUnseal().catch((error: unknown) => {
      if (!isQuorateError(error)) throw error;
      run.people.say(`  ${error.message}: its attempt may still wait.`);
    });
  }
}

const isOpen = ({ state }: PeerSurvey): boolean => state === 'active' || state === 'standby';

/** Over when all that were asked for are open, or some stay shut long after everybody gave theirs. */
function watch(
  survey: () => Promise<readonly PeerSurvey[]>,
  names: readonly string[],
  patience: number,
): (held: readonly ReceiptBody[]) => Promise<Standing> {
  let top = 0;
  let last = Date.now();
  return async (held) => {
    const asked = (await survey()).filter(({ peer }) => names.includes(peer.name));
    const needed = Math.max(...asked.map(({ seal }) => seal?.threshold ?? 0));
    const progress = Math.max(0, ...asked.map((one) => (isOpen(one) ? needed : (one.seal?.progress ?? 0))));
    // A Raft follower that joins says 0 after its last share: only a receipt tells that a set was wrong.
    const counted = Math.max(top, progress);
    if (counted > top) last = Date.now();
    top = counted;
    const open = asked.every(isOpen);
    const stuck = counted >= needed && held.length >= needed && Date.now() - last > patience;
    return {
      counted,
      needed,
      over: open || stuck,
      peers: asked.map((one) => ({ name: one.peer.name, status: describeState(one) })),
    };
  };
}

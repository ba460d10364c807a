import { QuorateError } from '../../errors.ts';
import { verifyApart } from '../apart/rotating.ts';
import { askForShare } from '../asking.ts';
import type { Run } from '../kind.ts';
import type { Leadership } from '../leadership.ts';
import { currentAttempt, recordLastCall } from './attempt.ts';
import { nobodyLeft, recordUnclear } from './collect.ts';
import type { RotationOperation } from './operation.ts';
import type { RotationStatus } from './replies.ts';
import { asking, isSingle, type ShareSet } from './share-set.ts';

/** What verification came to. Nothing but `complete`, which is a 200 to the last share, says that it took effect. */
export type Verification =
  | { readonly kind: 'complete' }
  /** The last call, or one that could have been it, was not answered with a 200. */
  | { readonly kind: 'open'; readonly why: string };

const offering = (x: string, nonce: string): string => `giving the new share ${x} to the verification ${nonce}`;

/**
 * The x-coordinates that the server has counted. It counts a share twice that is given twice (OpenBao 2.7.2), so after
 * a lost reply its progress is compared with what this ceremony has offered, and nothing is sent blindly.
 * Undefined where the two cannot be reconciled.
 */
function countedShares(run: Run, status: RotationStatus): readonly string[] | undefined {
  const offered = run.events.flatMap((event) => {
    if (event.event !== 'note') return [];
    const [, x, nonce] = /^giving the new share ([0-9a-f]{2}) to the verification (\S+)$/.exec(event.text) ?? [];
    return x !== undefined && nonce === status.nonce ? [x] : [];
  });
  const accepted = run.events.flatMap((event) =>
    event.event === 'share.accepted' && event.nonce === status.nonce ? [event.x] : [],
  );
  for (const known of [accepted, [...new Set(offered)]]) if (known.length === status.progress) return known;
  return undefined;
}

/**
 * Gives new shares to the verification that the leader holds until it is complete. Each is checked against its
 * fingerprint and given once. A wrong or lost answer before the last share changes nothing and is put right here.
 * @throws QuorateError `leader-changed` (only while the last share was not sent), `ceremony-interrupted`.
 */
export async function giveNewShares(
  run: Run,
  leadership: Leadership,
  operation: RotationOperation,
  set: ShareSet,
): Promise<Verification> {
  if (run.apart !== undefined) return verifyApart(run, run.apart, leadership, operation, set);
  const asked = asking(run, set);
  const holderOf = (x: string): string => set.roster?.shares.find((one) => one.x === x)?.holder ?? `x ${x}`;
  for (;;) {
    await leadership.check(run);
    let status = await operation.verification();
    if (status === undefined) throw gone(operation.peer);
    let counted = countedShares(run, status);
    if (counted === undefined) {
      // The new shares stay; only what was given of them is dropped.
      status = await operation.restartVerification();
      if (status === undefined) throw gone(operation.peer);
      counted = [];
    }
    const { threshold, progress, nonce } = status;
    const given = await askForShare(
      asked,
      {
        needed: threshold,
        given: progress,
        ...(set.roster === undefined ? {} : { shares: set.roster.shares.length }),
        present: counted.map(holderOf),
        peers: [{ name: operation.peer, status: `${progress.toString()}/${threshold.toString()}` }],
        single: isSingle(set, threshold),
        taken: new Set(counted),
      },
      { unlistedShare: false, ...(set.roster === undefined ? {} : { roster: set.roster }) },
    );
    if (given === null) throw nobodyLeft(set, threshold - progress);
    try {
      const { x } = given.share;
      const last = progress + 1 >= threshold;
      await leadership.check(run);
      // Asked again, right before: people may have taken their time.
      const now = await operation.verification();
      if (now?.nonce !== nonce || now.progress !== progress) continue;
      if (last && currentAttempt(run.events)?.lastCallSent !== true) await recordLastCall(run, leadership);
      await run.record({ event: 'note', text: offering(x, nonce) });
      const outcome = await operation.giveForVerification(given.share, nonce);
      if (outcome.kind === 'complete' || outcome.kind === 'progress') {
        const { holder, fingerprint } = given.admission;
        await run.record({
          event: 'share.accepted',
          x,
          peer: operation.peer,
          request: `PUT ${operation.path}/verify`,
          expected: last ? { complete: true } : { progress: progress + 1 },
          actual: outcome.kind === 'complete' ? { complete: true } : { progress: outcome.progress },
          nonce,
          ...(holder === undefined ? {} : { who: holder }),
          ...(fingerprint === undefined ? {} : { fingerprint: `sha256:${fingerprint}` }),
          ...(set.roster === undefined ? {} : { generation: set.roster.generation }),
        });
        run.people.say(`  accepted from ${holder ?? `x ${x}`} (new share ${x})`);
        if (outcome.kind === 'complete') return outcome;
        continue;
      }
      const why = outcome.kind === 'unclear' ? outcome.why : `it said: ${outcome.kind}`;
      await recordUnclear(run, operation, 'verify', {
        kind: 'unclear',
        code: outcome.kind === 'unclear' ? outcome.code : 'server-error',
        why,
      });
      if (last) return { kind: 'open', why };
      if (outcome.kind === 'gone') throw gone(operation.peer);
    } finally {
      given.share.bytes.wipe();
    }
  }
}

function gone(peer: string): QuorateError {
  return new QuorateError('leader-changed', `${peer} no longer holds the verification`, {
    hint: 'Nothing has taken effect unless the last new share was given. Resume the ceremony.',
  });
}

import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import { generateApart } from '../apart/generating.ts';
import { type AskOptions, askForShare } from '../asking.ts';
import type { Run } from '../kind.ts';
import type { Session } from '../../vault/peer.ts';
import { Leadership } from '../leadership.ts';
import { tellNonce, uninterrupted } from '../lock-steps.ts';
import type { CommonScript } from '../script.ts';
import { type AttemptStatus, cancelAttempt, foreign, isOwnAttempt, readAttempt, startAttempt } from './attempt.ts';
import { type LiveToken, endToken, sweepTokens } from './ending.ts';
import { mayCancel } from '../rotation/sweep.ts';
import { noneLeft } from './ghosts.ts';
import { giveShare } from './giving.ts';
import { decodeToken, makeOtp } from './otp.ts';

/** A cluster whose leadership changes more often than this is not fit for a ceremony. */
const RESTARTS = 5;

export interface GenerateOptions extends AskOptions {
  readonly script: CommonScript;
}

/**
 * Custodians give their shares until a root token comes of them. It starts from a clean state, and starts over from
 * one whenever the leadership or the attempt changes or the last reply is lost; whatever stops it leaves no attempt
 * and no root token behind. The caller ends the token with `endToken`.
 * @throws QuorateError `ceremony-interrupted` when nobody gives another share; `ceremony-locked` when somebody else
 *   generates one or has taken the lock; `leader-changed` when it had to start over too often; `outcome-unknown`.
 */
export async function generateRootToken(run: Run, options: GenerateOptions): Promise<LiveToken> {
  await sweepTokens(run);
  for (let restarts = 0; restarts <= RESTARTS; restarts += 1) {
    const leadership = await Leadership.find(run);
    try {
      const result = await tryOnce(run, leadership, options);
      if ('accessor' in result) return result;
      await tellRestart(run, result.why);
    } finally {
      leadership.close();
    }
    await sweepTokens(run);
  }
  throw new QuorateError('leader-changed', 'the generation of a root token had to start over too often', {
    hint: 'Look at quorate status and the logs of the servers. Resume the ceremony when the cluster is calm.',
  });
}

interface Restart {
  readonly why: string;
}

async function tryOnce(run: Run, leadership: Leadership, options: GenerateOptions): Promise<LiveToken | Restart> {
  const { session } = leadership;
  const left = await readAttempt(session);
  if (left.started) await cancelLeft(run, session, left);
  const otp = makeOtp(left.otpLength);
  let nonce: string | undefined;
  try {
    const attempt = await startAttempt(run, session, otp).catch(restartable);
    if ('why' in attempt) return attempt;
    nonce = attempt.nonce;
    await tellNonce(run, session, nonce);
    run.people.say(`Generating a root token on ${leadership.peer.name}. Nonce: ${nonce}`);
    const result = await collect(run, leadership, attempt, options);
    if ('why' in result) {
      await leaveNothing(run, leadership, nonce, false);
      return result;
    }
    return await receive(run, leadership, result.encoded, otp);
  } catch (error) {
    if (nonce !== undefined) await leaveNothing(run, leadership, nonce, true);
    throw error;
  } finally {
    otp.wipe();
  }
}

/**
 * Nothing is given to an attempt that this sitting has not started. One that is not of this ceremony may be somebody's
 * at work; or of an earlier ceremony, on a peer that stepped down in it and leads again: nobody sees it before.
 */
export async function cancelLeft(run: Run, session: Session, left: AttemptStatus): Promise<void> {
  const own = isOwnAttempt(run, left);
  if (!own) {
    const held = { peer: session.peer, what: 'the generation of a root token', ...left };
    if (!(await mayCancel(run, held))) throw foreign(left);
  }
  await cancelAttempt(session, left.nonce);
  const whose = own ? "this ceremony's own attempt" : 'after asking, an attempt that is not of this ceremony,';
  await run.record({ event: 'note', text: `cancelled ${whose} with nonce ${left.nonce}` });
  if (own) await run.record({ event: 'note', text: noneLeft(session.peer.name, left.nonce) });
}

/** Asks for shares until there is a token, or the attempt is gone. */
async function collect(
  run: Run,
  leadership: Leadership,
  started: AttemptStatus,
  options: GenerateOptions,
): Promise<{ readonly encoded: string } | Restart> {
  if (run.apart !== undefined) return generateApart(run, run.apart, leadership, started).catch(restartable);
  const { shares } = await leadership.peer.sealStatus({ signal: run.signal });
  const taken = new Map<string, string>();
  let attempt = started;
  for (;;) {
    const given = await askForShare(
      run,
      {
        needed: attempt.required,
        given: attempt.progress,
        shares,
        present: [...taken.values()].filter((name) => name !== ''),
        peers: [
          { name: leadership.peer.name, status: `${attempt.progress.toString()}/${attempt.required.toString()}` },
        ],
        single: shares === 1,
        taken: new Set(taken.keys()),
      },
      options,
    );
    if (given === null) throw nobodyLeft(attempt);
    try {
      const outcome = await giveShare(run, leadership, attempt, given);
      switch (outcome.kind) {
        case 'token':
          return { encoded: outcome.encoded };
        case 'gone':
          return { why: outcome.why };
        case 'refused':
          await run.people.refused(outcome.error);
          break;
        case 'wrong set':
          taken.clear();
          attempt = { ...attempt, progress: 0 };
          await run.people.refused(wrongSet());
          break;
        case 'counted':
          taken.set(given.share.x, given.admission.holder ?? '');
          attempt = { ...attempt, progress: outcome.progress };
          run.people.say(
            `${given.admission.holder ?? 'A share'}: counted, ${attempt.progress.toString()} of ${attempt.required.toString()}.`,
          );
      }
    } finally {
      given.share.bytes.wipe();
    }
  }
}

/** The token itself: decoded here, seen by the server as root, and named in the record by its accessor. */
async function receive(run: Run, leadership: Leadership, encoded: string, otp: Secret): Promise<LiveToken | Restart> {
  const { flavour } = await leadership.peer.sealStatus();
  let token: Secret;
  try {
    token = decodeToken(encoded, otp, flavour);
  } catch (error) {
    return restartable(error);
  }
  const session = leadership.peer.session(token);
  token.wipe();
  try {
    const look = await session.read('auth/token/lookup-self');
    const { accessor, policies } = (look ?? {}) as { accessor?: unknown; policies?: unknown };
    if (typeof accessor !== 'string' || !Array.isArray(policies) || !policies.includes('root')) {
      throw new QuorateError('server-response', 'the token that was generated is not root');
    }
    await run.record({ event: 'note', text: `a root token is alive, with accessor ${accessor}` });
    return { session, accessor };
  } catch (error) {
    // Its accessor is not known for sure: it goes by itself, or is swept by the list.
    await endToken(run, { session, accessor: undefined }).catch(() => undefined);
    throw error;
  }
}

/** Cancels the attempt, also after Ctrl-C; then sweeps what the last share may have made. */
async function leaveNothing(interrupted: Run, leadership: Leadership, nonce: string, sweep: boolean): Promise<void> {
  const run = uninterrupted(interrupted);
  try {
    const gone = await cancelAttempt(leadership.session, nonce);
    // A peer that has stopped leading answers for another, and not for itself.
    const own = await leadership.check(run).then(() => true, isPassing);
    if (gone && own) await run.record({ event: 'note', text: noneLeft(leadership.peer.name, nonce) });
    if (sweep) await sweepTokens(run);
  } catch (error) {
    // The error that led here says more; a resume cancels and sweeps again.
    if (!isQuorateError(error)) throw error;
    run.people.say(`Could not clean up yet: ${error.message}. Resuming the ceremony does.`);
  }
}

/** The leadership is another one, or cannot be asked for. */
function isPassing(error: unknown): false {
  if (!isQuorateError(error)) throw error;
  return false;
}

/** Faults on the way, after which a new attempt on whoever leads then is the answer. */
function restartable(error: unknown): Restart {
  const codes = ['server-unreachable', 'server-timeout', 'leader-changed', 'sealed', 'server-response'];
  if (isQuorateError(error) && codes.includes(error.code)) return { why: error.message };
  throw error;
}

async function tellRestart(run: Run, why: string): Promise<void> {
  await run.record({
    event: 'exception',
    expected: 'one attempt, one nonce, one leader',
    happened: why,
    decision: 'started over with a new nonce; all shares are given again',
    by: 'quorate',
  });
  run.people.say(`${why}. All shares given so far are void: it starts over, with a new nonce.`);
}

function wrongSet(): QuorateError {
  return new QuorateError('shares-wrong', 'these shares do not make a root token together', {
    hint: 'At least one is wrong, or of another cluster or generation. All must be given again.',
  });
}

function nobodyLeft({ progress, required }: AttemptStatus): QuorateError {
  return new QuorateError(
    'ceremony-interrupted',
    `${progress.toString()} of ${required.toString()} shares were given, and nobody gives another`,
    { hint: 'The attempt was cancelled. Resume the ceremony when enough custodians are there.' },
  );
}

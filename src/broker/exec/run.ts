import { setTimeout as pause } from 'node:timers/promises';
import type { DatabaseTarget, Databases } from '../../database/database.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Job, JobEnd } from '../../programs/job.ts';
import type { Secret } from '../../secret.ts';
import type { Caller } from '../caller.ts';
import { endToken, makeChild } from '../child-token.ts';
import { showDuration } from '../../duration.ts';
import { type Credential, issue } from '../lease.ts';
import { revoke, type Revoked } from '../revoke.ts';
import { keep, type Keeper } from './keeper.ts';
import { openWitness } from './proof.ts';
import { isProof, type Receipt } from './receipt.ts';

export interface ExecRequest {
  readonly login: Caller;
  /** A login with another token of the same cluster. */
  readonly withToken: (token: Secret) => Caller;
  readonly mount: string;
  readonly role: string;
  /** Seconds that the credential outlives a machine that is lost. */
  readonly tokenTtl: number;
  readonly onExpiry: 'term' | 'ignore';
  /** Milliseconds before the credential's end at which the program is told; by default a quarter of its time, at most 30 s. */
  readonly drain?: number;
  /** Milliseconds for all tries of the revocation. */
  readonly revokeTimeout: number;
  readonly prove?: { readonly databases: Databases; readonly target: DatabaseTarget };
  readonly start: (credential: Credential) => Promise<Job>;
  /** Given signals from the moment a credential is asked for until it is revoked. */
  readonly takeSignals: (handler: (signal: NodeJS.Signals) => void) => () => void;
  /** Whether the terminal sends its signals to the program too. */
  readonly foreground: () => boolean;
  readonly warn: (text: string) => void;
}

const TRIES = 3;
const MOST_DRAIN = 30_000;
const TERMINAL_SIGNALS: ReadonlySet<NodeJS.Signals> = new Set(['SIGINT', 'SIGQUIT']);

interface Held {
  readonly credential: Credential;
  readonly child: Caller;
  readonly childTtl: number;
  readonly issued: string;
}

/**
 * Runs a program with a credential of its own, and revokes that in every case.
 * @returns how it went. @throws QuorateError as `issue` and `makeChild`, `program-missing` and what `start` throws;
 *   `lease-unrevoked` when the program never ran and the revocation is not proved either; `cancelled`.
 */
export async function execute(request: ExecRequest): Promise<Receipt> {
  const cancelling = new AbortController();
  let job: Job | undefined;
  const release = request.takeSignals((signal) => {
    if (job === undefined) {
      if (signal === 'SIGINT' || signal === 'SIGTERM' || signal === 'SIGHUP') cancelling.abort();
    } else if (!(TERMINAL_SIGNALS.has(signal) && request.foreground())) {
      job.kill(signal);
    }
  });
  try {
    const held = await acquire(request, cancelling.signal);
    try {
      const started = await startUnlessCancelled(request, held, cancelling.signal);
      job = started.job;
      const { lease } = held.credential;
      const keeper = keep({
        lease,
        child: held.child,
        childTtl: held.childTtl,
        login: request.login,
        onTrouble: (what, error) => {
          request.warn(`the ${what} could not be renewed: ${error.message}`);
        },
      });
      const end = await untilEnd(job, keeper, request, 1000 * Math.min(lease.ttl, held.childTtl));
      keeper.stop();
      return await finish(request, held, { end, keeper });
    } finally {
      held.credential.password.wipe();
      held.child.close();
    }
  } finally {
    release();
  }
}

/** A credential on a child token. A lost reply costs the token, and with it the credential that may have been made. */
async function acquire({ login, withToken, mount, role, tokenTtl }: ExecRequest, signal: AbortSignal): Promise<Held> {
  for (let tries = 1; ; tries += 1) {
    const { token, ttl } = await makeChild(login, { role, ttl: tokenTtl }, { signal });
    const child = withToken(token);
    token.wipe();
    try {
      const issued = new Date().toISOString();
      return { credential: await issue(child, mount, role, { signal }), child, childTtl: ttl, issued };
    } catch (error) {
      await endToken(child);
      child.close();
      if (tries === TRIES || !isQuorateError(error, 'credential-reply-lost')) throw error;
    }
  }
}

async function startUnlessCancelled(
  request: ExecRequest,
  held: Held,
  signal: AbortSignal,
): Promise<{ readonly job: Job }> {
  try {
    if (signal.aborted) throw new QuorateError('cancelled', 'interrupted before the program was started');
    return { job: await request.start(held.credential) };
  } catch (error) {
    // Nobody has used it: it goes before anything is said.
    await revoke([held.child, request.login], held.credential.lease.id, { timeout: request.revokeTimeout });
    await endToken(held.child);
    throw error;
  }
}

/** Waits for the program, and tells it when the credential is about to end. */
async function untilEnd(job: Job, keeper: Keeper, request: ExecRequest, lifetime: number): Promise<JobEnd> {
  // What is renewed at half of its time has little less than that left, as long as it can be renewed.
  const drain = Math.min(request.drain ?? Math.min(MOST_DRAIN, lifetime / 4), 0.4 * lifetime);
  const stopping = new AbortController();
  const stopped = (): boolean => stopping.signal.aborted;
  const ended = job.ended.finally(() => {
    stopping.abort();
  });
  const sleep = (until: number): Promise<void> =>
    pause(Math.min(Math.max(0, until - Date.now()), 1_000_000_000), undefined, { signal: stopping.signal }).catch(
      () => undefined,
    );
  const watch = async (): Promise<void> => {
    // The end moves away as long as it is renewed.
    while (!stopped() && Date.now() < keeper.end - drain) await sleep(Math.min(keeper.end - drain, Date.now() + 1000));
    if (stopped()) return;
    const left = showDuration((keeper.end - Date.now()) / 1000);
    if (request.onExpiry === 'ignore') {
      request.warn(`the credential ends in ${left} and cannot be renewed; the program goes on without it`);
      return;
    }
    request.warn(`the credential ends in ${left} and cannot be renewed: the program is told to end`);
    job.kill('SIGTERM');
    await sleep(Math.max(keeper.end, Date.now() + 1000));
    if (stopped()) return;
    request.warn('the credential has ended and the program has not: it is killed');
    job.kill('SIGKILL');
  };
  const watching = watch();
  const end = await ended;
  await watching;
  return end;
}

async function finish(
  request: ExecRequest,
  { credential, child, issued }: Held,
  { end, keeper }: { readonly end: JobEnd; readonly keeper: Keeper },
): Promise<Receipt> {
  const { prove, role, login, revokeTimeout, warn } = request;
  const { lease, username } = credential;
  const ended = new Date().toISOString();
  const witness = prove === undefined ? undefined : await openWitness(prove.databases, prove.target, credential);
  let revoked: Revoked | undefined;
  let said = '';
  try {
    revoked = await revoke([child, login], lease.id, {
      timeout: revokeTimeout,
      onTrouble: ({ message }) => {
        if (message !== said) warn(`not revoked yet: ${message}`);
        said = message;
      },
    });
  } catch (error) {
    if (!isQuorateError(error, 'lease-unrevoked')) throw error;
    warn(`${error.message}. ${error.hint ?? ''}`);
  }
  const database = await witness?.ask();
  // It takes the lease with it, should that still be there.
  const token = (await endToken(child)) ? 'gone' : 'unknown';
  const proved = revoked !== undefined && (database === undefined || isProof(database));
  return {
    role,
    lease: lease.id,
    username,
    issued,
    ended,
    program: { status: end.status, signal: end.signal },
    renewals: keeper.renewals,
    revoked: revoked ?? null,
    expires: new Date(Math.min(keeper.end, 8.64e15)).toISOString(),
    proof: {
      lease: revoked === undefined ? 'unknown' : 'gone',
      token,
      ...(database === undefined ? {} : { database }),
    },
    proved,
  };
}

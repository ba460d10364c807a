import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { DatabaseTarget, Databases } from '../../database/database.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { Secret } from '../../secret.ts';
import { type Caller, isUnreachable, refusal } from '../caller.ts';
import { type Connection, logInAfresh, readConnection, type ServerLogin } from '../connection.ts';
import { tryLogin } from '../exec/proof.ts';
import { issue } from '../lease.ts';
import { revoke } from '../revoke.ts';
import type { AccountSession, SecondAdmin } from './second-admin.ts';

export interface RotateRequest {
  readonly caller: Caller;
  readonly connection: Connection;
  /** Whose credential is made and revoked for the proof. */
  readonly role: string;
  readonly second: SecondAdmin;
  /** The password that is live before, where somebody knows it. */
  readonly old:
    { readonly databases: Databases; readonly target: DatabaseTarget; readonly password: Secret } | undefined;
  /** Whether sessions that are not the server's are left to fail at their next login. */
  readonly acceptSessions: boolean;
  /** Asked right before the rotation; throws to stop it. */
  readonly agree: () => Promise<void>;
  /** Asked before the second admin sets a password; throws to stop it. */
  readonly agreeRepair: () => Promise<void>;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
  /** Milliseconds to wait for a database, or a server, that was lost in the middle. */
  readonly patience: number;
}

/** What came of it, with what proves it. Nothing in it is secret. */
export interface Rotated {
  readonly connection: string;
  readonly account: string;
  /** `repaired`: the server had a password that the database does not take, and the second admin set another one. */
  readonly outcome: 'rotated' | 'repaired';
  readonly proof: {
    /** The server has logged in afresh, and made a credential that it then revoked. */
    readonly server: 'logs-in';
    /** `refused-before`: what was given did not open the database beforehand either. */
    readonly oldPassword: 'refused' | 'refused-before' | 'not-given';
  };
}

const BETWEEN = 500;
/** How long the server may take to close the sessions that it had. */
const CLOSING = 1_500;
const REQUEST_TIMEOUT = 30_000;

/**
 * Gives the connection's account a password that only the server knows, and proves it; where the server has lost it, at
 * COMMIT or in an earlier run that was killed, the second admin sets another one, which goes to the server alone.
 * Killed at any moment, the next run finds out what is so, and goes on.
 * @throws QuorateError `database-account-unfit`, `preflight-failed` (somebody else uses the account), `database-unreachable`;
 *   `database-password-lost` when the repair is not agreed to; `outcome-unknown` when it could not be settled in time:
 *   run it again; as `issue`.
 */
export async function rotateRoot(request: RotateRequest): Promise<Rotated> {
  const { caller, connection, second, say, signal } = request;
  await second.check();
  const before = await second.sessions();
  if ((await logInAfresh(caller, connection, { signal })) === 'refused') {
    say(`The server's own password for ${connection.username} is not the database's: it was lost earlier.`);
    return repair(request, 'refused-before');
  }
  await refuseOthers(request, before);
  await proveServer(request);
  const oldBefore = await tryOld(request);
  if (oldBefore === 'unknown') {
    throw new QuorateError('database-unreachable', 'the database does not say whether the old password is live');
  }
  if (oldBefore === 'refused')
    say('The given old password does not open the database: it is not the one that is live.');
  await request.agree();
  const fault = await askToRotate(request);
  return settle(request, fault, oldBefore === 'accepted');
}

/** Undefined when the server said that it is done, else what went wrong: it may be done all the same. */
async function askToRotate({ caller, connection, signal }: RotateRequest): Promise<QuorateError | undefined> {
  const path = `${connection.mount}/rotate-root/${connection.name}`;
  const options = { signal, repeatable: false, timeout: REQUEST_TIMEOUT };
  try {
    const reply = await caller.request('POST', path, {}, options);
    if (reply.status < 300) return undefined;
    if (reply.status < 500) throw refusal(`POST ${path}`, reply, NEEDS);
    return refusal(`POST ${path}`, reply);
  } catch (error) {
    if (isUnreachable(error)) return error as QuorateError;
    throw error;
  }
}

const NEEDS = 'The policy that quorate db setup makes for this ends with -admin.';

/** Finds out which password is live, whatever the server said or did not say. */
async function settle(request: RotateRequest, fault: QuorateError | undefined, oldWasLive: boolean): Promise<Rotated> {
  const { say } = request;
  if (fault !== undefined) say(`The rotation did not end well: ${fault.message}. Looking which password is live ...`);
  if ((await waitForLogin(request)) === 'refused') {
    say('The database has taken a new password, and the server has not kept it.');
    return repair(request, oldWasLive ? 'refused' : 'refused-before');
  }
  const old = await tryOld(request);
  if (old === 'accepted') {
    const why = fault === undefined ? 'the server says that it is done' : fault.message;
    throw new QuorateError('server-error', `the password was not rotated, and the old one is live: ${why}`, {
      hint: 'Nothing has changed. Run it again once the cause is gone.',
    });
  }
  // It logs in, and without an old password that was live before nobody can tell with which one.
  if (fault !== undefined && !(oldWasLive && old === 'refused')) {
    throw new QuorateError('outcome-unknown', `whether the password was rotated is not known: ${fault.message}`, {
      hint: 'The connection works, so nothing is lost. Run it again: a second rotation does no harm.',
    });
  }
  return finish(request, 'rotated', oldWasLive);
}

async function repair(request: RotateRequest, old: 'refused' | 'refused-before'): Promise<Rotated> {
  const { caller, connection, second, say, signal } = request;
  await request.agreeRepair();
  const password = freshPassword();
  try {
    await second.setPassword(password);
    say(`${connection.username} has a new password. Giving it to the server ...`);
    await giveToServer(request, password);
  } finally {
    password.wipe();
  }
  if ((await waitForLogin(request)) === 'refused') {
    throw new QuorateError('outcome-unknown', 'the server does not log in with the password that it was given', {
      hint: 'Is --target the database that the connection names? Run it again: it starts by looking.',
    });
  }
  const { settings } = await readConnection(caller, connection.mount, connection.name, { signal });
  if (!isDeepStrictEqual(settings, connection.settings)) {
    throw new QuorateError('server-response', 'the connection is not as it was before, its password apart', {
      hint: 'Did somebody else change it? quorate db setup FILE --check tells what differs.',
    });
  }
  return finish(request, 'repaired', old === 'refused');
}

/** For every engine's statements and every connection's address: letters and digits. */
function freshPassword(): Secret {
  const bytes = randomBytes(30);
  try {
    return Secret.fromText(`Q${bytes.toString('hex')}z`);
  } finally {
    bytes.fill(0);
  }
}

/** A reply that was lost does not matter: the login afterwards tells. */
async function giveToServer({ caller, connection }: RotateRequest, password: Secret): Promise<void> {
  const path = `${connection.mount}/config/${connection.name}`;
  const body = { password, verify_connection: true };
  // Not to be cancelled: between the database and the server the password is nobody's.
  const options = { timeout: REQUEST_TIMEOUT, repeatable: true };
  const reply = await caller.request('POST', path, body, options).catch((error: unknown) => {
    if (isUnreachable(error)) return undefined;
    throw error;
  });
  if (reply !== undefined && reply.status >= 400 && reply.status < 500) {
    throw refusal(`POST ${path}`, reply, `${NEEDS} Run it again: it starts by looking.`);
  }
}

async function finish(request: RotateRequest, outcome: Rotated['outcome'], oldWasLive: boolean): Promise<Rotated> {
  const { connection } = request;
  await proveServer(request);
  const old = await tryOld(request);
  if (old === 'accepted') {
    throw new QuorateError('server-error', 'the old password still opens the database', {
      hint: 'Does the account exist for several hosts? Each has a password of its own.',
    });
  }
  if (old === 'unknown') {
    throw new QuorateError('outcome-unknown', 'the database does not say whether the old password is refused', {
      hint: 'The rotation is done. Run it again once the database can be reached from here.',
    });
  }
  const oldPassword = old === undefined ? 'not-given' : oldWasLive ? 'refused' : 'refused-before';
  return {
    connection: `${connection.mount}/${connection.name}`,
    account: connection.username,
    outcome,
    proof: { server: 'logs-in', oldPassword },
  };
}

/** The server makes a credential and revokes it, each of which takes a login with the account. */
async function proveServer({ caller, connection, role, signal }: RotateRequest): Promise<void> {
  const credential = await issue(caller, connection.mount, role, { signal });
  credential.password.wipe();
  await revoke([caller], credential.lease.id, { timeout: REQUEST_TIMEOUT });
}

async function tryOld({ old, connection }: RotateRequest): Promise<'accepted' | 'refused' | 'unknown' | undefined> {
  if (old === undefined) return undefined;
  return tryLogin(() => old.databases.open(old.target, connection.username, old.password));
}

/** @throws QuorateError `preflight-failed`. */
async function refuseOthers(request: RotateRequest, before: readonly AccountSession[]): Promise<void> {
  const { second, acceptSessions, say, connection } = request;
  const until = Date.now() + CLOSING;
  let others: readonly AccountSession[];
  for (;;) {
    // The server's own were closed by its fresh login: what was there before it, and still is, is somebody else's.
    const now = new Set((await second.sessions()).map(({ id }) => id));
    others = before.filter(({ id }) => now.has(id));
    if (others.length === 0) return;
    if (Date.now() > until) break;
    await pause(BETWEEN / 2);
  }
  const from = [...new Set(others.map((one) => one.from))].join(', ');
  const what = `${others.length.toString()} sessions of ${connection.username} are not the server's (from ${from})`;
  if (acceptSessions) {
    say(`${what}: they go on, and cannot log in again.`);
    return;
  }
  throw new QuorateError('preflight-failed', what, {
    hint: 'Give whoever uses the account one of their own; or let them fail at their next login: --accept-sessions.',
  });
}

/** @throws QuorateError `outcome-unknown` when the database, or the server, does not come back in time. */
async function waitForLogin({ caller, connection, patience, signal }: RotateRequest): Promise<ServerLogin> {
  const until = Date.now() + patience;
  for (;;) {
    try {
      return await logInAfresh(caller, connection, { timeout: REQUEST_TIMEOUT });
    } catch (error) {
      if (!isQuorateError(error)) throw error;
      const away = isUnreachable(error) || error.code === 'database-unreachable' || error.code === 'sealed';
      if (!away) throw error;
      if (Date.now() > until || signal.aborted) {
        throw new QuorateError('outcome-unknown', `which password is live is not known: ${error.message}`, {
          hint: 'Run it again when the database and the server are back: it finds out, and mends it.',
        });
      }
    }
    await pause(BETWEEN);
  }
}

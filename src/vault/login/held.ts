import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, type QuorateError } from '../../errors.ts';
import { isUnknownToken } from '../../unknown-token.ts';
import type { Peer, Session } from '../peer.ts';
import { failure } from '../session.ts';
import type { Login } from './outcome.ts';

/** A token that was made on the leader reaches its standbys a moment later. */
const REPLICATION = 3000;
const POLL = 200;
const END_TIMEOUT = 5000;
const LOOK = 'auth/token/lookup-self';

/**
 * A login that is made once, with the first call, and serves every peer of the cluster: a secret id that is good for
 * one use suffices, and a password is asked for once. `end` revokes what was made.
 */
export class HeldLogin {
  readonly #make: (peer: Peer) => Promise<Login>;
  readonly #made: Login[] = [];
  #making: Promise<Login> | undefined;

  constructor(make: (peer: Peer) => Promise<Login>) {
    this.#make = make;
  }

  /**
   * A session on that peer, which the caller closes. Where the server no longer knows the token (it expired, or a
   * snapshot was restored) a new login is made.
   * @throws as `make`, and what a look-up of the token throws.
   */
  async login(peer: Peer): Promise<Login> {
    const last = this.#made.at(-1);
    if (last !== undefined) {
      const session = last.session.at(peer);
      if (await knows(session)) return { ...last, session };
      session.close();
    }
    // Peers that are asked side by side share one.
    this.#making ??= this.#make(peer).finally(() => {
      this.#making = undefined;
    });
    const made = await this.#making;
    if (!this.#made.includes(made)) this.#made.push(made);
    return { ...made, session: made.session.at(peer) };
  }

  /**
   * Revokes every token that was made, and sees that the servers no longer know it.
   * @param peers are asked in turn, the one that made it first.
   * @returns what names those that may live on, until they expire.
   */
  async end(peers: readonly Peer[]): Promise<readonly string[]> {
    return endLogins(this.#made.splice(0).map((login) => ({ login, peers })));
  }
}

/** Revokes logins and closes them: see `HeldLogin.end`. */
export async function endLogins(
  logins: readonly { readonly login: Login; readonly peers: readonly Peer[] }[],
): Promise<readonly string[]> {
  const left: string[] = [];
  for (const { login, peers } of logins) {
    const { session, accessor } = login;
    try {
      if (!(await revoked(session, peers))) left.push(accessor ?? 'a token without accessor');
    } finally {
      session.close();
    }
  }
  return left;
}

async function knows(session: Session): Promise<boolean> {
  const deadline = Date.now() + REPLICATION;
  for (;;) {
    try {
      const look = await session.request('GET', LOOK);
      if (look.status === 200) return true;
      if (look.status !== 403) throw failure(session.peer.name, 'GET', LOOK, look);
      if (!isUnknownToken(look)) return true;
    } catch (error) {
      session.close();
      throw error;
    }
    if (Date.now() > deadline) return false;
    await sleep(POLL);
  }
}

async function revoked(session: Session, peers: readonly Peer[]): Promise<boolean> {
  for (const peer of [session.peer, ...peers.filter((one) => one !== session.peer)]) {
    const own = session.at(peer);
    try {
      const options = { timeout: END_TIMEOUT };
      await own.request('POST', 'auth/token/revoke-self', {}, options).catch(unlessFault);
      if (isUnknownToken(await own.request('GET', LOOK, undefined, options))) return true;
    } catch (error) {
      unlessFault(error);
    } finally {
      own.close();
    }
  }
  return false;
}

function unlessFault(error: unknown): QuorateError {
  if (!isQuorateError(error) || error.code === 'bug') throw error;
  return error;
}

import type { DatabaseSession, DatabaseTarget, Databases } from '../../database/database.ts';
import { setTimeout as pause } from 'node:timers/promises';
import { isQuorateError } from '../../errors.ts';
import type { Credential } from '../lease.ts';

/** What the database itself says after the revocation. */
export interface DatabaseProof {
  /** `refused`: the credential opens nothing. `accepted`: it still does. `unknown`: the database did not say. */
  readonly login: 'refused' | 'accepted' | 'unknown';
  /**
   * Of a session that was open when the revocation came. `none`: the credential opened none any more. MySQL's stay open:
   * it has no statement to end them.
   */
  readonly session: 'ended' | 'open' | 'none' | 'unknown';
}

/** A session of the credential's own, opened before it is revoked, to see whether the revocation ends it. */
export interface Witness {
  ask(): Promise<DatabaseProof>;
}

const TIMEOUT = 5_000;
const TRIES = 10;
const BETWEEN = 200;

/** Never throws: where the login fails already, that is for `ask` to tell. */
export async function openWitness(
  databases: Databases,
  target: DatabaseTarget,
  credential: Credential,
): Promise<Witness> {
  const { username } = credential;
  const password = credential.password.clone();
  const logIn = (): Promise<DatabaseSession> => databases.open(target, username, password, { timeout: TIMEOUT });
  let without: 'none' | 'unknown' = 'unknown';
  const session = await logIn().catch((error: unknown) => {
    if (isQuorateError(error, 'database-denied')) without = 'none';
    return undefined;
  });
  return {
    async ask() {
      try {
        const open = session === undefined ? without : (await isOpen(session)) ? 'open' : 'ended';
        return { session: open, login: await tryLogin(logIn) };
      } finally {
        password.wipe();
        await session?.close();
      }
    },
  };
}

/** Asked a few times: the server ends a session a moment after it was told to. */
async function isOpen(session: DatabaseSession): Promise<boolean> {
  for (let tries = 1; tries <= TRIES; tries += 1) {
    try {
      await session.query('SELECT 1');
    } catch {
      return false;
    }
    await pause(BETWEEN);
  }
  return true;
}

/** What the database says to a login. Never throws. */
export async function tryLogin(logIn: () => Promise<DatabaseSession>): Promise<DatabaseProof['login']> {
  try {
    await (await logIn()).close();
    return 'accepted';
  } catch (error) {
    if (isQuorateError(error, 'database-denied')) return 'refused';
    // It let us in, and only the database in it was not there.
    return isQuorateError(error, 'database-failed') ? 'accepted' : 'unknown';
  }
}

import { isQuorateError, QuorateError } from '../../../errors.ts';
import type { Session } from '../../../vault/peer.ts';
import type { Run } from '../../kind.ts';
import { activePeer } from '../../leadership.ts';
import { wayBackProved } from '../../way-back.ts';
import { readRootToken } from './initialise.ts';
import type { InitScript } from './script.ts';

/**
 * The root token for one sitting: decrypted by the administrator when it is first needed, held until it is revoked.
 * After a resume it may be revoked already, which only the server can tell.
 */
export class RootAccess {
  readonly #script: InitScript;
  #session: Session | undefined;
  #accessor = '';
  #gone = false;

  constructor(script: InitScript) {
    this.#script = script;
  }

  /** The accessor, by which the record names the token; known after `session`. */
  get accessor(): string {
    return this.#accessor;
  }

  /**
   * A session with the root token on the active peer.
   * @throws QuorateError `denied` when the token is gone: see `gone` for asking.
   */
  async session(run: Run): Promise<Session> {
    if (this.#session !== undefined) return this.#session;
    if (this.#gone) throw new QuorateError('denied', 'the root token has been revoked already');
    const peer = await activePeer(run);
    const message = await readRootToken(this.#script, run);
    const token = await run.people.decrypt('the root token', message, this.#script['root-token']?.pgp.fingerprint);
    try {
      const session = peer.session(token);
      const look = await session.read('auth/token/lookup-self', { signal: run.signal });
      const accessor = (look as { accessor?: unknown } | null)?.accessor;
      this.#accessor = typeof accessor === 'string' ? accessor : '';
      this.#session = session;
      return session;
    } catch (error) {
      if (isQuorateError(error, 'denied')) this.#gone = true;
      throw error;
    } finally {
      token.wipe();
    }
  }

  /** Whether the server no longer knows the token. */
  async gone(run: Run): Promise<boolean> {
    if (this.#gone) return true;
    if (run.events.some((event) => event.event === 'token.revoked')) return true;
    try {
      await this.session(run);
      return false;
    } catch (error) {
      if (isQuorateError(error, 'denied')) return true;
      throw error;
    }
  }

  /**
   * Whether nothing is left to do with the token: it is gone, after another login had shown the way back in.
   * @throws QuorateError `no-way-back` when it is gone and none has.
   */
  async finished(run: Run): Promise<boolean> {
    if (!(await this.gone(run))) return false;
    if (wayBackProved(run.events)) return true;
    throw new QuorateError('no-way-back', 'the root token is gone, and no login has shown a way back in', {
      hint:
        'Somebody revoked it. The cluster holds nothing yet: stop all peers, wipe their storage, start them and ' +
        'run the ceremony again from its start, in a new folder.',
    });
  }

  /** Forgets the token here, after it was revoked. */
  close(): void {
    this.#session?.close();
    this.#session = undefined;
    this.#gone = true;
  }
}

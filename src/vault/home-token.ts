import { setTimeout as sleep } from 'node:timers/promises';
import type { Login } from './login/outcome.ts';
import type { Reply, Session } from './peer.ts';

/** A token that was just made on the leader reaches the standbys a moment later. */
const REPLICATION = 3000;
const POLL = 200;

/**
 * A token in the parent, logged in for when it is first needed and again when the server no longer knows it. Refused
 * requests do nothing, so that they can be sent again.
 */
export class HomeToken {
  readonly #logIn: () => Promise<Login>;
  #login: Promise<Login> | undefined;
  #since = 0;

  constructor(logIn: () => Promise<Login>) {
    this.#logIn = logIn;
  }

  async use(work: (session: Session) => Promise<Reply>, signal?: AbortSignal): Promise<Reply> {
    let renewed = this.#login === undefined;
    let reply = await this.#once(work);
    while (reply.status === 403 && signal?.aborted !== true) {
      if (Date.now() - this.#since < REPLICATION) {
        await sleep(POLL);
      } else if (renewed) {
        break;
      } else {
        renewed = true;
        this.close();
      }
      reply = await this.#once(work);
    }
    return reply;
  }

  async #once(work: (session: Session) => Promise<Reply>): Promise<Reply> {
    const { session } = await this.#open();
    return work(session);
  }

  close(): void {
    this.#login?.then(
      ({ session }) => {
        session.close();
      },
      () => undefined,
    );
    this.#login = undefined;
  }

  #open(): Promise<Login> {
    if (this.#login !== undefined) return this.#login;
    const opening = this.#logIn();
    this.#login = opening;
    opening.then(
      () => {
        this.#since = Date.now();
      },
      () => {
        if (this.#login === opening) this.#login = undefined;
      },
    );
    return opening;
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { Peer } from '../vault/peer.ts';
import type { Run } from './kind.ts';

const ASKS = 5;
const POLL = 100;
const LOOK_TIMEOUT = 2000;
/** A service manager may take its time; a server is away for some tenths of a second at least. */
const AFTERWARDS = 8000;

/**
 * Has people restart a server, and sees for itself that it went away or was sealed: one that unseals itself is as it
 * was some seconds later.
 * @throws QuorateError `not-ready` when it never went.
 */
export async function restartByHand(run: Run, peer: Peer, say: string): Promise<void> {
  for (let asked = 0; asked < ASKS; asked += 1) {
    const watch = new Watch(peer);
    try {
      const fields = await run.people.act({ say, fields: [] });
      await run.record({ event: 'people', say, fields: { ...fields } });
      const deadline = Date.now() + AFTERWARDS;
      while (!watch.gone && Date.now() < deadline) await sleep(POLL, undefined, { signal: run.signal });
    } finally {
      await watch.end();
    }
    if (watch.gone) return;
    run.people.say(`  ${peer.name} was not seen to go away: it was not restarted.`);
  }
  throw new QuorateError('not-ready', `${peer.name} was not restarted`, {
    hint: 'Restart it when the ceremony asks for it: resume it.',
  });
}

/** Looks at a peer again and again, while people are at it. */
class Watch {
  gone = false;
  #ended = false;
  readonly #looking: Promise<void>;

  constructor(peer: Peer) {
    this.#looking = this.#look(peer);
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#looking;
  }

  async #look(peer: Peer): Promise<void> {
    while (!this.#ended && !this.gone) {
      try {
        this.gone = (await peer.sealStatus({ timeout: LOOK_TIMEOUT })).sealed;
      } catch (error) {
        this.gone = isQuorateError(error, 'server-unreachable') || isQuorateError(error, 'server-timeout');
      }
      await sleep(POLL);
    }
  }
}

import { isQuorateError, QuorateError } from '../errors.ts';

/** Someone who holds sessions of a library. */
export interface Member {
  /** Lets go of its sessions. */
  release(): Promise<void>;
  /** Initialises the library again, when everybody has let go. */
  reinitialise(): Promise<void>;
}

const POLL = 5;

/**
 * A PKCS#11 library has one state for the whole process: who initialises it again, as must be done for tokens that came
 * back, ends the sessions of all threads, and must not do so while one of them is in a call. So all calls pass here.
 */
export class LibraryGate {
  readonly #members = new Set<Member>();
  #inside = 0;
  #closed = false;
  #starting: Promise<unknown> = Promise.resolve();
  #generation = 0;

  /** Counts how often the library was initialised again. */
  get generation(): number {
    return this.#generation;
  }

  join(member: Member): void {
    this.#members.add(member);
  }

  leave(member: Member): void {
    this.#members.delete(member);
  }

  /**
   * Waits until calls may be made, and counts one in.
   * @returns what counts it out: to be called when the call has really ended, not when nobody waits for it any more.
   * @throws QuorateError `hsm-failed` after `timeout` ms.
   */
  async enter(timeout: number): Promise<() => void> {
    await within(timeout, () => !this.#closed, 'the library hangs while it is initialised again');
    this.#inside += 1;
    return () => {
      this.#inside -= 1;
    };
  }

  /**
   * Starts the library for one after the other: it need not bear to be initialised by two threads at once, and SoftHSM
   * does not. Once that hangs (`hsm-failed`) nobody else is kept waiting; each call then starts it where it has to.
   */
  startInTurn<T>(start: () => Promise<T>): Promise<T> {
    const started = this.#starting.then(start);
    this.#starting = started.catch((error: unknown) => {
      if (isQuorateError(error, 'hsm-failed')) throw error;
    });
    this.#starting.catch(() => undefined);
    return started;
  }

  /**
   * Initialises the library again, unless somebody has since it had `generation`.
   * @returns whether it is as new; false when a call that hangs, or the library itself, does not let it be.
   */
  async renew(generation: number, by: Member, timeout: number): Promise<boolean> {
    try {
      await within(timeout, () => !this.#closed, '');
      if (generation !== this.#generation) return true;
      this.#closed = true;
      try {
        await within(timeout, () => this.#inside === 0, '');
        for (const member of this.#members) await member.release();
        await by.reinitialise();
        this.#generation += 1;
        return true;
      } finally {
        this.#closed = false;
      }
    } catch {
      return false;
    }
  }
}

const gates = new Map<string, LibraryGate>();

/** The gate of the library at `path`, the same for everybody in this process. */
export function gateOf(path: string): LibraryGate {
  const gate = gates.get(path) ?? new LibraryGate();
  gates.set(path, gate);
  return gate;
}

async function within(timeout: number, condition: () => boolean, what: string): Promise<void> {
  const limit = Date.now() + timeout;
  while (!condition()) {
    if (Date.now() > limit) throw new QuorateError('hsm-failed', what);
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

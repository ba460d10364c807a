import type { CeremonySetting } from '../../src/ceremony/engine.ts';
import { QuorateError } from '../../src/errors.ts';
import type { Peer, Session } from '../../src/vault/peer.ts';

/** One sitting of quorate that ends at a given line of its record, as a SIGKILL would end it. */
export interface Sitting {
  readonly dead: boolean;
  /** Lets it write so many more lines. */
  dieIn(lines: number): void;
  /** For the recorder: asked for each line before it is written. */
  readonly now: () => Date;
  readonly peers: readonly Peer[];
  readonly login: CeremonySetting['login'];
}

/**
 * Dies before line `lines` (from 0) of this sitting is written: from then on nothing is written and nothing reaches a
 * server, so that no `finally` can tidy up.
 */
export function mortalSitting(peers: readonly Peer[], login: CeremonySetting['login'], lines: number): Sitting {
  let left = lines;
  let dead = false;
  const alive = (): void => {
    if (dead) throw new QuorateError('cancelled', 'this sitting is dead');
  };
  const guard = <T extends object>(target: T, wrap?: (value: unknown) => unknown): T =>
    new Proxy(target, {
      get(object, key) {
        const value: unknown = Reflect.get(object, key, object);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (key !== 'close') alive();
          const result: unknown = Reflect.apply(value, object, args);
          return wrap === undefined ? result : wrap(result);
        };
      },
    });
  const guarded = peers.map((peer) => guard(peer));
  return {
    get dead() {
      return dead;
    },
    dieIn(more) {
      left = more;
    },
    now() {
      if (left === 0) dead = true;
      alive();
      left -= 1;
      return new Date();
    },
    peers: guarded,
    async login(peer) {
      alive();
      const made = await login(peer);
      return { ...made, session: guard<Session>(made.session) };
    },
  };
}

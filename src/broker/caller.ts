import { isQuorateError, QuorateError } from '../errors.ts';
import type { CallOptions, Method, Peer, Reply, Session } from '../vault/peer.ts';

/** A login on a cluster: requests go to the peer that answered last, and on to the next one when that is away. */
export interface Caller {
  /**
   * Resolves for every HTTP status. What must not be sent twice is tried at another peer only when it was not sent, or
   * when the peer says that it could not take it.
   * @throws QuorateError as `Session.request`: the last peer's fault.
   */
  request(method: Method, path: string, body?: unknown, options?: CallOptions): Promise<Reply>;
  /** Wipes its copies of the token. */
  close(): void;
}

/** @param session the login at the first of `peers`; it is the caller's to close from now on. */
export function callerOf(session: Session, peers: readonly Peer[]): Caller {
  const sessions: (Session | undefined)[] = peers.map((peer) => (peer === session.peer ? session : undefined));
  let current = Math.max(0, peers.indexOf(session.peer));
  const at = (index: number): Session => (sessions[index] ??= session.at(peers[index] ?? session.peer));
  return {
    async request(method, path, body, options = {}) {
      const repeatable = options.repeatable ?? (method === 'GET' || method === 'LIST');
      let fault: unknown;
      for (let tries = 0; tries < peers.length; tries += 1) {
        const seen = { sent: false };
        const onSent = (): void => {
          seen.sent = true;
          options.onSent?.();
        };
        try {
          const reply = await at(current).request(method, path, body, { ...options, onSent });
          if (!isAway(reply) || tries === peers.length - 1) return reply;
        } catch (error) {
          // A standby that has lost its leader names the one that it last knew, and has done nothing.
          const turnedAway = isQuorateError(error, 'server-redirect');
          if (!turnedAway && (!isUnreachable(error) || (seen.sent && !repeatable))) throw error;
          fault = error;
        }
        current = (current + 1) % peers.length;
      }
      throw fault;
    },
    close() {
      for (const one of sessions) one?.close();
    },
  };
}

/** Whether there was no answer; a request may have arrived all the same. */
export function isUnreachable(error: unknown): boolean {
  return isQuorateError(error, 'server-unreachable') || isQuorateError(error, 'server-timeout');
}

/** Sealed, or a standby that knows nobody to pass a request on to (OpenBao 2.7.2): another peer may serve. */
function isAway({ status, errors }: Reply): boolean {
  return status === 503 || (status === 500 && errors.some((line) => /not active|no active|standby/i.test(line)));
}

/** What a refusal means, for requests whose statuses mean nothing more: `denied`, `sealed`, `server-error`. */
export function refusal(asked: string, { status, errors }: Reply, hint?: string): QuorateError {
  const said = errors.length === 0 ? '' : `: ${errors.join('; ')}`;
  if (status === 403) {
    return new QuorateError('denied', `the server denied ${asked}${said}`, {
      hint:
        hint ?? 'Is the token still valid, and do its policies allow this? quorate db setup makes a login that may.',
    });
  }
  if (status === 503)
    return new QuorateError('sealed', `the server cannot ${asked}${said}`, { hint: 'Unseal it first.' });
  const message = `the server answered ${asked} with status ${status.toString()}${said}`;
  return new QuorateError('server-error', message, hint === undefined ? {} : { hint });
}

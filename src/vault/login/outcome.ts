import { QuorateError } from '../../errors.ts';
import type { CallOptions, Peer, Session } from '../peer.ts';
import { readAuth } from '../responses.ts';
import { Secret } from '../../secret.ts';
import { failure } from '../session.ts';

/** A session, and what the server says about its token. */
export interface Login {
  readonly session: Session;
  /** Names the token without being it; undefined for batch tokens, which have none. */
  readonly accessor: string | undefined;
  readonly policies: readonly string[];
}

/**
 * Sends a login request, once (a secret id may be good for one use only), and opens a session with the token that
 * comes back.
 * @throws QuorateError `denied` for refused credentials, `server-unsupported` for a wanted second factor, `sealed`,
 * `server-error`.
 */
export async function loginAt(
  peer: Peer,
  path: string,
  body: Readonly<Record<string, unknown>>,
  options: CallOptions,
): Promise<Login> {
  const anonymous = peer.session();
  const reply = await anonymous.request('POST', path, body, options);
  if (reply.status === 400 && reply.errors.some((line) => /\binvalid\b.*\b(id|password|credential)/i.test(line))) {
    throw new QuorateError('denied', `${peer.name} refused the credentials for ${path}`, {
      hint: 'Are they right, and not used up or expired?',
    });
  }
  if (reply.status !== 200) throw failure(peer.name, 'POST', path, reply);
  const auth = readAuth(reply.body);
  if (auth === undefined) {
    throw new QuorateError('server-unsupported', `${peer.name} gave no token for ${path}`, {
      hint: 'It may want a second factor, which quorate does not speak: log in with bao, and use that token.',
    });
  }
  const token = Secret.fromText(auth.token);
  try {
    return { session: peer.session(token), accessor: auth.accessor || undefined, policies: auth.policies };
  } finally {
    token.wipe();
  }
}

import { QuorateError } from '../../errors.ts';
import type { CallOptions, Peer, Reply, Session } from '../peer.ts';
import { readAuth } from '../responses.ts';
import { Secret } from '../../secret.ts';
import { failure } from '../session.ts';

/** A session, and what the server says about its token. */
export interface Login {
  readonly session: Session;
  /** Names the token without being it; undefined for batch tokens, which have none. */
  readonly accessor: string | undefined;
  readonly policies: readonly string[];
  /** Whether the token was made by this login, and is quorate's to revoke; one that was given is somebody else's. */
  readonly own: boolean;
}

/** What a server's refusal of a login means, for those that a method knows; undefined for all others. */
export type Understand = (reply: Reply) => QuorateError | undefined | Promise<QuorateError | undefined>;

/**
 * Sends a login request, once (a secret id may be good for one use only), and opens a session with the token that
 * comes back.
 * @throws QuorateError what `understand` makes of a refusal; else `denied` for refused credentials, `server-unsupported`
 * for a wanted second factor, `sealed`, `not-ready` (a standby that knows no leader), `server-error`.
 */
export async function loginAt(
  peer: Peer,
  path: string,
  body: Readonly<Record<string, unknown>>,
  options: CallOptions,
  understand: Understand = () => undefined,
): Promise<Login> {
  const anonymous = peer.session();
  const reply = await anonymous.request('POST', path, body, options);
  if (reply.status !== 200) throw notReady(peer, reply) ?? (await understand(reply)) ?? refused(peer, path, reply);
  const auth = readAuth(reply.body);
  if (auth === undefined) {
    throw new QuorateError('server-unsupported', `${peer.name} gave no token for ${path}`, {
      hint: 'It may want a second factor, which quorate does not speak: log in with bao, and use that token.',
    });
  }
  const token = Secret.fromText(auth.token);
  try {
    const session = peer.session(token);
    return { session, accessor: auth.accessor || undefined, policies: auth.policies, own: true };
  } finally {
    token.wipe();
  }
}

/** A standby that has nobody to pass a request on to, for the seconds that an election takes (both servers). */
export function notReady({ name }: Peer, { status, errors }: Reply): QuorateError | undefined {
  const away = status >= 500 && errors.some((line) => /not active|no active|leader|standby/i.test(line));
  if (!away) return undefined;
  return new QuorateError('not-ready', `${name} knows no leader to log in at`, {
    hint: 'The cluster elects one within seconds, unless too many of its peers are away: quorate status.',
  });
}

function refused(peer: Peer, path: string, reply: Reply): QuorateError {
  const says = (text: RegExp): boolean => reply.errors.some((line) => text.test(line));
  if (reply.status === 400 && says(/\binvalid\b.*\b(id|password|credential)/i)) {
    return new QuorateError('denied', `${peer.name} refused the credentials for ${path}`, {
      hint: 'Are they right, and not used up or expired?',
    });
  }
  if (says(/CIDR/)) {
    return new QuorateError('denied', `${peer.name} takes no login at ${path} from this machine's address`, {
      hint: 'The role is bound to networks: run it there, or have this network added.',
    });
  }
  if (reply.status === 403) {
    return new QuorateError('denied', `${peer.name} denied POST ${path}: ${reply.errors.join('; ')}`, {
      hint: 'Is this auth method enabled at that mount, in this namespace? bao auth list shows it.',
    });
  }
  return failure(peer.name, 'POST', path, reply);
}

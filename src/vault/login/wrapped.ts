import { isQuorateError, QuorateError } from '../../errors.ts';
import { Fields } from '../fields.ts';
import { notReady } from './outcome.ts';
import type { CallOptions, Peer } from '../peer.ts';
import { payload } from '../responses.ts';
import { Secret } from '../../secret.ts';
import { failure } from '../session.ts';

const LOOKUP = 'sys/wrapping/lookup';
const UNWRAP = 'sys/wrapping/unwrap';

/**
 * Opens the wrapping of a secret id, which can be done once. Looks first where it was made, which does not open it:
 * whoever opened the right one could have put one of their own in its place.
 * @returns the secret id, which the caller wipes.
 * @throws QuorateError `login-wrap-opened` (it is no longer valid, or was not made by the AppRole method at `mount`);
 * `outcome-unknown` when it was sent to be opened and no answer came; `sealed`, `not-ready`, `server-error`.
 */
export async function unwrapSecretId(
  peer: Peer,
  wrapping: Secret,
  mount: string,
  options: CallOptions,
): Promise<Secret> {
  const anonymous = peer.session();
  const look = await anonymous.request('POST', LOOKUP, { token: wrapping }, { ...options, repeatable: true });
  if (look.status >= 500) throw notReady(peer, look) ?? failure(peer.name, 'POST', LOOKUP, look);
  if (look.status !== 200) throw opened('it is not valid any more');
  const path = new Fields(payload(look.body)).textIfAny('creation_path') ?? '';
  if (!isSecretIdPath(path, mount)) throw opened(`it was not made for a secret id of auth/${mount}`);
  const session = peer.session(wrapping);
  try {
    const reply = await unwrap(session, options);
    if (reply.status >= 500) throw failure(peer.name, 'POST', UNWRAP, reply);
    if (reply.status !== 200) throw opened('somebody opened it a moment ago');
    const secretId = new Fields(payload(reply.body)).textIfAny('secret_id');
    if (secretId === undefined || secretId === '') throw opened('there is something else than a secret id in it');
    return Secret.fromText(secretId);
  } finally {
    session.close();
  }
}

async function unwrap(session: ReturnType<Peer['session']>, options: CallOptions): ReturnType<typeof session.request> {
  const seen = { sent: false };
  const onSent = (): void => {
    seen.sent = true;
  };
  try {
    return await session.request('POST', UNWRAP, {}, { ...options, onSent });
  } catch (error) {
    if (!seen.sent || !isQuorateError(error) || error.code === 'bug') throw error;
    throw new QuorateError('outcome-unknown', 'the wrapped secret id was sent to be opened, and no answer came', {
      hint: 'It may be opened, and then nobody has it: destroy it on the server, and issue a new one.',
    });
  }
}

/** `auth/MOUNT/role/NAME/secret-id`, without the namespace (OpenBao 2.7.2). */
function isSecretIdPath(path: string, mount: string): boolean {
  const start = `auth/${mount}/role/`;
  return path.startsWith(start) && /^[^/]+\/secret-id$/.test(path.slice(start.length));
}

function opened(why: string): QuorateError {
  return new QuorateError('login-wrap-opened', `the wrapped secret id cannot be used: ${why}`, {
    hint: "Unless it has expired, or an earlier run opened it, somebody else has: destroy the role's secret ids, look for sys/wrapping/unwrap in the audit log, and issue a new one.",
  });
}

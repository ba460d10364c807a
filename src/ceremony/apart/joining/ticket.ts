import * as v from 'valibot';
import { QuorateError } from '../../../errors.ts';
import { readSecretFile, replaceFile } from '../../../files.ts';
import { Secret } from '../../../secret.ts';
import type { Peer } from '../../../vault/peer.ts';
import { payloadOf } from '../../rotation/replies.ts';
import { fromLine, toLine } from '../armour.ts';
import { roleName, type WrappedTicket } from '../tickets.ts';

/** A ticket's file: as it was handed over, and after its opening with the token itself. Mode 0600 in both. */

const KIND = 'quorate-ticket';

const wrapped = v.strictObject({ ceremony: v.string(), holder: v.string(), wrapped: v.string(), path: v.string() });
const opened = v.strictObject({ ceremony: v.string(), holder: v.string(), token: v.string() });

/** The file's one line. */
export function renderTicket(ticket: WrappedTicket): string {
  return `${toLine(KIND, JSON.stringify(ticket))}\n`;
}

/**
 * The token of a ticket. The first time it is unwrapped, after a look at where the wrapping was made, and the file then
 * holds the token itself.
 * @throws QuorateError `ticket-opened` when somebody else has opened it, or it is not one that quorate has issued for
 *   this custodian and ceremony; `file-invalid`, `file-mode`.
 */
export async function openTicket(
  peer: Peer,
  file: string,
  whose: { readonly ceremony: string; readonly custodian: string },
): Promise<Secret> {
  const text = await readSecretFile(file);
  let found: unknown;
  try {
    found = parseJson(fromLine(KIND, text.exposeText()));
  } finally {
    text.wipe();
  }
  if (!v.is(wrapped, found) && !v.is(opened, found)) {
    throw new QuorateError('file-invalid', `${file} is no ticket`, { hint: 'quorate custodian ticket writes them.' });
  }
  if (found.ceremony !== whose.ceremony || found.holder !== whose.custodian) {
    throw new QuorateError('file-invalid', `this ticket is ${found.holder}'s, for ${found.ceremony}`, {
      hint: 'Ask the administrator for yours, for this ceremony.',
    });
  }
  if ('token' in found) return Secret.fromText(found.token);
  const token = await unwrap(peer, found);
  const { ceremony, holder } = found;
  try {
    await replaceFile(file, `${toLine(KIND, JSON.stringify({ ceremony, holder, token: token.exposeText() }))}\n`);
    return token;
  } catch (error) {
    token.wipe();
    throw error;
  }
}

/** A look first: it tells who made the wrapping, and does not open it. */
async function unwrap(peer: Peer, ticket: WrappedTicket): Promise<Secret> {
  const anonymous = peer.session();
  const wrapping = Secret.fromText(ticket.wrapped);
  try {
    const look = await anonymous.request('POST', 'sys/wrapping/lookup', { token: wrapping });
    if (look.status !== 200) throw theft('it is not valid any more');
    const expected = `auth/token/create/${roleName(ticket.ceremony, ticket.holder)}`;
    if (payloadOf(look)['creation_path'] !== expected || ticket.path !== expected) {
      throw theft('it was not made for you in this ceremony');
    }
    const session = peer.session(wrapping);
    try {
      const reply = await session.request('POST', 'sys/wrapping/unwrap');
      const { auth } = (reply.body ?? {}) as { auth?: { client_token?: unknown } };
      if (reply.status !== 200) throw theft('somebody opened it a moment ago');
      if (typeof auth?.client_token !== 'string') throw theft('there is something else than a token in it');
      return Secret.fromText(auth.client_token);
    } finally {
      session.close();
    }
  } finally {
    wrapping.wipe();
  }
}

function theft(why: string): QuorateError {
  return new QuorateError('ticket-opened', `this ticket cannot be opened: ${why}`, {
    hint: 'Unless it has expired, somebody else has opened it: tell the administrator at once, who ends all tickets and issues new ones.',
  });
}

function parseJson(json: string | undefined): unknown {
  try {
    return json === undefined ? undefined : JSON.parse(json);
  } catch {
    return undefined;
  }
}

import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Invitation, parseInvitation } from '../../ceremony/apart/invitation.ts';
import { renderTicket } from '../../ceremony/apart/joining/ticket.ts';
import { endTickets, issueTicket, roleName, writePolicy } from '../../ceremony/apart/tickets.ts';
import { activePeer } from '../../ceremony/leadership.ts';
import { locateRecord } from '../../ceremony/record/folder.ts';
import { readRecord } from '../../ceremony/record/read.ts';
import type { Context } from '../../context.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { fillExclusive, readText } from '../../files.ts';
import { shownPath } from '../../layout.ts';
import type { Session } from '../../vault/peer.ts';
import { defineCommand } from '../command.ts';

const MINUTES = 120;
const WRAPPED_MINUTES = 60;

/** `quorate custodian ticket`: a token that can give a share to one operation, and nothing else. */
export const command = defineCommand({
  arguments: [{ name: 'RECORD', description: "the ceremony's folder, while it runs" }],
  options: {
    holder: { value: 'NAME', description: 'the custodian, as the roster has them' },
    cidr: { value: 'NETWORK', repeat: true, description: 'from where it may be used, such as 203.0.113.7/32' },
    output: { value: 'FILE', description: 'the new file for the custodian, who alone should get it' },
    minutes: { value: 'N', description: `how long it lives (default: ${MINUTES.toString()})` },
    apart: { value: 'DIR', description: 'the folder with the invitations: the ticket works for the newest at once' },
    bind: { description: 'issue none; bind those that there are to the newest invitation in --apart' },
    end: { description: 'issue none; end all of this ceremony' },
  },
  examples: [
    {
      command:
        'quorate custodian ticket records/ID --holder "Alice Example" --cidr 203.0.113.7/32 --apart handover --output alice.ticket',
      text: 'beside a running ceremony, whose login binds it to each nonce',
    },
    { command: 'quorate custodian ticket records/ID --end', text: 'when a ticket may have been stolen' },
  ],
  async run(context, values, [record = '']) {
    const { ceremony, cluster: name } = await openedIn(resolve(context.cwd, record));
    const invitation =
      values.apart === undefined ? undefined : await newest(resolve(context.cwd, values.apart), ceremony);
    const cluster = await context.cluster({ cluster: name });
    const peer = await activePeer({ cluster, signal: context.signal });
    if ((await peer.sealStatus({ signal: context.signal })).flavour !== 'openbao') {
      throw new QuorateError(
        'server-unsupported',
        'HashiCorp Vault takes shares without a token: nobody needs a ticket',
      );
    }
    const issue = values.bind !== true && values.end !== true ? wanted(values) : undefined;
    const home = cluster.config?.namespace ?? '';
    const { session } = await context.login(peer, cluster.auth);
    try {
      if (issue !== undefined) await issueTo(context, session, { ...issue, ceremony, home }, invitation);
      else if (values.end === true) await end(context, session, ceremony);
      else await bind(context, session, { ceremony, home }, invitation);
    } finally {
      session.close();
    }
    return undefined;
  },
});

interface Tickets {
  readonly ceremony: string;
  /** The namespace that they are of. */
  readonly home: string;
}

interface Wanted {
  readonly holder: string;
  readonly cidrs: readonly string[];
  readonly ttl: number;
  readonly output: string;
}

/** @throws QuorateError `usage`. */
function wanted(values: {
  readonly holder?: string;
  readonly cidr?: readonly string[];
  readonly output?: string;
  readonly minutes?: string;
}): Wanted {
  const { holder, cidr = [], output, minutes = MINUTES.toString() } = values;
  if (holder === undefined || output === undefined || cidr.length === 0) {
    throw new QuorateError('usage', 'a ticket needs --holder, --cidr and --output', {
      hint: 'A ticket that works from anywhere would be worth stealing: name the network of the custodian.',
    });
  }
  const bad = cidr.find((one) => !/^[0-9a-f.:]+\/\d{1,3}$/i.test(one));
  if (bad !== undefined) throw new QuorateError('usage', '--cidr takes a network, such as 203.0.113.7/32');
  if (!/^[1-9]\d{0,3}$/.test(minutes)) throw new QuorateError('usage', '--minutes takes a number of minutes');
  return { holder, cidrs: cidr, ttl: Number(minutes) * 60, output };
}

async function openedIn(path: string): Promise<{ readonly ceremony: string; readonly cluster: string }> {
  const { lines } = await readRecord((await locateRecord(path)).record);
  const opened = lines[0];
  if (opened?.event === 'ceremony.opened') return { ceremony: opened.id, cluster: opened.cluster };
  throw new QuorateError('record-invalid', 'this record does not begin with a ceremony');
}

/** The newest invitation of a ceremony in a folder; undefined where there is none yet. */
async function newest(folder: string, ceremony: string): Promise<Invitation | undefined> {
  const found: { readonly at: number; readonly invitation: Invitation }[] = [];
  for (const name of (await readdir(folder).catch(() => [])).filter((one) => one.endsWith('.invitation'))) {
    const path = join(folder, name);
    const invitation = parseInvitation(await readText(path));
    if (invitation.ceremony === ceremony) found.push({ at: (await stat(path)).mtimeMs, invitation });
  }
  return found.sort((a, b) => b.at - a.at)[0]?.invitation;
}

async function issueTo(
  context: Context,
  session: Session,
  { holder, cidrs, ttl, output, ceremony, home }: Wanted & Tickets,
  invitation: Invitation | undefined,
): Promise<void> {
  const path = resolve(context.cwd, output);
  // Before anything is issued: a ticket that has nowhere to go would live all the same.
  await fillExclusive(path, async (handle) => {
    await writePolicy(session, ceremony, invitation, home);
    const wrapTtl = Math.min(ttl, WRAPPED_MINUTES * 60);
    const ticket = await issueTicket(session, { ceremony, holder, cidrs, ttl, wrapTtl });
    await handle.writeFile(renderTicket(ticket));
  });
  const file = shownPath(context.cwd, path);
  const role = roleName(ceremony, holder);
  const bound = invitation?.step.id;
  context.output.result({ ceremony, holder, cidrs, seconds: ttl, role, bound: bound ?? null, file }, () => [
    `ticket  ${file}   for ${holder}, from ${cidrs.join(', ')}, ${(ttl / 60).toString()} minutes`,
    bound === undefined
      ? '        it opens nothing before the next invitation'
      : `        for step ${bound}; the ceremony binds it to each that follows`,
    '        It can be opened once, by the machine of its custodian: send it to nobody else.',
  ]);
}

async function bind(
  context: Context,
  session: Session,
  { ceremony, home }: Tickets,
  invitation: Invitation | undefined,
): Promise<void> {
  if (invitation === undefined) throw new QuorateError('usage', '--bind needs --apart DIR, with an invitation in it');
  await writePolicy(session, ceremony, invitation, home);
  context.output.result({ ceremony, bound: invitation.step.id }, () => [
    `The tickets of ${ceremony} are for step ${invitation.step.id} now.`,
  ]);
}

async function end(context: Context, session: Session, ceremony: string): Promise<void> {
  await endTickets(session, ceremony).catch((error: unknown) => {
    if (!isQuorateError(error, 'denied')) throw error;
    throw new QuorateError('denied', `${error.message}: the tickets live until they expire`, {
      hint: error.hint ?? 'Somebody who may deletes the policy.',
    });
  });
  context.output.result({ ceremony, ended: true }, () => [`The tickets of ${ceremony} are ended.`]);
}

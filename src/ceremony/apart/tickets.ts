import { QuorateError } from '../../errors.ts';
import type { Session } from '../../vault/peer.ts';
import { refusal } from '../rotation/replies.ts';
import { fileNameOf } from '../script.ts';
import type { Invitation } from './invitation.ts';

/**
 * Tickets: tokens for the length of a ceremony, one a custodian, that can do nothing but look at one operation and give
 * a share to it. All of a ceremony's tickets have one policy, which names the operation's nonce and is written anew for
 * each nonce and phase; that acts on tokens that live. OpenBao wants a token for rotations and root tokens, and for
 * all that concerns the seal of a namespace; HashiCorp Vault wants none. Where people log in, tickets are made.
 */

export interface TicketTerms {
  readonly ceremony: string;
  readonly holder: string;
  /** From where it may be used. */
  readonly cidrs: readonly string[];
  /** Seconds that the ticket lives, and that its wrapping can be opened. */
  readonly ttl: number;
  readonly wrapTtl: number;
}

/** What the custodian gets: it is opened once, by their own machine. */
export interface WrappedTicket {
  readonly ceremony: string;
  readonly holder: string;
  /** Good for one opening. */
  readonly wrapped: string;
  /** Where a genuine one was made; a wrapping token that somebody else made says another path. */
  readonly path: string;
}

/** A refused call costs a use as well (OpenBao 2.7.2), and a phase takes about six calls. */
const USES = 200;

export const policyName = (ceremony: string): string => `quorate-ticket-${ceremony}`;
export const roleName = (ceremony: string, holder: string): string =>
  `quorate-ticket-${ceremony}-${fileNameOf(holder)}`;

/**
 * The policy while this invitation counts; without one the tickets open nothing.
 * @param home the namespace that the tickets are of, from the root on; its policies name paths from there on.
 * @throws QuorateError `usage` where the invitation is to a namespace that is not in `home`.
 */
export function ticketPolicy(
  ceremony: string,
  invitation?: Pick<Invitation, 'task' | 'step' | 'namespace'>,
  home = '',
): string {
  const rules = invitation === undefined ? [] : rulesOf(invitation, home);
  const what = invitation === undefined ? 'nothing yet' : `step ${invitation.step.id}`;
  return [
    `# Tickets of custodians in ${ceremony}: ${what}. Written by quorate, and deleted at the end.`,
    ...rules,
  ].join('\n');
}

function rulesOf({ task, namespace }: Pick<Invitation, 'task' | 'namespace'>, home: string): readonly string[] {
  const inside = namespace === undefined ? '' : `${withinHome(namespace, home)}/`;
  const seal = namespace === undefined ? undefined : sealPath(inside);
  // A namespace does not even tell whether it is sealed without a token; a cluster does.
  const looking = seal === undefined ? [] : [reading(seal), reading(`${seal}/seal-status`)];
  const operation = `${inside}sys/`;
  switch (task.give) {
    case 'rotation':
      return [
        ...looking,
        reading(`${operation}${root(task)}/init`),
        giving(`${operation}${root(task)}/update`, task.nonce),
      ];
    case 'verification':
      return [...looking, giving(`${operation}${root(task)}/verify`, task.nonce, 'read')];
    case 'root-token':
      return [
        ...looking,
        reading(`${operation}generate-root-token/attempt`),
        giving(`${operation}generate-root-token/update`, task.nonce),
      ];
    case 'unseal':
      return seal === undefined ? [] : [...looking, unsealing(`${seal}/unseal`)];
    case 'nothing':
    case 'proof':
      return looking;
  }
}

function withinHome(namespace: string, home: string): string {
  if (home === '') return namespace;
  if (namespace.startsWith(`${home}/`)) return namespace.slice(home.length + 1);
  throw new QuorateError('usage', `tickets of ${home} open nothing in ${namespace}`, {
    hint: 'In quorate.yaml, namespace is where people log in: it must be one that the other lies in.',
  });
}

/** Where the parent keeps the seal of `team/a/`: `team/sys/namespaces/a`. */
function sealPath(inside: string): string {
  const names = inside.split('/').slice(0, -1);
  const own = names.pop() ?? '';
  return [...names, 'sys/namespaces', own].join('/');
}

function root({ purpose }: { readonly purpose: string }): string {
  return purpose === 'rotate-root-key' ? 'rotate/root' : 'rotate/recovery';
}

function reading(path: string): string {
  return `path "${path}" { capabilities = ["read"] }`;
}

function giving(path: string, nonce: string, also?: 'read'): string {
  const capabilities = also === undefined ? '"update"' : `"${also}", "update"`;
  return (
    `path "${path}" {\n  capabilities = [${capabilities}]\n` +
    (also === undefined ? '  required_parameters = ["key", "nonce"]\n' : '') +
    `  allowed_parameters = { "key" = [], "nonce" = ["${nonce}"] }\n}`
  );
}

/** Takes a share, and no call that drops those given so far. */
function unsealing(path: string): string {
  return (
    `path "${path}" {\n  capabilities = ["update"]\n  required_parameters = ["key"]\n` +
    '  allowed_parameters = { "key" = [] }\n}'
  );
}

/**
 * Binds the tickets of a ceremony to what an invitation asks for, where there are any.
 * @returns whether there are; undefined when this login may not look.
 * @throws QuorateError `denied` when there are tickets and this login may not bind them.
 */
export async function pinTickets(session: Session, invitation: Invitation, home: string): Promise<boolean | undefined> {
  const { ceremony } = invitation;
  const path = `sys/policies/acl/${policyName(ceremony)}`;
  const found = await session.request('GET', path);
  if (found.status === 403) return undefined;
  if (found.status === 404) return false;
  await writePolicy(session, ceremony, invitation, home);
  return true;
}

/** @throws QuorateError `denied`, `server-error`. */
export async function writePolicy(
  session: Session,
  ceremony: string,
  invitation: Invitation | undefined,
  home: string,
): Promise<void> {
  const path = `sys/policies/acl/${policyName(ceremony)}`;
  const policy = ticketPolicy(ceremony, invitation, home);
  await must(session, 'PUT', path, { policy });
  const written = (await session.read(path)) as { policy?: unknown } | null;
  if (written?.policy === policy) return;
  throw new QuorateError(
    'server-response',
    `${session.peer.name} did not keep the policy of the tickets as it was written`,
  );
}

/**
 * Issues one ticket, wrapped. A token's own creation ignores `bound_cidrs` (OpenBao 2.7.2), so that each custodian has
 * a token role of their own, which names their networks.
 * @throws QuorateError `denied`, `server-error`, `server-response`.
 */
export async function issueTicket(session: Session, terms: TicketTerms): Promise<WrappedTicket> {
  const { ceremony, holder, cidrs, ttl, wrapTtl } = terms;
  const role = roleName(ceremony, holder);
  const rolePath = `auth/token/roles/${role}`;
  await must(session, 'POST', rolePath, {
    allowed_policies: [policyName(ceremony)],
    token_no_default_policy: true,
    token_bound_cidrs: cidrs,
    token_explicit_max_ttl: ttl,
    token_num_uses: USES,
    token_type: 'service',
    // It must outlive the login that issues it.
    orphan: true,
    renewable: false,
  });
  const kept = (await session.read(rolePath)) as { token_bound_cidrs?: unknown; token_no_default_policy?: unknown };
  const bound = Array.isArray(kept.token_bound_cidrs) ? kept.token_bound_cidrs.length : 0;
  if (bound !== cidrs.length || kept.token_no_default_policy !== true) {
    throw new QuorateError('server-response', `${session.peer.name} did not keep the terms of the ticket`);
  }
  const path = `auth/token/create/${role}`;
  const body = {
    policies: [policyName(ceremony)],
    ttl: `${ttl.toString()}s`,
    display_name: fileNameOf(holder),
    meta: { ceremony, custodian: holder },
  };
  const reply = await must(session, 'POST', path, body, wrapTtl);
  const wrap = (reply.body as { wrap_info?: { token?: unknown; creation_path?: unknown } } | null)?.wrap_info;
  if (typeof wrap?.token !== 'string' || wrap.creation_path !== path) {
    throw new QuorateError('server-response', `${session.peer.name} did not wrap the ticket`);
  }
  return { ceremony, holder, wrapped: wrap.token, path };
}

/**
 * Ends all tickets of a ceremony: without the policy they open nothing, and no role makes another.
 * @returns whether there were any, as far as this login may look.
 */
export async function endTickets(session: Session, ceremony: string): Promise<boolean> {
  const path = `sys/policies/acl/${policyName(ceremony)}`;
  const found = await session.request('GET', path);
  if (found.status !== 200) return false;
  await must(session, 'DELETE', path);
  for (const role of await session.list('auth/token/roles')) {
    if (role.startsWith(`${policyName(ceremony)}-`)) await must(session, 'DELETE', `auth/token/roles/${role}`);
  }
  return true;
}

async function must(
  session: Session,
  method: 'PUT' | 'POST' | 'DELETE',
  path: string,
  body?: unknown,
  wrapTtl?: number,
): ReturnType<Session['request']> {
  const reply = await session.request(method, path, body, wrapTtl === undefined ? {} : { wrapTtl });
  if (reply.status < 300) return reply;
  if (reply.status !== 403) throw refusal(session.peer.name, `${method} ${path}`, reply);
  throw new QuorateError('denied', `${session.peer.name} denied ${method} ${path}`, {
    hint: 'Tickets need the rules that the policy ceremony-tickets in ceremonies/init.yaml has.',
  });
}

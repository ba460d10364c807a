import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Session } from '../../vault/peer.ts';
import type { Run } from '../kind.ts';
import { payloadOf } from '../rotation/replies.ts';

/** A root token by what names it without being it. */
export interface RootToken {
  readonly accessor: string;
  /** Made by a quorum (`auth/token/root`), and not from another token. */
  readonly generated: boolean;
}

const AT_ONCE = 8;
const BEFORE = 'root-tokens-before';
const LOOK_UP = 'auth/token/lookup-accessor';

/**
 * Every root token that lives, by LIST auth/token/accessors and a look at each.
 * @throws QuorateError `denied` when this login may not look.
 */
export async function rootTokens(session: Session): Promise<readonly RootToken[]> {
  const accessors = await listAccessors(session);
  const found: RootToken[] = [];
  for (let start = 0; start < accessors.length; start += AT_ONCE) {
    const looked = await Promise.all(accessors.slice(start, start + AT_ONCE).map((one) => lookUp(session, one)));
    found.push(...looked.filter((one) => one !== undefined));
  }
  return found;
}

/** By GET with `list=true`, which is the same to both servers: not everything on the way knows the method LIST. */
async function listAccessors(session: Session): Promise<readonly string[]> {
  const path = 'auth/token/accessors';
  const reply = await session.request('GET', path, undefined, { query: { list: 'true' } });
  const { keys } = payloadOf(reply);
  if (reply.status === 200 && Array.isArray(keys)) return keys.map(String);
  // A namespace in which there is none (OpenBao 2.7.2).
  if (reply.status === 404 && reply.errors.length === 0) return [];
  if (reply.status === 403) {
    throw new QuorateError('denied', 'this login may not list token accessors', {
      hint: `Its policy needs list and sudo on ${path}.`,
    });
  }
  throw new QuorateError('server-error', `the server answered the list of ${path} with ${reply.status.toString()}`);
}

async function lookUp(session: Session, accessor: string): Promise<RootToken | undefined> {
  const reply = await session.request('POST', LOOK_UP, { accessor });
  if (reply.status === 403) {
    // An accessor without its token, left by a server that was stopped or lost its followers between writing the two:
    // `bad token`, or the same `permission denied` as for a login that may not look (OpenBao 2.7.2).
    if (reply.errors.some((line) => line.includes('bad token')) || (await mayLookUp(session))) return undefined;
    throw new QuorateError('denied', 'this login may not look tokens up by accessor', {
      hint: `Its policy needs create and update on ${LOOK_UP}.`,
    });
  }
  // 400 `invalid accessor`: gone since it was listed (both servers).
  if (reply.status !== 200) return undefined;
  const { policies, path } = payloadOf(reply);
  if (!Array.isArray(policies) || !policies.includes('root')) return undefined;
  // In a namespace `namespaces/UUID/auth/token/root` (OpenBao 2.7.2).
  const generated = typeof path === 'string' && /^(namespaces\/[^/]+\/)?auth\/token\/root$/.test(path);
  return { accessor, generated };
}

/** Whether the server says that this login may look tokens up, whatever it answers for one of them. */
async function mayLookUp(session: Session): Promise<boolean> {
  const reply = await session.request('POST', 'sys/capabilities-self', { paths: [LOOK_UP] });
  const list = reply.status === 200 ? payloadOf(reply)[LOOK_UP] : undefined;
  return Array.isArray(list) && (list.includes('root') || list.includes('update'));
}

/** Writes the root tokens of now into the record, so that those that come later are known for what they are. */
export async function recordBefore(run: Run, tokens: readonly RootToken[]): Promise<void> {
  await run.record({
    event: 'check',
    code: BEFORE,
    ok: true,
    finding: `${tokens.length.toString()} root tokens before`,
    facts: {
      count: tokens.length,
      ...Object.fromEntries(tokens.map(({ accessor }, index) => [`accessor ${(index + 1).toString()}`, accessor])),
    },
  });
}

/** The accessors of before, from the record; undefined when they were not counted. */
export function accessorsBefore(run: Pick<Run, 'events'>): ReadonlySet<string> | undefined {
  const event = run.events.find((one) => one.event === 'check' && one.code === BEFORE);
  if (event?.event !== 'check') return undefined;
  return new Set(
    Object.entries(event.facts ?? {}).flatMap(([key, value]) =>
      key.startsWith('accessor') && typeof value === 'string' ? [value] : [],
    ),
  );
}

/**
 * Revokes a token by its accessor, and proves by the list that it is gone; a lost reply is settled by that.
 * @throws QuorateError `server-error` while it is still there, `denied`.
 */
export async function revokeByAccessor(run: Run, session: Session, accessor: string): Promise<void> {
  let said = 'no reply';
  try {
    const reply = await session.request('POST', 'auth/token/revoke-accessor', { accessor });
    said = reply.status.toString();
  } catch (error) {
    if (!isQuorateError(error, 'server-unreachable') && !isQuorateError(error, 'server-timeout')) throw error;
  }
  const left = await listAccessors(session);
  if (left.includes(accessor)) {
    throw new QuorateError('server-error', `the root token with accessor ${accessor} could not be revoked (${said})`, {
      hint: 'Resume the ceremony, or revoke it by hand: bao token revoke -accessor, with a login that may.',
    });
  }
  await run.record({
    event: 'token.revoked',
    accessor,
    proof: 'LIST auth/token/accessors no longer names it',
  });
}

import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Session } from '../../vault/peer.ts';
import { applyWrites, flatten } from '../first-writes.ts';
import type { Run } from '../kind.ts';
import { holds } from './diff.ts';
import { type Action, actionTitle, type Plan } from './schema.ts';

/**
 * Does what was reviewed, in its order, each read back where the server lets it be read. Actions that an earlier
 * sitting has finished are left out.
 * @throws QuorateError `server-error`, `denied`; `server-response` when what is there is not what the plan says.
 */
export async function applyPlan(run: Run, session: Session, plan: Plan): Promise<void> {
  for (const [index, one] of plan.entries()) {
    const title = actionTitle(one, index);
    const done = `plan: ${title} is done`;
    if (run.events.some((event) => event.event === 'note' && event.text === done)) continue;
    await act(run, session, one, title);
    await run.record({ event: 'note', text: done });
  }
}

async function act(run: Run, session: Session, one: Action, title: string): Promise<void> {
  switch (one.action) {
    case 'write':
      await applyWrites(run, session, [{ path: one.path, data: one.data }]);
      return;
    case 'delete':
      await remove(run, session, one.path);
      return;
    case 'read':
      await look(run, session, one, title);
  }
}

async function look(run: Run, session: Session, one: Action & { action: 'read' }, title: string): Promise<void> {
  const found = await session.read(one.path, { signal: run.signal });
  const fields =
    typeof found === 'object' && found !== null ? flatten(found as Readonly<Record<string, unknown>>) : undefined;
  const names = fields === undefined ? 'nothing' : Object.keys(fields).sort().join(', ').slice(0, 200);
  const ok = one.expect === undefined || (fields !== undefined && holds(one.expect, fields));
  // The names only: values may be secrets.
  await run.record({ event: 'check', code: 'plan-read', ok, finding: `${title}: found ${names}` });
  if (ok) return;
  throw new QuorateError('server-response', `${title}: what is there is not what the plan expects`, {
    hint: 'Nothing after it was done. Review the plan against the server.',
  });
}

async function remove(run: Run, session: Session, path: string): Promise<void> {
  let lost: QuorateError | undefined;
  const reply = await session.request('DELETE', path, undefined, { signal: run.signal }).catch((error: unknown) => {
    if (!isQuorateError(error, 'server-unreachable') && !isQuorateError(error, 'server-timeout')) throw error;
    lost = error;
    return undefined;
  });
  if (reply !== undefined && reply.status >= 300 && reply.status !== 404) {
    throw new QuorateError('server-error', `the server answered DELETE ${path} with ${reply.status.toString()}`);
  }
  const left = await session.read(path, { signal: run.signal }).catch((error: unknown) => {
    // Some paths that are gone, and some that never can be read, answer so (a mount that was disabled: 400).
    if (isQuorateError(error, 'server-error') && lost === undefined) return null;
    throw error;
  });
  if (left !== null) throw lost ?? new QuorateError('server-response', `${path} is still there after it was deleted`);
  await run.record({
    event: 'write',
    peer: session.peer.name,
    request: `DELETE ${path}`,
    fields: [],
    status: reply?.status ?? 0,
  });
}

import { setTimeout as pause } from 'node:timers/promises';
import { QuorateError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import type { Session } from '../../vault/peer.ts';
import { type Change, findChange } from './changes.ts';

const TRIES = 20;
const BETWEEN = 250;

export interface ApplyOptions {
  /** Of the connection's admin; without it an existing connection keeps the one it has. */
  readonly password: Secret | undefined;
  readonly signal: AbortSignal;
  readonly onDone: (change: Change) => void;
}

/**
 * Makes the changes in their order, and reads each back. Killed in the middle, the next run does the rest.
 * @throws QuorateError `denied`, `server-error`; `server-response` when what is read back is not what was written.
 */
export async function applyChanges(session: Session, changes: readonly Change[], options: ApplyOptions): Promise<void> {
  const { password, signal } = options;
  for (const change of changes) {
    const { resource, state } = change;
    const isConnection = resource.kind === 'connection';
    if (state === 'same' && !(isConnection && password !== undefined)) continue;
    const data = isConnection
      ? { ...resource.data, verify_connection: true, ...(password === undefined ? {} : { password }) }
      : resource.data;
    await writeOnce(session, resource.path, data, signal);
    const after = await findChange(session, resource, signal);
    if (after.state !== 'same') {
      throw new QuorateError('server-response', `${resource.path} does not read back as it was written`, {
        hint: 'Does somebody else set it up too? Run the setup again, and see what differs.',
      });
    }
    options.onDone(change);
  }
}

/** A KV mount answers with 400 for a moment after it was made (OpenBao 2.7.2). */
async function writeOnce(session: Session, path: string, data: unknown, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const reply = await session.request('POST', path, data, { signal });
    if (reply.status < 300) return;
    const upgrading = reply.errors.some((line) => line.toLowerCase().includes('upgrading'));
    if (upgrading && attempt < TRIES) {
      await pause(BETWEEN, undefined, { signal });
      continue;
    }
    throw new QuorateError(
      reply.status === 403 ? 'denied' : 'server-error',
      `${session.peer.name} answered POST ${path} with status ${reply.status.toString()}: ${reply.errors.join('; ')}`,
      /config\//.test(path)
        ? { hint: 'Can the server reach the database at the address in the file, with that TLS mode and password?' }
        : {},
    );
  }
}

import { setTimeout as pause } from 'node:timers/promises';
import { QuorateError } from '../errors.ts';
import type { Session } from '../vault/peer.ts';
import { type Change, findChange } from './changes.ts';
import type { Resource } from './resource.ts';

const TRIES = 20;
const BETWEEN = 250;

export interface ApplyOptions {
  /** What is written besides what is compared, such as a password, and whether that alone is a reason to write. */
  readonly also?: (
    resource: Resource,
  ) => { readonly data: Readonly<Record<string, unknown>>; readonly again: boolean } | undefined;
  readonly signal: AbortSignal;
  readonly onDone: (change: Change) => void;
}

/**
 * Makes the changes in their order, and reads each back. Killed in the middle, the next run does the rest.
 * @throws QuorateError `denied`, `server-error`; `server-response` when what is read back is not what was written.
 */
export async function applyChanges(session: Session, changes: readonly Change[], options: ApplyOptions): Promise<void> {
  const { also, signal } = options;
  for (const change of changes) {
    const { resource, state } = change;
    // Two things that are set up together may share a mount: what was made meanwhile is not made again.
    if (resource.kind === 'mount' && (await findChange(session, resource, signal)).state === 'same') continue;
    const more = also?.(resource);
    if (state === 'same' && more?.again !== true) continue;
    await writeOnce(session, resource.path, { ...resource.data, ...more?.data }, signal);
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

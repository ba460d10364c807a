import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QuorateError } from '../errors.ts';

const WATCH_INTERVAL = 500;
/** A server launches its plugins at once; a later launch replaces one that died. In clock ticks of 1/100 s. */
const START_LIMIT = 500;
const SOCKET_PATH_BYTES = 107;

/** A fresh folder for the socket, only for this user; `remove` may be called twice. */
export function privateFolder(parent: string | undefined): {
  readonly socket: string;
  readonly path: string;
  remove(): void;
} {
  let path: string;
  try {
    path = mkdtempSync(join(parent ?? tmpdir(), 'quorate-kms-'));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new QuorateError(
      'file-invalid',
      `cannot make a folder in ${parent ?? tmpdir()} (${code}): set TMPDIR, or PLUGIN_UNIX_SOCKET_DIR, in env of the plugin stanza`,
    );
  }
  const remove = (): void => {
    rmSync(path, { recursive: true, force: true });
  };
  const socket = join(path, 'kms.sock');
  if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES) {
    remove();
    throw new QuorateError(
      'file-invalid',
      `${socket} is too long for a socket: set TMPDIR in env of the plugin stanza to a shorter path`,
    );
  }
  return { path, socket, remove };
}

/** Calls `gone` once the process that launched this one has ended, however that happened. Returns the timer. */
export function watchParent(gone: () => void, parent = process.ppid): NodeJS.Timeout {
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    gone();
  }, WATCH_INTERVAL);
  timer.unref();
  return timer;
}

/** Whether the launching process had been running for a while when this one was started. False where nobody can tell. */
export function replacesAnother(): boolean {
  const [own, server] = [startTicks('self'), startTicks(process.ppid.toString())];
  return own !== undefined && server !== undefined && own - server > START_LIMIT;
}

/** When a process started, in ticks since the machine did (proc(5), field 22). */
function startTicks(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may hold anything; the state after it is field 3.
    const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
    return Number.isFinite(ticks) ? ticks : undefined;
  } catch {
    return undefined;
  }
}

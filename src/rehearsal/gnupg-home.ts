import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { RunProgram } from '../programs/run.ts';

const PREFIX = 'quorate-gpg-';

// An address of a Unix socket holds 107 bytes (unix(7)), and this is the longest name gpg-agent puts in a home.
const SOCKET_LIMIT = 107;
const LONGEST_SOCKET = '/S.gpg-agent.browser';

/** Makes `folder`/gnupg, or a folder with a short path in the system's temporary one when that path is too long. */
export async function makeHome(folder: string): Promise<string> {
  const home = join(folder, 'gnupg');
  if (Buffer.byteLength(home + LONGEST_SOCKET) > SOCKET_LIMIT) return mkdtemp(join(tmpdir(), PREFIX));
  await mkdir(home, { mode: 0o700 });
  return home;
}

/** Whether `home` is in `folder`, or has the name of those that `makeHome` puts elsewhere. */
export function isMadeUpHome(home: string, folder: string): boolean {
  return home.startsWith(`${folder}/`) || basename(home).startsWith(PREFIX);
}

/** Ends the agents that run in a home, and deletes it. */
export async function removeHome(home: string, run: RunProgram): Promise<void> {
  await endAgents(home, run);
  await rm(home, { recursive: true, force: true });
}

/** Ends the agents that run in a home. */
export async function endAgents(home: string, run: RunProgram): Promise<void> {
  const ended = run({
    program: 'gpgconf',
    args: ['--homedir', home, '--kill', 'all'],
    statuses: 'any',
    timeout: 10_000,
  });
  // Without gpgconf no agent was started; and an agent ends by itself when its home is gone.
  await ended.catch(() => undefined);
}

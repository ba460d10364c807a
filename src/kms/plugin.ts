import { rmSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { QuorateError } from '../errors.ts';
import { makeCertificate } from './certificate.ts';
import { handshakeLine, launchOf } from './handshake.ts';
import { privateFolder, replacesAnother, watchParent } from './lifecycle.ts';
import { logToServer } from './log.ts';
import type { PackedProgram } from './packed.ts';
import { tidyAtRest } from './rest.ts';
import { createServer } from './server.ts';
import { titleOf } from './title.ts';
import { threadsAlive } from './token-thread.ts';
import { createMethods } from './wrapper.ts';

/** The server waits 2 s after Shutdown before it kills; the answer to it has left after the first look. */
const [FAREWELL, LOOKS] = [50, 20];

/**
 * Runs the plugin until the server shuts it down or is gone. Resolves when the server knows where to connect.
 * @param program the file that this process runs; a part of it is the program of each token's thread.
 * @throws QuorateError `usage` when no server launched this, `file-invalid` for the folder of the socket.
 */
export async function runPlugin(
  env: Readonly<Record<string, string | undefined>>,
  program: PackedProgram,
): Promise<void> {
  const launch = launchOf(env);
  if ('refusal' in launch) throw new QuorateError('usage', launch.refusal);
  // Ctrl-C reaches the whole group, and systemd's SIGTERM the whole unit, before the server has finished with the seal.
  // The inspector, which shows memory to others, opens on SIGUSR1 unless somebody listens.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1'] as const) process.on(signal, () => undefined);
  const folder = privateFolder(launch.socketParent);
  const end = (): void => {
    folder.remove();
    // A thread that hangs in a library would hold up any gentler end.
    process.kill(process.pid, 'SIGKILL');
  };
  const own = makeCertificate();
  const methods = createMethods({
    env,
    log: logToServer,
    tell: (state) => {
      process.title = titleOf(program.file, state);
    },
    threadCode: () => program.threadCode(),
    unpackAddon: () => program.unpackAddon(folder.path),
    replaces: replacesAnother(),
    shutdown: () => void leave(),
  });
  const server = createServer(own, launch.clientCertificate, methods);
  server.on('stream', tidyAtRest());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(folder.socket, resolve);
  });
  const watch = watchParent(end);
  // An end by SIGKILL is an error in the server's log, so it is kept for what does not end otherwise.
  async function leave(): Promise<void> {
    for (let look = 0; look < LOOKS && (look === 0 || threadsAlive() > 0); look += 1) await sleep(FAREWELL);
    if (threadsAlive() > 0) {
      end();
      return;
    }
    clearInterval(watch);
    server.close();
    setTimeout(end, FAREWELL * 2).unref();
  }
  process.on('uncaughtException', (error) => {
    logToServer(
      'error',
      `something unexpected (${error.name}); this is a bug, and the server starts quorate-kms again`,
    );
    end();
  });
  process.on('exit', () => {
    rmSync(folder.path, { recursive: true, force: true });
  });
  writeSync(1, handshakeLine(folder.socket, own.der, launch.multiplexField));
}

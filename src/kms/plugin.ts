import { rmSync, writeSync } from 'node:fs';
import { QuorateError } from '../errors.ts';
import { makeCertificate } from './certificate.ts';
import { handshakeLine, launchOf } from './handshake.ts';
import { privateFolder, replacesAnother, watchParent } from './lifecycle.ts';
import { logToServer } from './log.ts';
import { unpackAddon } from './packed-addon.ts';
import { createServer } from './server.ts';
import { createMethods } from './wrapper.ts';

/** The server waits 2 s after Shutdown before it kills; the answer to it has left by then. */
const FAREWELL = 50;

/**
 * Runs the plugin until the server shuts it down or is gone. Resolves when the server knows where to connect.
 * @param program the file that this process runs, which is started again as a thread for each token.
 * @throws QuorateError `usage` when no server launched this, `file-invalid` for the folder of the socket.
 */
export async function runPlugin(env: Readonly<Record<string, string | undefined>>, program: string): Promise<void> {
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
    program,
    unpackAddon: () => unpackAddon(program, folder.path),
    replaces: replacesAnother(),
    shutdown: () => {
      setTimeout(end, FAREWELL);
    },
  });
  const server = createServer(own, launch.clientCertificate, methods);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(folder.socket, resolve);
  });
  watchParent(end);
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

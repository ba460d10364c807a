import { main } from './cli.ts';
import { guardProcess } from './process-guard.ts';

const { signal, refusal, takeSignals } = guardProcess(process);

/** Opens a stream when it is first used, which takes time, and keeps it. */
function openedOnce(open: () => NodeJS.WriteStream): () => NodeJS.WriteStream {
  let stream: NodeJS.WriteStream | undefined;
  // Who reads may leave early (`quorate help | head`): what is left to say is then said to nobody.
  return () =>
    (stream ??= open().on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    }));
}

const stdout = openedOnce(() => process.stdout);
const stderr = openedOnce(() => process.stderr);
if (refusal !== undefined) {
  stderr().write(`error  environment-hostile: ${refusal}\nhint   Start quorate by its launcher, bin/quorate.\n`);
  process.exitCode = 1;
} else {
  void main(process.argv.slice(2), {
    env: process.env,
    cwd: process.cwd(),
    // Opened only by a command that reads it.
    get stdin() {
      return process.stdin;
    },
    get stdout() {
      return stdout();
    },
    get stderr() {
      return stderr();
    },
    signal,
    takeSignals,
  }).then((exit) => {
    process.exitCode = exit;
  });
}

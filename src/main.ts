import { main, reportUnsaid } from './cli.ts';
import { guardProcess } from './process-guard.ts';

const { signal, refusal, takeSignals } = guardProcess(process);

/** Whether something that was to be said could not be written. */
let unsaid = false;

/** Opens a stream when it is first used, which takes time, and keeps it. */
function openedOnce(open: () => NodeJS.WriteStream, failed: (error: Error) => void): () => NodeJS.WriteStream {
  let stream: NodeJS.WriteStream | undefined;
  // Who reads may leave early (`quorate help | head`): what is left to say is then said to nobody.
  return () =>
    (stream ??= open().on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE' || unsaid) return;
      unsaid = true;
      process.exitCode ||= 1;
      failed(error);
    }));
}

const stderr = openedOnce(
  () => process.stderr,
  () => undefined,
);
const stdout = openedOnce(
  () => process.stdout,
  (error) => {
    void reportUnsaid(error, stderr());
  },
);
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
    process.exitCode = exit === 0 && unsaid ? 1 : exit;
  });
}

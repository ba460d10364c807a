import { main } from './cli.ts';
import { guardProcess } from './process-guard.ts';

const { signal, refusal, takeSignals } = guardProcess(process);
// Who reads may leave early (`quorate help | head`): what is left to say is then said to nobody.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}
if (refusal !== undefined) {
  process.stderr.write(`error  environment-hostile: ${refusal}\nhint   Start quorate by its launcher, bin/quorate.\n`);
  process.exitCode = 1;
} else {
  void main(process.argv.slice(2), {
    env: process.env,
    cwd: process.cwd(),
    // Opened only by a command that reads it.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    signal,
    takeSignals,
  }).then((exit) => {
    process.exitCode = exit;
  });
}

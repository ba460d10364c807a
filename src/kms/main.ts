import { writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { isQuorateError } from '../errors.ts';
import { logToServer } from './log.ts';

/*
 * quorate-kms, the KMS plugin that OpenBao 2.7 launches for a PKCS#11 seal. The same file runs as a thread for each
 * token. Whatever goes wrong before the server listens to it has to be one line of JSON: a stack trace is invisible there.
 */

if (isMainThread) {
  void import('./plugin.ts')
    .then(({ runPlugin }) => runPlugin(process.env, process.argv[1] ?? ''))
    .catch((error: unknown) => {
      const words = isQuorateError(error) ? error.message : `something unexpected (${kind(error)}); this is a bug`;
      if (process.stderr.isTTY) writeSync(2, `error  ${words}\n`);
      else logToServer('error', `quorate-kms does not start: ${words}`);
      process.exitCode = 1;
    });
} else {
  void import('./thread-work.ts').then(({ serveToken }) => {
    serveToken();
  });
}

function kind(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

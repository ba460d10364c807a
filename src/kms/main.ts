import { writeSync } from 'node:fs';
import { isQuorateError } from '../errors.ts';
import { logToServer } from './log.ts';
import { PackedProgram, type PartLengths } from './packed.ts';
import { runPlugin } from './plugin.ts';

/*
 * quorate-kms, the KMS plugin that OpenBao 2.7 launches for a PKCS#11 seal; thread.ts is what runs for each token.
 * Whatever goes wrong before the server listens to it has to be one line of JSON: a stack trace is invisible there.
 */

/** Set by bin/build-kms.ts. */
declare const KMS_PARTS: PartLengths;

runPlugin(process.env, new PackedProgram(process.argv[1] ?? '', KMS_PARTS)).catch((error: unknown) => {
  const words = isQuorateError(error) ? error.message : `something unexpected (${kind(error)}); this is a bug`;
  if (process.stderr.isTTY) writeSync(2, `error  ${words}\n`);
  else logToServer('error', `quorate-kms does not start: ${words}`);
  process.exitCode = 1;
});

function kind(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

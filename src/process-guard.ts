import { writeFileSync } from 'node:fs';

/** The parts of `process` that are looked at and changed. */
type Guarded = Pick<NodeJS.Process, 'execArgv' | 'on' | 'exit'> & { report?: { reportOnFatalError: boolean } };

/** Flags that let another process look in, or write the heap to disk. */
const HOSTILE =
  /^--(inspect|abort-on-uncaught-exception|heapsnapshot|heap-prof|cpu-prof|report-|trace-|require|import|loader)/;

/**
 * Closes what Node leaves open to others of the same user, as far as a program can do that from inside: no inspector
 * on SIGUSR1, no core dump of shared memory, no report files. The launcher has cleared hostile variables before.
 * @returns the signal that the first SIGINT or SIGTERM aborts (a second one ends the process at once), and, where Node
 *   was started so that secrets could be read, why nothing is done.
 */
export function guardProcess(guarded: Guarded): { readonly signal: AbortSignal; readonly refusal: string | undefined } {
  // Node opens its inspector on SIGUSR1 unless somebody listens (observed on Node 20 to 24).
  guarded.on('SIGUSR1', () => undefined);
  try {
    writeFileSync('/proc/self/coredump_filter', '0x0');
  } catch {
    // Not Linux, or /proc is not there: the launcher's `ulimit -c 0` stands alone.
  }
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) guarded.exit(130);
    controller.abort();
  };
  guarded.on('SIGINT', stop);
  guarded.on('SIGTERM', stop);
  const flag = guarded.execArgv.find((one) => HOSTILE.test(one));
  return {
    signal: controller.signal,
    refusal:
      flag === undefined ? undefined : `Node runs with ${flag.split('=')[0] ?? flag}, which can show secrets to others`,
  };
}

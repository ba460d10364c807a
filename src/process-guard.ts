import { writeFileSync } from 'node:fs';

/** The parts of `process` that are looked at and changed. */
type Guarded = Pick<NodeJS.Process, 'execArgv' | 'env' | 'on' | 'off' | 'exit'>;

/** Signals that a program which quorate runs may be sent, by way of quorate. */
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGALRM'] as const;

/** Takes all signals that can be taken for `handler`, until what it returns is called. */
export type TakeSignals = (handler: (signal: NodeJS.Signals) => void) => () => void;

/** Flags that let another process look in, or write the heap to disk. */
const HOSTILE =
  /^--(inspect|abort-on-uncaught-exception|heapsnapshot|heap-prof|cpu-prof|report-|trace-|require|import|loader)/;

/** All that NODE_OPTIONS may hold: sizes, more trusted certificates, and warnings. Whatever is not known is refused. */
const HARMLESS =
  /^--(max[-_](old|semi)[-_]space[-_]size=\d+|no-warnings|no-deprecation|disable-warning=\w+|use-(openssl|system|bundled)-ca|enable-source-maps|dns-result-order=\w+)$/;

/**
 * Closes what Node leaves open to others of the same user, as far as a program can do that from inside: no inspector
 * on SIGUSR1, no core dump of shared memory, no report files. The launcher clears hostile variables; without it they
 * are refused here.
 * @returns the signal that the first SIGINT or SIGTERM aborts (a second one ends the process at once), and, where Node
 *   was started so that secrets could be read, why nothing is done.
 */
export function guardProcess(guarded: Guarded): {
  readonly signal: AbortSignal;
  readonly refusal: string | undefined;
  /** For a command that runs a program: nothing is aborted, and this process does not end, while signals are taken. */
  readonly takeSignals: TakeSignals;
} {
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
  const takeSignals: TakeSignals = (handler) => {
    guarded.off('SIGINT', stop);
    guarded.off('SIGTERM', stop);
    for (const name of PASSED_ON) guarded.on(name, handler);
    return () => {
      for (const name of PASSED_ON) guarded.off(name, handler);
      guarded.on('SIGINT', stop);
      guarded.on('SIGTERM', stop);
    };
  };
  return { signal: controller.signal, refusal: refusalOf(guarded), takeSignals };
}

/** Flags and variables are named, never their values. */
function refusalOf({ execArgv, env }: Guarded): string | undefined {
  const flag = execArgv.find((one) => HOSTILE.test(one));
  if (flag !== undefined) return `Node runs with ${flag.split('=')[0] ?? flag}, which can show secrets to others`;
  // NODE_DEBUG=http prints headers, and so tokens, from inside Node.
  const printing = ['NODE_DEBUG', 'NODE_DEBUG_NATIVE'].find((name) => (env[name] ?? '') !== '');
  if (printing !== undefined) return `${printing} is set, which can print secrets`;
  const options = (env['NODE_OPTIONS'] ?? '').split(/\s+/).filter((one) => one !== '');
  if (options.every((one) => HARMLESS.test(one))) return undefined;
  return 'NODE_OPTIONS holds more than is known to be harmless, and can show secrets to others';
}

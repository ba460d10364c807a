import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Side } from './case.ts';

export interface ProcessRun {
  /** Run one after the other; the time is that of all, the memory that of the largest. */
  readonly commands: readonly (readonly [string, ...string[]])[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Exit statuses that are as they should be; only 0 when not given. */
  readonly exits?: readonly number[];
  /** Brings back the state that the commands start from. Not measured. */
  before?(): Promise<void>;
}

/*
 * Node cannot ask the kernel for the peak memory of one child, which wait4 tells. Standard output is thrown away, and
 * standard error kept for when a status is wrong.
 */
const MEASURE = `
import json, os, sys, tempfile, time
commands, exits = json.load(sys.stdin)
null = os.open(os.devnull, os.O_RDWR)
seconds, peak = 0.0, 0
for command in commands:
    with tempfile.TemporaryFile() as errors:
        actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, errors.fileno(), 2)]
        start = time.monotonic()
        child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
        _, status, usage = os.wait4(child, 0)
        seconds += time.monotonic() - start
        peak = max(peak, usage.ru_maxrss)
        status = os.waitstatus_to_exitcode(status)
        if status not in exits:
            errors.seek(0)
            sys.exit('%s ended with %d: %s' % (' '.join(command), status, errors.read().decode(errors='replace')))
print(json.dumps({'time': seconds * 1000, 'memory': peak * 1024 / 1e6}))
`;

/** A side that runs whole processes and measures `time` (wall clock, ms) and `memory` (peak resident, MB). */
export function processSide(run: ProcessRun): Side {
  return async () => {
    await run.before?.();
    const { env = process.env, cwd } = run;
    const measuring = promisify(execFile)('python3', ['-c', MEASURE], { env, ...(cwd === undefined ? {} : { cwd }) });
    measuring.child.stdin?.end(JSON.stringify([run.commands, run.exits ?? [0]]));
    const { stdout } = await measuring;
    return JSON.parse(stdout) as { time: number; memory: number };
  };
}

import { readdirSync, readFileSync } from 'node:fs';

/** Whether a process runs; one that ended and was not yet reaped by its parent does not. */
export function isRunning(pid: number): boolean {
  try {
    // The state follows the name in brackets, which may hold anything.
    const stat = readFileSync(`/proc/${pid.toString()}/stat`, 'utf8');
    return !stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false;
  }
}

/** Ids of running processes one of whose arguments contains `text`: a folder's path, mostly. */
export function processesNaming(text: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && isRunning(pid) && argumentsOf(pid).includes(text));
}

function argumentsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid.toString()}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

import type { Context } from '../../../src/context.ts';
import { loadPrograms } from '../../../src/programs/programs.ts';
import type { Format, Paint } from '../../../src/ui/terminal.ts';

const same = (text: string): string => text;
const paint: Paint = { good: same, bad: same, warn: same, dim: same, strong: same };

export interface Captured {
  readonly context: Context;
  readonly results: unknown[];
  readonly lines: string[];
}

/** What the commands on records use of a context, with everything that they print kept. */
export function capture(cwd: string, format: Format = 'table'): Captured {
  const results: unknown[] = [];
  const lines: string[] = [];
  const context = {
    env: process.env,
    cwd,
    signal: new AbortController().signal,
    output: {
      format,
      paint,
      result: (value: unknown, table: () => readonly string[]) => {
        results.push(value);
        lines.push(...table());
      },
      say: () => undefined,
      warn: () => undefined,
      progress: <T>(_: string, work: (update: (text: string) => void) => Promise<T>) => work(() => undefined),
    },
    programs: () => loadPrograms(process.env),
  };
  return { context: context as unknown as Context, results, lines };
}

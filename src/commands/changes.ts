import type { Context } from '../context.ts';
import { QuorateError } from '../errors.ts';
import type { Change } from '../setup/changes.ts';

/** A change as people read it: what it is about, and every line that goes or comes. */
export function changeLines({ output }: Context, { resource, state, lines }: Change): string[] {
  const { paint } = output;
  const colour = (line: string): string => (line.startsWith('+') ? paint.good(line) : paint.bad(line));
  return [paint.strong(`${resource.path} (${state})`), ...lines.map((line) => `  ${colour(line)}`)];
}

/** How a setup ended, in one line. */
export function changesSummary(
  { output }: Context,
  { differing, all, applied }: { readonly differing: number; readonly all: number; readonly applied: boolean },
): string {
  const { paint } = output;
  if (differing === 0) return paint.good(`The server is as the file says (${all.toString()} things compared).`);
  const count = `${differing.toString()} of ${all.toString()}`;
  return applied ? paint.good(`Made ${count} things so, and read them back.`) : paint.bad(`${count} things differ.`);
}

/** @throws QuorateError `cancelled` when the answer is no, `terminal-needed` where nobody can be asked. */
export async function agree(context: Context, yes: boolean, question: string): Promise<void> {
  if (yes || (await context.prompts.confirm(question, { instead: '--yes' }))) return;
  throw new QuorateError('cancelled', 'nothing was changed');
}

/*
 * What a running plugin says of itself where everybody on the machine can read it, as other servers do: in its title,
 * which ps shows. Names of tokens, nothing else; and no proof, since any process may call itself so.
 */

export interface SealState {
  /** The tokens that what the server stored was encrypted without: the seal is degraded. */
  readonly missing: readonly string[];
  /** The tokens that did not answer when they were last asked. */
  readonly away: readonly string[];
}

const MISSING = 'degraded, stored without ';
const AWAY = 'no answer from ';
/** The title takes the place of the arguments, and no more. */
const LIMIT = 200;

/** @param program the file of the plugin. */
export function titleOf(program: string, { missing, away }: SealState): string {
  const parts = [
    ...(missing.length === 0 ? [] : [`${MISSING}${missing.join(', ')}`]),
    ...(away.length === 0 ? [] : [`${AWAY}${away.join(', ')}`]),
  ];
  const state = parts.length === 0 ? 'all tokens' : parts.join('; ');
  return `quorate-kms ${program}: ${state.replace(/\p{C}/gu, '?').slice(0, LIMIT)}`;
}

/** The state in the command line of a process (proc(5)); undefined where it is not that of the plugin `program`. */
export function stateIn(commandLine: string, program: string): SealState | undefined {
  const start = `quorate-kms ${program}: `;
  if (!commandLine.startsWith(start)) return undefined;
  const parts = commandLine.slice(start.length).replace(/\0+$/, '').split('; ');
  const listed = (words: string): readonly string[] =>
    parts.flatMap((part) => (part.startsWith(words) ? part.slice(words.length).split(', ') : []));
  return { missing: listed(MISSING), away: listed(AWAY) };
}

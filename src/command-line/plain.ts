import type { Command, OptionSpec } from '../commands/command.ts';

/** The options of every command. */
export const COMMON_OPTIONS = {
  format: { value: 'FORMAT', choices: ['table', 'json', 'yaml'], description: 'how the result is printed' },
  config: { value: 'FILE', description: 'another quorate.yaml' },
} as const satisfies Readonly<Record<string, OptionSpec>>;

/** What a verb is given. */
export interface Given {
  readonly args: readonly string[];
  /** By long name without dashes: a text, a list of texts for an option that repeats, or true for a switch. */
  readonly values: Readonly<Record<string, unknown>>;
}

/**
 * Reads the words after a verb where they are plain: its options by their long names, each with its value and once
 * unless it repeats, and as many arguments as it takes. Undefined for all else, be it help, an abbreviation or a
 * mistake: commander, which reads these words the same (a test compares the two), then reads them or says what is
 * wrong. Loading it takes longer than most commands' requests to a server.
 */
export function readPlain(
  { arguments: named = [], options }: Pick<Command, 'arguments' | 'options'>,
  words: readonly string[],
): Given | undefined {
  // To commander `--no-wait` is the opposite of `--wait`, and there without being given.
  if (Object.keys(options).some((name) => name.startsWith('no-'))) return undefined;
  const args: string[] = [];
  const values: Record<string, unknown> = {};
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    // What follows is a program of the user's, with its own options.
    if (word === '--') {
      args.push(...words.slice(index + 1));
      break;
    }
    if (!word.startsWith('-')) {
      args.push(word);
      continue;
    }
    const [, name = '', inline] = /^--([a-z][a-z0-9-]*)(?:=([^]*))?$/.exec(word) ?? [];
    const spec = specOf(options, name) ?? specOf(COMMON_OPTIONS, name);
    if (spec === undefined) return undefined;
    let value: string | true = true;
    if (spec.value !== undefined) {
      const next = inline ?? words[(index += 1)];
      if (next === undefined || (inline === undefined && next.startsWith('-'))) return undefined;
      if (spec.choices?.includes(next) === false) return undefined;
      value = next;
    } else if (inline !== undefined) return undefined;
    const before = values[name];
    if (before !== undefined && spec.repeat !== true) return undefined;
    values[name] = spec.repeat === true ? [...((before ?? []) as readonly string[]), value] : value;
  }
  const needed = named.filter(({ optional }) => optional !== true).length;
  const most = named.some(({ variadic }) => variadic === true) ? Infinity : named.length;
  return args.length < needed || args.length > most ? undefined : { args, values };
}

function specOf(specs: Readonly<Record<string, OptionSpec>>, name: string): OptionSpec | undefined {
  return Object.hasOwn(specs, name) ? specs[name] : undefined;
}

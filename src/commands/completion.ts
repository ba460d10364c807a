import type { Entry } from '../cli.ts';
import { QuorateError } from '../errors.ts';
import { type Command, defineCommand, type OptionSpec } from './command.ts';

type Table = Readonly<Record<string, Entry>>;

/** What the shell offers for one word. Where there is nothing to offer and `files` is set, it offers file names. */
export interface Candidates {
  readonly values: readonly { readonly value: string; readonly description: string }[];
  readonly files: boolean;
}

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'];
/** What the shell scripts of @bomb.sh/tab send before the words, and the directives they understand. */
const REQUEST = 'complete';
const OFFER_FILES = 0;
const OFFER_NO_FILES = 4;

const EVERYWHERE: Readonly<Record<string, OptionSpec>> = {
  format: { value: 'FORMAT', choices: ['table', 'json', 'yaml'], description: 'how the result is printed' },
  config: { value: 'FILE', description: 'another quorate.yaml' },
  help: { description: 'help and examples' },
};

/** The `completion` command, which prints the script for a shell, and answers when that script asks. */
export function completionOf(table: Table): Command {
  return defineCommand({
    arguments: [
      { name: 'SHELL', description: SHELLS.join(', ') },
      { name: 'WORD', optional: true, variadic: true, description: 'used by the script itself' },
    ],
    options: {},
    examples: [
      { command: 'quorate completion bash > ~/.local/share/bash-completion/completions/quorate', text: 'for bash' },
      { command: 'source <(quorate completion zsh)', text: 'for zsh, in ~/.zshrc' },
    ],
    async run(context, _values, [shell = '', ...words]) {
      if (shell === REQUEST) {
        const { values, files } = await complete(table, words);
        const lines = values.map(({ value, description }) => `${value}\t${description}`);
        context.output.result(values, () => [...lines, `:${files ? OFFER_FILES : OFFER_NO_FILES}`]);
        return undefined;
      }
      if (!SHELLS.includes(shell)) {
        throw new QuorateError('usage', 'completion is for another shell than those that there is a script for', {
          hint: `Name one of ${SHELLS.join(', ')}.`,
        });
      }
      const { script } = await import('@bomb.sh/tab');
      // BAO_FORMAT must not change what the script reads.
      script(shell, 'quorate', 'quorate --format table completion');
      return undefined;
    },
  });
}

/** The candidates for the last of `words` (what follows `quorate`, the last one perhaps empty). */
export async function complete(table: Table, words: readonly string[]): Promise<Candidates> {
  const before = words.slice(0, -1);
  const last = words.at(-1) ?? '';
  let names: Table | undefined = table;
  let entry: Entry | undefined;
  for (const word of withoutGlobals(before)) {
    if (names === undefined || !Object.hasOwn(names, word)) break;
    entry = names[word];
    names = entry?.commands;
  }
  const command = entry?.load === undefined ? undefined : (await entry.load()).command;
  const options = { ...command?.options, ...EVERYWHERE };

  const assigned = /^--([a-z-]+)=(.*)$/.exec(last);
  if (assigned !== null) {
    const [, name = '', start = ''] = assigned;
    const { values, files } = valuesOf(options[name], start);
    return { values: values.map((one) => ({ ...one, value: `--${name}=${one.value}` })), files };
  }
  const asking = optionNamed(options, before.at(-1));
  if (asking?.value !== undefined) return valuesOf(asking, last);
  if (last.startsWith('-')) {
    const all = Object.entries(options).map(([name, { description }]) => ({ value: `--${name}`, description }));
    return { values: all.filter(({ value }) => value.startsWith(last)), files: false };
  }
  if (names !== undefined) {
    const all = Object.entries(names).map(([value, { summary }]) => ({ value, description: summary }));
    return { values: all.filter(({ value }) => value.startsWith(last)), files: false };
  }
  return { values: [], files: (command?.arguments ?? []).length > 0 };
}

function withoutGlobals(words: readonly string[]): string[] {
  return words.filter((word, index) => {
    if (word.startsWith('-')) return false;
    return optionNamed(EVERYWHERE, words[index - 1])?.value === undefined;
  });
}

function optionNamed(options: Readonly<Record<string, OptionSpec>>, word = ''): OptionSpec | undefined {
  if (word.startsWith('--')) return Object.hasOwn(options, word.slice(2)) ? options[word.slice(2)] : undefined;
  return Object.values(options).find(({ short }) => short !== undefined && word === `-${short}`);
}

function valuesOf(option: OptionSpec | undefined, start: string): Candidates {
  const values = (option?.choices ?? [])
    .filter((choice) => choice.startsWith(start))
    .map((value) => ({ value, description: '' }));
  return { values, files: option?.value !== undefined && option.choices === undefined };
}

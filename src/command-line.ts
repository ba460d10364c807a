import type { Entry } from './cli.ts';
import type { Command } from './commands/command.ts';
import { COMMON_OPTIONS, type Given, readPlain } from './command-line/plain.ts';
import { createContext, type Streams } from './context.ts';
import { EXIT, QuorateError } from './errors.ts';
import type { Format } from './ui/terminal.ts';

/** Options before the verb that take a value, so that the value is not mistaken for the verb. */
const GLOBAL_WITH_VALUE = new Set(['--format', '--config']);

/**
 * Finds the verb in `argv`, loads only that one, has its options read, and runs it.
 * @throws QuorateError `usage`; whatever the command throws.
 */
export async function runCommandLine(
  table: Readonly<Record<string, Entry>>,
  argv: readonly string[],
  streams: Streams,
): Promise<number> {
  refuseSingleDash(argv);
  const path = chosenPath(table, argv);
  const entry = find(table, path);
  const command = entry?.load === undefined ? undefined : (await entry.load()).command;
  const { failure } = entry ?? {};
  try {
    const plain = command !== undefined && path.every((name, index) => argv[index] === name);
    const given =
      (plain ? readPlain(command, argv.slice(path.length)) : undefined) ??
      (await (await import('./command-line/program.ts')).readByCommander({ table, argv, path, command }, streams));
    if (typeof given === 'number') return given;
    return command === undefined ? EXIT.done : await run(command, given, streams);
  } catch (error) {
    throw error instanceof QuorateError && failure !== undefined ? error.endingWith(failure) : error;
  }
}

async function run(command: Command, given: Given, streams: Streams): Promise<number> {
  const { format: asked, config, ...others } = given.values as { format?: string; config?: string };
  const known = COMMON_OPTIONS.format.choices.find((one) => one === asked);
  // A command with formats of its own prints those itself.
  const own = asked === undefined || known !== undefined ? others : { ...others, format: asked };
  const format = known ?? (asked === undefined ? defaultFormat(streams) : 'table');
  const context = await createContext(streams, { format, ...(config === undefined ? {} : { config }) });
  try {
    return (await command.run(context, own, given.args)) ?? EXIT.done;
  } finally {
    await context.close();
  }
}

/** The names in `argv` that lead to a verb: `['ceremony', 'run']`. */
function chosenPath(table: Readonly<Record<string, Entry>>, argv: readonly string[]): string[] {
  const words: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? '';
    if (word === '--') break;
    if (GLOBAL_WITH_VALUE.has(word)) index++;
    else if (!word.startsWith('-')) words.push(word);
    if (words.length === 2) break;
  }
  // `quorate help ceremony run` describes what it names; commander prints it, and needs its options to do so.
  const start = words[0] === 'help' ? argv.filter((word) => !word.startsWith('-')).slice(1, 3) : words;
  const [name, sub] = start;
  const entry = name === undefined || !Object.hasOwn(table, name) ? undefined : table[name];
  if (name === undefined || entry === undefined) return [];
  return sub !== undefined && entry.commands !== undefined && Object.hasOwn(entry.commands, sub) ? [name, sub] : [name];
}

function find(table: Readonly<Record<string, Entry>>, path: readonly string[]): Entry | undefined {
  const [name, sub] = path;
  const entry = name === undefined ? undefined : table[name];
  return sub === undefined ? entry : entry?.commands?.[sub];
}

/** commander reads `-address=x` as `-a ddress=x`: the single-dash long flags of `bao` and `vault` are refused. */
function refuseSingleDash(argv: readonly string[]): void {
  const end = argv.indexOf('--');
  for (const word of end === -1 ? argv : argv.slice(0, end)) {
    const [, flag] = /^-([a-z][a-z-]+)(=.*)?$/.exec(word) ?? [];
    if (flag === undefined) continue;
    throw new QuorateError('usage', `-${flag} has one dash`, { hint: `Long options have two: --${flag}.` });
  }
}

/** `BAO_FORMAT` and `VAULT_FORMAT` as the servers' own CLIs take them, where they name a format of ours. */
function defaultFormat({ env }: Streams): Format {
  const named = env['BAO_FORMAT'] ?? env['VAULT_FORMAT'];
  return COMMON_OPTIONS.format.choices.find((format) => format === named) ?? 'table';
}

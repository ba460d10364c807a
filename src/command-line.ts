import { Command as Program, CommanderError, Option } from 'commander';
import type { Entry } from './cli.ts';
import type { Command, OptionSpec } from './commands/command.ts';
import { createContext, type Streams } from './context.ts';
import { EXIT, QuorateError } from './errors.ts';
import type { Format } from './ui/terminal.ts';

const FORMATS: readonly Format[] = ['table', 'json', 'yaml'];
/** Options before the verb that take a value, so that the value is not mistaken for the verb. */
const GLOBAL_WITH_VALUE = new Set(['--format', '--config']);

/**
 * Finds the verb in `argv`, loads only that one, and lets commander read its options.
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
  const program = await build(table, path, command);
  let exit: number = EXIT.done;
  const act = async (args: readonly string[], values: Record<string, unknown>): Promise<void> => {
    if (command === undefined) return;
    const { format = defaultFormat(streams), config, ...own } = values as { format?: Format; config?: string };
    const context = await createContext(streams, { format, ...(config === undefined ? {} : { config }) });
    try {
      exit = (await command.run(context, own, args)) ?? EXIT.done;
    } finally {
      context.close();
    }
  };
  wire(program, command === undefined ? [] : path, act, streams);
  try {
    // commander's own help command goes one name deep.
    const asked = argv[0] === 'help' && path.length > 0 ? [...path, '--help'] : argv;
    await program.parseAsync(asked, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version were asked for; help of a group that was named without a verb is an error.
    if (error.exitCode === 0) return EXIT.done;
    if (error.code === 'commander.help') return EXIT.usage;
    throw new QuorateError('usage', plainMessage(error), {
      hint: `See: quorate ${[...path, '--help'].join(' ')}`,
    });
  }
  return exit;
}

/** The chosen verb with its options; where none is chosen, every name with its summary. */
async function build(
  table: Readonly<Record<string, Entry>>,
  path: readonly string[],
  command?: Command,
): Promise<Program> {
  const program = new Program('quorate');
  program
    .description(
      'Key ceremonies for OpenBao and HashiCorp Vault: quorum init and unseal, with a record that auditors can check.',
    )
    .helpCommand('help [command...]', 'help for a command')
    .addHelpText(
      'after',
      '\nOptions of every command:\n  --format table|json|yaml   how the result is printed\n  --config FILE              another quorate.yaml',
    );
  // Once a verb is chosen the others need no names: making them all takes as long as a request to a server.
  const wanted = (place: number, name: string): boolean => command === undefined || path[place] === name;
  for (const [name, entry] of Object.entries(table)) {
    if (!wanted(0, name)) continue;
    const verb = program.command(name).description(entry.summary);
    if (path[0] === name && path.length === 1 && command !== undefined) describe(verb, command);
    for (const [sub, one] of Object.entries(entry.commands ?? {})) {
      if (!wanted(1, sub)) continue;
      const nested = verb.command(sub).description(one.summary);
      if (path[0] === name && path[1] === sub && command !== undefined) describe(nested, command);
    }
  }
  if (path.length === 0) {
    const { version } = await import('./build.ts');
    program.version(`quorate ${version}`, '-V, --version', 'print the version');
  }
  return program;
}

function describe(verb: Program, command: Command): void {
  for (const { name, optional, variadic, description } of command.arguments ?? []) {
    const inner = variadic === true ? `${name}...` : name;
    verb.argument(optional === true ? `[${inner}]` : `<${inner}>`, description);
  }
  for (const [name, spec] of Object.entries(command.options)) verb.addOption(optionOf(name, spec));
  const examples = command.examples.map((one) => `  $ ${one.command}\n      ${one.text}`);
  if (examples.length > 0) verb.addHelpText('after', `\nExamples:\n${examples.join('\n')}`);
}

function optionOf(name: string, spec: OptionSpec): Option {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  const option = new Option(`${short}--${name}${spec.value === undefined ? '' : ` <${spec.value}>`}`, spec.description);
  if (spec.choices !== undefined) option.choices([...spec.choices]);
  if (spec.repeat === true) option.argParser((value: string, before?: readonly string[]) => [...(before ?? []), value]);
  return option;
}

type Act = (args: readonly string[], values: Record<string, unknown>) => Promise<void>;

/** Options of every command, errors as exceptions, and the body of the chosen verb. */
function wire(program: Program, path: readonly string[], act: Act, streams: Streams): void {
  const all = [program, ...program.commands, ...program.commands.flatMap((verb) => verb.commands)];
  for (const verb of all) {
    verb
      .exitOverride()
      .configureOutput({
        writeOut: (text) => void streams.stdout.write(text),
        writeErr: (text) => void streams.stderr.write(text),
        outputError: () => undefined,
      })
      .addOption(new Option('--format <FORMAT>', 'how the result is printed').choices([...FORMATS]).hideHelp())
      .addOption(new Option('--config <FILE>', 'another quorate.yaml').hideHelp());
  }
  const chosen = path.reduce<Program | undefined>(
    (verb, name) => verb?.commands.find((one) => one.name() === name),
    program,
  );
  if (chosen === undefined || path.length === 0) return;
  chosen.action(async (...given: unknown[]) => {
    const verb = given.at(-1) as Program;
    const values: Record<string, unknown> = {};
    for (const option of verb.options) {
      // By long name, as commands declare them; commander would turn them into camel case.
      const key = option.attributeName();
      const value: unknown = verb.getOptionValue(key) ?? program.getOptionValue(key);
      if (value !== undefined) values[(option.long ?? '').replace(/^--/, '')] = value;
    }
    await act(verb.args, values);
  });
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
  return FORMATS.find((format) => format === named) ?? 'table';
}

/** commander quotes what it was given, which may be a secret in the wrong place: only plain words are repeated. */
function plainMessage(error: CommanderError): string {
  return error.message
    .replace(/^error: /, '')
    .replace(/\s*\n[\s\S]*$/, '')
    .replace(/( but got \d+):.*$/, '$1')
    .replace(/'([^']*)'/g, (_all, given: string) => {
      const [name = ''] = given.split('=');
      return /^(?:--?)?[a-z][a-z-]{0,24}(?: [<[][A-Z0-9.]+[>\]])?$/i.test(name) ? `'${name}'` : '(not shown)';
    });
}

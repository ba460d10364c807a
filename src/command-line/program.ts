import { Command as Program, CommanderError, Option } from 'commander';
import type { Entry } from '../cli.ts';
import type { Command, OptionSpec } from '../commands/command.ts';
import type { Streams } from '../context.ts';
import { EXIT, QuorateError } from '../errors.ts';
import { COMMON_OPTIONS, type Given } from './plain.ts';

/** A command line, and what was found for it: the names that lead to its verb, and the verb's body if it has one. */
export interface Asked {
  readonly table: Readonly<Record<string, Entry>>;
  readonly argv: readonly string[];
  readonly path: readonly string[];
  readonly command: Command | undefined;
}

/**
 * Lets commander read a command line.
 * @returns what the verb is given, or the exit status where help or the version was asked for and has been printed.
 * @throws QuorateError `usage`.
 */
export async function readByCommander(asked: Asked, streams: Streams): Promise<Given | number> {
  const { table, argv, path, command } = asked;
  const program = await build(table, path, command);
  let read: Given | undefined;
  wire(program, command === undefined ? [] : path, streams, (given) => {
    read = given;
  });
  try {
    // commander's own help command goes one name deep.
    await program.parseAsync(argv[0] === 'help' && path.length > 0 ? [...path, '--help'] : argv, { from: 'user' });
    return read ?? EXIT.done;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version were asked for; help of a group that was named without a verb is an error.
    if (error.exitCode === 0) return EXIT.done;
    if (error.code === 'commander.help') return EXIT.usage;
    const help = `See: quorate ${[...path, '--help'].join(' ')}`;
    throw new QuorateError('usage', plainMessage(error), { hint: [...suggestion(error), help].join(' ') });
  }
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
      "Keys that are in people's hands: ceremonies, HSM seals, database credentials and key shares, on OpenBao and HashiCorp Vault.",
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
    const { version } = await import('../build.ts');
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

/** Options of every command, errors as exceptions, and the reading of the chosen verb's words. */
function wire(program: Program, path: readonly string[], streams: Streams, take: (given: Given) => void): void {
  const all = [program, ...program.commands, ...program.commands.flatMap((verb) => verb.commands)];
  // An option of the program's own would be taken before the verb sees it.
  const hasOwnFormats = all.some((verb) => verb.options.some(({ long }) => long === '--format'));
  const common = Object.entries(COMMON_OPTIONS).filter(([name]) => name !== 'format' || !hasOwnFormats);
  for (const verb of all) {
    verb.exitOverride().configureOutput({
      writeOut: (text) => void streams.stdout.write(text),
      writeErr: (text) => void streams.stderr.write(text),
      outputError: () => undefined,
    });
    for (const [name, spec] of common) verb.addOption(optionOf(name, spec).hideHelp());
  }
  const chosen = path.reduce<Program | undefined>(
    (verb, name) => verb?.commands.find((one) => one.name() === name),
    program,
  );
  if (chosen === undefined || path.length === 0) return;
  chosen.action((...given: unknown[]) => {
    const verb = given.at(-1) as Program;
    const values: Record<string, unknown> = {};
    for (const option of verb.options) {
      // By long name, as commands declare them; commander would turn them into camel case.
      const key = option.attributeName();
      const value: unknown = verb.getOptionValue(key) ?? program.getOptionValue(key);
      if (value !== undefined) values[(option.long ?? '').replace(/^--/, '')] = value;
    }
    take({ args: verb.args, values });
  });
}

/** Commander's guess at what was meant. Names of ours alone stand in it. */
function suggestion({ message }: CommanderError): readonly string[] {
  return [/Did you mean [^?\n]+\?/.exec(message)?.[0] ?? []].flat();
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

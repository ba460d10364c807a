import { stripVTControlCharacters } from 'node:util';
import type { Format, Output, Paint } from './terminal.ts';

/** The streams and settings that decide how results and talk look. */
export interface OutputSettings {
  readonly format: Format;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const PLAIN: Paint = {
  good: (text) => text,
  bad: (text) => text,
  warn: (text) => text,
  dim: (text) => text,
  strong: (text) => text,
};

/**
 * Whether colour may be used on `stream`: a terminal, `NO_COLOR` empty (no-color.org), not `TERM=dumb`.
 * chalk 6 ignores NO_COLOR (observed), so it is decided here, before chalk is loaded.
 */
export function colourAllowed(stream: { readonly isTTY?: boolean }, env: OutputSettings['env']): boolean {
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}

/** Makes the output of one command. chalk is loaded only when colour is on, ora only when a spinner turns. */
export async function createOutput(settings: OutputSettings): Promise<Output> {
  const { format, stderr, env } = settings;
  const colour = colourAllowed(stderr, env) && (format !== 'table' || colourAllowed(settings.stdout, env));
  const paint = colour ? await colours() : PLAIN;
  const spinning = stderr.isTTY && env['CI'] === undefined && env['TERM'] !== 'dumb';
  const toYaml = format === 'yaml' ? (await import('../document.ts')).renderYaml : String;
  const say = (line = ''): void => void stderr.write(`${line}\n`);
  return {
    format,
    paint,
    say,
    warn: (line) => {
      say(`${paint.warn('warning')}  ${line}`);
    },
    result: (value, table) => {
      // Opened by who has a result: looking at a stream opens it, which takes time.
      settings.stdout.write(render(format, value, table, toYaml));
    },
    progress: (title, work) => (spinning ? spin(stderr, title, work) : plainProgress(say, title, work)),
  };
}

function render(
  format: Format,
  value: unknown,
  table: () => readonly string[],
  toYaml: (value: unknown) => string,
): string {
  if (format === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  if (format === 'yaml') return toYaml(JSON.parse(JSON.stringify(value)));
  const lines = table();
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

async function colours(): Promise<Paint> {
  const { Chalk } = await import('chalk');
  const chalk = new Chalk({ level: 1 });
  return {
    good: (text) => chalk.green(text),
    bad: (text) => chalk.red.bold(text),
    warn: (text) => chalk.yellow(text),
    dim: (text) => chalk.dim(text),
    strong: (text) => chalk.bold(text),
  };
}

async function plainProgress<T>(
  say: (line: string) => void,
  title: string,
  work: (update: (text: string) => void) => Promise<T>,
): Promise<T> {
  let last = title;
  say(`${title} ...`);
  return work((text) => {
    const plain = stripVTControlCharacters(text);
    if (plain !== last) say(`  ${plain}`);
    last = plain;
  });
}

async function spin<T>(
  stream: NodeJS.WriteStream,
  title: string,
  work: (update: (text: string) => void) => Promise<T>,
): Promise<T> {
  const { default: ora } = await import('ora');
  // discardStdin would put the terminal into raw mode under a prompt that follows at once.
  const spinner = ora({ text: title, stream, discardStdin: false }).start();
  try {
    return await work((text) => {
      spinner.text = text;
    });
  } finally {
    spinner.stop();
  }
}

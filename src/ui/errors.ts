import { isQuorateError, EXIT, QuorateError } from '../errors.ts';
import { fileError, isFileFault } from '../files.ts';
import { colourAllowed } from './output.ts';
import { wrapLines } from '../layout.ts';

interface ErrorStreams {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Prints an error for people on stderr (what failed, every fault, what to do) and, with `--format json`, as one object
 * on stdout. Anything that is not a QuorateError is a bug: its message is not printed, because nobody vouches for it.
 * @returns the exit status.
 */
export async function reportError(error: unknown, argv: readonly string[], streams: ErrorStreams): Promise<number> {
  const known = isQuorateError(error)
    ? error
    : isFileFault(error)
      ? fileError(error.path ?? 'a file', error)
      : asBug(error);
  const bold = colourAllowed(streams.stderr, streams.env) ? (await import('chalk')).default.red.bold : String;
  if (known.code === 'cancelled') {
    streams.stderr.write(`cancelled  ${known.message}\n`);
  } else {
    const lines = [
      ...hanging(bold('error'), 'error', `${known.code}: ${known.message}`),
      // A single one is the message already.
      ...(known.faults.length === 1 && known.message.endsWith(known.faults[0]?.message ?? '-')
        ? []
        : known.faults
      ).flatMap(({ line, column, message }) =>
        wrapLines(
          `${line === undefined ? '' : `line ${line.toString()}, column ${(column ?? 1).toString()}: `}${message}`,
          78,
          '       ',
        ),
      ),
      ...(known.hint === undefined ? [] : hanging('hint', 'hint', known.hint)),
    ];
    streams.stderr.write(`${lines.join('\n')}\n`);
  }
  if (wantsJson(argv, streams.env)) streams.stdout.write(`${JSON.stringify({ error: known }, null, 2)}\n`);
  return known.exit;
}

/** The words for standard output that takes nothing more: a full disk behind it, say. */
export function unsaidLines(error: Error): string {
  const { code, message, hint } = fileError('standard output', error);
  return `error  ${code}: ${message}\n${hint === undefined ? '' : `hint   ${hint}\n`}`;
}

/** A word, which may be coloured, and text beside it that is wrapped. */
function hanging(shown: string, word: string, text: string): string[] {
  const [first = '', ...rest] = wrapLines(text, 80, '       ');
  return [`${shown}${' '.repeat(7 - word.length)}${first.trimStart()}`, ...rest];
}

function asBug(error: unknown): QuorateError {
  if (error instanceof Error && error.name === 'AbortError') return new QuorateError('cancelled', 'interrupted');
  const kind = error instanceof Error ? error.name : typeof error;
  const place = error instanceof Error ? /\n\s+at (.*)/.exec(error.stack ?? '')?.[1] : undefined;
  return new QuorateError('bug', `an internal error (${kind}${place === undefined ? '' : ` at ${place}`})`, {
    hint: `Nothing is known to be lost; a ceremony can be resumed from its folder. Please report this. Exit ${EXIT.bug.toString()}.`,
  });
}

function wantsJson(argv: readonly string[], env: ErrorStreams['env']): boolean {
  // What follows `--` is another program's.
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  const index = own.indexOf('--format');
  if (index !== -1) return own[index + 1] === 'json';
  const joined = own.find((word) => word.startsWith('--format='));
  return (joined?.slice('--format='.length) ?? env['BAO_FORMAT'] ?? env['VAULT_FORMAT']) === 'json';
}

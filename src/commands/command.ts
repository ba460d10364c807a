import type { Context } from '../context.ts';

export interface OptionSpec {
  /** The placeholder in help, such as `FILE`; without one the option is a switch. */
  readonly value?: string;
  readonly short?: string;
  /** May be given several times. */
  readonly repeat?: true;
  readonly choices?: readonly string[];
  readonly description: string;
}

export interface ArgumentSpec {
  /** `SCRIPT`; add `optional` for `[SCRIPT]`, `variadic` for `SCRIPT...`. */
  readonly name: string;
  readonly optional?: true;
  readonly variadic?: true;
  readonly description: string;
}

export interface Example {
  readonly command: string;
  readonly text: string;
}

export type OptionValues<S extends Readonly<Record<string, OptionSpec>>> = {
  readonly [K in keyof S]?: S[K] extends { repeat: true }
    ? readonly string[]
    : S[K] extends { value: string }
      ? string
      : boolean;
};

/** One verb of the command line. Options that every command has (`--format`, `--config`) are the cli's. */
export interface Command<S extends Readonly<Record<string, OptionSpec>> = Readonly<Record<string, OptionSpec>>> {
  readonly arguments?: readonly ArgumentSpec[];
  /** By long name without dashes, such as `insecure-plain-shares`. */
  readonly options: S;
  readonly examples: readonly Example[];
  /**
   * The exit status, 0 when nothing is returned: quorate's own, or that of a program which it ran. Throws QuorateError for
   * what failed. A command that has a `format` option of its own is given its value where that is no format of `Output`.
   */
  run(context: Context, values: OptionValues<S>, args: readonly string[]): Promise<number | undefined>;
}

/** Types a command's option values from its specification. */
export function defineCommand<const S extends Readonly<Record<string, OptionSpec>>>(command: Command<S>): Command {
  return command;
}

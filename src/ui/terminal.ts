import type { Secret } from '../secret.ts';

export type Format = 'table' | 'json' | 'yaml';

/** Where a command's words go: results to stdout, talk and progress to stderr. */
export interface Output {
  readonly format: Format;
  /** Prints the command's one result: `value` as JSON or YAML, or the lines that `table` makes for people. */
  result(value: unknown, table: () => readonly string[]): void;
  /** A line for people on stderr; nothing that a script needs. */
  say(line?: string): void;
  warn(line: string): void;
  /** Shows that `work` goes on (spinner on a terminal, plain lines without); `update` changes the text. */
  progress<T>(title: string, work: (update: (text: string) => void) => Promise<T>): Promise<T>;
  readonly paint: Paint;
}

/** Colours, which are identity functions where colour is off. */
export interface Paint {
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
  dim(text: string): string;
  strong(text: string): string;
}

/**
 * Questions to the person at the terminal. Without a terminal each throws QuorateError `terminal-needed`
 * that names the flag to use instead (`instead`); Ctrl-C and end of input throw `cancelled`.
 */
export interface Prompts {
  readonly interactive: boolean;
  /** Hidden entry with no way to reveal it. The caller wipes the result. */
  secret(question: string, options?: PromptOptions): Promise<Secret>;
  text(
    question: string,
    options?: PromptOptions & { readonly initial?: string; readonly check?: (text: string) => true | string },
  ): Promise<string>;
  confirm(question: string, options?: PromptOptions): Promise<boolean>;
  choose<T>(
    question: string,
    choices: readonly { readonly name: string; readonly value: T }[],
    options?: PromptOptions,
  ): Promise<T>;
  /** Asks until exactly `expected` was typed; an empty answer throws `cancelled`. For what cannot be undone. */
  typed(question: string, expected: string, options?: PromptOptions): Promise<void>;
  /**
   * The next line that is pasted while other work goes on, of any length and not shown; undefined when none came
   * within `patience` milliseconds, or without a terminal; null once Ctrl-D was pressed.
   */
  pasted(patience: number): Promise<string | undefined | null>;
  /** How many milliseconds a question waits for its answer: then it throws `deadline-passed`. 0: for ever, as at first. */
  patience(milliseconds: number): void;
  /**
   * While on, what is typed between questions is neither shown nor kept; Ctrl-C still interrupts. Turn it off while
   * another program asks at this terminal. Without a terminal it does nothing.
   */
  quiet(on: boolean): void;
}

export interface PromptOptions {
  /** The flag that answers this without a terminal, for the error's hint. */
  readonly instead?: string;
  readonly signal?: AbortSignal;
}

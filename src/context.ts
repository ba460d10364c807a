import type { Programs } from './programs/programs.ts';
import type { Output, Prompts } from './ui/terminal.ts';

/** What a command runs with. Everything that touches the world outside comes from here. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly output: Output;
  readonly prompts: Prompts;
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** gpg, ssh-keygen and what runs them, loaded at the first call. */
  programs(): Promise<Programs>;
}

import { setTimeout as sleep } from 'node:timers/promises';
import { QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { createPasting, type Pasting } from './pasting.ts';
import type { PromptOptions, Prompts } from './terminal.ts';

/** Where questions are asked: stdin is read, and stderr written so that stdout stays the result's. */
export interface PromptStreams {
  readonly stdin: NodeJS.ReadStream;
  readonly stderr: NodeJS.WriteStream;
  readonly signal: AbortSignal;
}

type Question = Record<string, unknown> & { readonly type: string; readonly message: string };

/**
 * Prompts by inquirer, loaded with the first question. inquirer prints control codes into pipes (observed on
 * 14.2.5), so without a terminal on both ends nothing is asked and `terminal-needed` is thrown.
 */
export function createPrompts({ stdin, stderr, signal }: PromptStreams): Prompts {
  const interactive = stdin.isTTY && stderr.isTTY;
  const hush = createHush(stdin);
  let pasting: Pasting | undefined;
  let patience = 0;

  async function ask(question: Question, options: PromptOptions = {}): Promise<unknown> {
    if (!interactive) {
      throw new QuorateError('terminal-needed', `there is no terminal to ask: ${question.message}`, {
        hint: options.instead === undefined ? 'Run this command at a terminal.' : `Give ${options.instead} instead.`,
      });
    }
    const { default: inquirer } = await import('inquirer');
    const late = patience > 0 ? AbortSignal.timeout(patience) : undefined;
    const ends = [signal, options.signal, late].filter((one) => one !== undefined);
    const prompt = inquirer.createPromptModule({ input: stdin, output: stderr, signal: AbortSignal.any(ends) });
    pasting?.stop();
    hush.pause();
    try {
      const answers: Record<string, unknown> = await prompt({ ...question, name: 'answer' } as never);
      return answers['answer'];
    } catch (error) {
      const name = error instanceof Error ? error.name : '';
      if (name === 'AbortPromptError' && late?.aborted === true && !signal.aborted) {
        throw new QuorateError('deadline-passed', `nobody has answered for ${inMinutes(patience)}`, {
          hint: 'Go on when those who are needed are there. The limit: policy.longest-wait-minutes, or --longest-wait.',
        });
      }
      if (name === 'ExitPromptError' || name === 'AbortPromptError') {
        throw new QuorateError('cancelled', 'cancelled at a prompt');
      }
      throw new QuorateError('bug', `the prompt failed: ${name}`);
    } finally {
      hush.resume();
    }
  }

  return {
    interactive,
    async pasted(patience) {
      if (interactive) {
        hush.set(true);
        pasting ??= createPasting(stdin);
        const line = await pasting.next(patience, signal);
        if (line !== undefined || !signal.aborted) return line;
      } else {
        await sleep(patience, undefined, { signal }).catch(() => undefined);
      }
      if (signal.aborted) throw new QuorateError('cancelled', 'cancelled while waiting');
      return undefined;
    },
    patience: (milliseconds) => {
      patience = milliseconds;
    },
    quiet: (on) => {
      if (interactive) hush.set(on);
    },
    secret: async (message, options) => {
      // toggleMask would let Ctrl-T show the secret; the mask's length is that of the secret, which everybody in the room knows.
      const answer = await ask({ type: 'password', message, toggleMask: false, mask: '*' }, options);
      return Secret.fromText(String(answer));
    },
    text: async (message, options = {}) => {
      const answer = await ask(
        {
          type: 'input',
          message,
          ...(options.initial === undefined ? {} : { default: options.initial }),
          ...(options.check === undefined ? {} : { validate: options.check }),
        },
        options,
      );
      return String(answer).trim();
    },
    confirm: async (message, options) => (await ask({ type: 'confirm', message, default: false }, options)) === true,
    choose: async <T>(
      message: string,
      choices: readonly { readonly name: string; readonly value: T }[],
      options?: PromptOptions,
    ) => (await ask({ type: 'select', message, choices, pageSize: 12 }, options)) as T,
    typed: async (message, expected, options) => {
      await ask(
        {
          type: 'input',
          message: `${message} Type ${expected} to go on:`,
          validate: (text: string) =>
            text === expected || text === '' || `Type exactly: ${expected} (nothing to cancel)`,
        },
        options,
      ).then((answer) => {
        if (answer !== expected) throw new QuorateError('cancelled', 'not confirmed; nothing was done');
      });
    },
  };
}

function inMinutes(milliseconds: number): string {
  const minutes = milliseconds / 60_000;
  return minutes < 1 ? `${(milliseconds / 1000).toString()} s` : `${minutes.toString()} minutes`;
}

interface Hush {
  set(on: boolean): void;
  /** A question reads the terminal itself; the echo stays off until it does. */
  pause(): void;
  resume(): void;
}

const CTRL_C = 3;

/**
 * Reads and drops what is typed, with the echo off. The terminal is set back when this is turned off, and by Node when
 * the process ends, however it ends short of SIGKILL.
 */
function createHush(stdin: NodeJS.ReadStream): Hush {
  let wanted = false;
  const drop = (typed: Uint8Array): void => {
    // Raw mode: the terminal makes no signal of it.
    if (typed.includes(CTRL_C)) process.kill(process.pid, 'SIGINT');
  };
  const resume = (): void => {
    if (!wanted || stdin.listeners('data').includes(drop)) return;
    stdin.setRawMode(true);
    stdin.on('data', drop);
    stdin.resume();
    // It must not keep the process from ending.
    stdin.unref();
  };
  const pause = (): void => {
    if (!wanted) return;
    stdin.off('data', drop);
    stdin.pause();
    stdin.ref();
  };
  return {
    set: (on) => {
      if (on === wanted) return;
      if (on) {
        wanted = true;
        resume();
      } else {
        pause();
        wanted = false;
        stdin.setRawMode(false);
      }
    },
    pause,
    resume,
  };
}

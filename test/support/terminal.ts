import { type IPty, spawn } from '@lydell/node-pty';
import xterm from '@xterm/headless';
import { atEnd } from './at-end.ts';

const KEYS = {
  'enter': '\r',
  'tab': '\t',
  'space': ' ',
  'escape': '\x1b',
  'backspace': '\x7f',
  'up': '\x1b[A',
  'down': '\x1b[B',
  'right': '\x1b[C',
  'left': '\x1b[D',
  'ctrl-c': '\x03',
  'ctrl-d': '\x04',
  'ctrl-t': '\x14',
  'ctrl-u': '\x15',
} as const;

export type Key = keyof typeof KEYS;

export interface TerminalOptions {
  readonly cwd?: string;
  /** All variables of the command: nothing is passed on but PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: number;
  readonly rows?: number;
}

export interface TerminalExit {
  readonly code: number;
  /** The number of the signal that ended it, 0 when none did. */
  readonly signal: number;
}

const terminals: TestTerminal[] = [];

atEnd(() => {
  for (const terminal of terminals.splice(0)) terminal.kill('SIGKILL');
});

/** Runs a command in a real pseudo-terminal, and shows what a person would see. */
export function openTerminal(
  command: string,
  args: readonly string[] = [],
  options: TerminalOptions = {},
): TestTerminal {
  const terminal = new TestTerminal(command, args, options);
  terminals.push(terminal);
  return terminal;
}

export class TestTerminal {
  /** Resolves when the command has ended and all that it printed is on the screen. */
  readonly exit: Promise<TerminalExit>;
  readonly pid: number;
  readonly #pty: IPty;
  readonly #screen: xterm.Terminal;
  readonly #raw: Buffer[] = [];
  #watchers: (() => void)[] = [];
  #ended = false;

  constructor(command: string, args: readonly string[], options: TerminalOptions) {
    const { columns = 100, rows = 40 } = options;
    this.#screen = new xterm.Terminal({ cols: columns, rows, scrollback: 5_000, allowProposedApi: true });
    const { PATH = '', HOME = '' } = process.env;
    this.#pty = spawn(command, [...args], {
      name: 'xterm-256color',
      cols: columns,
      rows,
      // Raw bytes: a secret must be found even where it is not text.
      encoding: null,
      cwd: options.cwd ?? process.cwd(),
      env: { PATH, HOME, ...options.env },
    });
    this.pid = this.#pty.pid;
    this.#pty.onData((data) => {
      // With `encoding: null` these are bytes, whatever the type says.
      const bytes = Buffer.from(data);
      this.#raw.push(bytes);
      this.#screen.write(bytes, () => {
        this.#notify();
      });
    });
    // Some programs ask the terminal where the cursor is, and wait for the answer.
    this.#screen.onData((answer) => {
      if (!this.#ended) this.#pty.write(answer);
    });
    this.exit = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode, signal }) => {
        this.#ended = true;
        this.#screen.write('', () => {
          this.#notify();
          resolve({ code: exitCode, signal: signal ?? 0 });
        });
      });
    });
  }

  /** What is to be seen, scrolled-off lines first; wrapped lines are joined again, and blanks at the end of lines dropped. */
  screen(): string {
    const buffer = this.#screen.buffer.active;
    const lines: string[] = [];
    for (let row = 0; row < buffer.length; row += 1) {
      const line = buffer.getLine(row);
      if (line === undefined) continue;
      // Blanks at the end of a row that goes on below are text.
      const text = line.translateToString(buffer.getLine(row + 1)?.isWrapped !== true);
      lines.push(line.isWrapped ? `${lines.pop() ?? ''}${text}` : text);
    }
    return lines.join('\n').trimEnd();
  }

  /** Every byte that the command has printed. */
  raw(): Buffer {
    return Buffer.concat(this.#raw);
  }

  /** Waits until the screen shows `text`, and returns the screen; fails with the screen after `timeout` ms, or at the end. */
  async waitFor(text: string | RegExp, timeout = 20_000): Promise<string> {
    const limit = Date.now() + timeout;
    for (;;) {
      const screen = this.screen();
      if (typeof text === 'string' ? screen.includes(text.trimEnd()) : text.test(screen)) return screen;
      const left = limit - Date.now();
      if (this.#ended || left <= 0) {
        const why = this.#ended ? 'the command ended' : `${timeout.toString()} ms passed`;
        throw new Error(`${why} and the screen does not show ${String(text)}:\n${screen}`);
      }
      await this.change(left);
    }
  }

  /** Forgets what is on the screen, so that the next `waitFor` sees only what comes after. */
  clear(): void {
    this.#screen.reset();
  }

  type(text: string): void {
    this.#pty.write(text);
  }

  press(...keys: readonly Key[]): void {
    for (const key of keys) this.#pty.write(KEYS[key]);
  }

  /** `type`, then Enter. */
  enter(text: string): void {
    this.type(text);
    this.press('enter');
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (!this.#ended) this.#pty.kill(signal);
  }

  #notify(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  /** Resolves when something was printed, at the end, or after `limit` ms. */
  change(limit: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limit);
      this.#watchers.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

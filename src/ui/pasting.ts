/** More than any line that people hand each other; what is longer is no such line. */
const LONGEST = 1 << 20;
const CTRL_D = 4;
/** What terminals put around a paste, where a program has asked for it. */
const BRACKETS = /\x1b\[20[01]~/g;

/**
 * Lines that are pasted while other work goes on. They are not shown, and may be longer than the 4096 characters that
 * a terminal's own line editing keeps. The terminal must be in raw mode.
 */
export interface Pasting {
  /** The next line; undefined when none came within `patience` milliseconds, null once Ctrl-D was pressed. */
  next(patience: number, signal: AbortSignal): Promise<string | undefined | null>;
  /** Somebody else reads the terminal now; half a line is dropped. */
  stop(): void;
}

export function createPasting(stdin: NodeJS.ReadStream): Pasting {
  const lines: (string | null)[] = [];
  let rest = '';
  let wake: (() => void) | undefined;
  const collect = (chunk: Uint8Array): void => {
    const ended = chunk.includes(CTRL_D);
    const parts = `${rest}${new TextDecoder().decode(chunk)}`.replaceAll(BRACKETS, '').split(/[\r\n]+/);
    rest = (parts.pop() ?? '').slice(-LONGEST);
    lines.push(...parts.map((line) => line.trim()).filter((line) => line !== ''));
    if (ended) lines.push(null);
    wake?.();
  };
  return {
    async next(patience, signal) {
      if (!stdin.listeners('data').includes(collect)) {
        stdin.on('data', collect);
        stdin.resume();
      }
      if (lines.length === 0 && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const done = (): void => {
            clearTimeout(timer);
            signal.removeEventListener('abort', done);
            wake = undefined;
            resolve();
          };
          const timer = setTimeout(done, patience);
          signal.addEventListener('abort', done);
          wake = done;
        });
      }
      return lines.shift();
    },
    stop() {
      stdin.off('data', collect);
      rest = '';
    },
  };
}

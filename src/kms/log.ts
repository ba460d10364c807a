import { writeSync } from 'node:fs';

export type Level = 'debug' | 'info' | 'warn' | 'error';
export type Log = (level: Level, message: string, fields?: Readonly<Record<string, string | number | boolean>>) => void;

/**
 * One line of the server's log, as go-plugin's host reads it from standard error: JSON with `@level`, `@message`
 * and `@timestamp` (exactly six fractional digits; with any others OpenBao logs the whole line at debug, where
 * nobody sees it). Control characters are escaped, so that no label of a token steers a terminal.
 */
export function logLine(
  level: Level,
  text: string,
  fields: Readonly<Record<string, string | number | boolean>> = {},
  now = new Date(),
): string {
  const timestamp = now.toISOString().replace(/\.(\d{3})Z$/, '.$1000Z');
  const entry = { '@level': level, '@message': text, '@timestamp': timestamp, ...fields };
  return `${JSON.stringify(entry).replace(/[\u007f-\u009f]/g, ' ')}\n`;
}

/** Writes to standard error at once. The server may be gone: then nobody is left to read it. */
export const logToServer: Log = (level, text, fields) => {
  try {
    writeSync(2, logLine(level, text, fields));
  } catch {
    // EPIPE, or EAGAIN where the server does not read.
  }
};

const LONGEST_LINE = 300;
const MOST_LINES = 5;
const STRUCK = '[struck out]';

/** Runs that could be a token, a share, a password hash: 20 or more characters of the usual alphabets. */
const RUN = /[A-Za-z0-9+/_=-]{20,}/g;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Tokens of both flavours: `s.`, `hvs.`, `b.`, `hvb.`, `r.`, `hvr.` and what follows, however short. */
const TOKEN = /\b(?:hv)?[sbr]\.[A-Za-z0-9_-]{8,}/g;
/** Control characters, which could drive a terminal, and marks that turn the writing direction round. */
const CONTROL = /[\u0000-\u0020\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g;

/**
 * A server's text made fit for a screen: one line, at most 300 characters, no control characters, and nothing in
 * it that looks like a token or a share. UUIDs stay: nonces are ids, not secrets, and people compare them.
 */
export function cleanText(text: string): string {
  const line = text.replace(CONTROL, ' ').trim().replace(TOKEN, STRUCK).replace(RUN, strike);
  return line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE - 1)}…` : line;
}

/** The first five of a server's error or warning lines, cleaned. Anything that is no list of strings gives none. */
export function cleanLines(lines: unknown): readonly string[] {
  if (!Array.isArray(lines)) return [];
  return lines
    .filter((line) => typeof line === 'string')
    .slice(0, MOST_LINES)
    .map(cleanText);
}

/** Overwrites every occurrence of `secret` in `bytes` with asterisks, so that an echo goes no further. */
export function strikeBytes(bytes: Uint8Array, secret: Uint8Array): void {
  if (secret.length < 4) return;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = view.indexOf(secret); at !== -1; at = view.indexOf(secret, at)) {
    view.fill(0x2a, at, at + secret.length);
  }
}

// Plain words joined by dashes or slashes (a path, a policy name) are lower case without digits: they may stay.
function strike(run: string): string {
  return UUID.test(run) || /^[a-z/_=-]+$/.test(run) ? run : STRUCK;
}

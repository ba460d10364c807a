import { deflateRawSync, inflateRawSync } from 'node:zlib';

/** A line is pasted into a chat, and an unpacked document held in memory: neither is large. */
const LONGEST_LINE = 256 << 10;
const LARGEST = 1 << 20;

/**
 * One line of text that people paste and send as a file: `KIND:` and the packed text in base64url, which no chat
 * program breaks or beautifies.
 */
export function toLine(kind: string, text: string): string {
  return `${kind}:${deflateRawSync(Buffer.from(text)).toString('base64url')}`;
}

/** The text of a line, blanks and line breaks from a paste left out; undefined when it is no such line. */
export function fromLine(kind: string, line: string): string | undefined {
  if (line.length > LONGEST_LINE) return undefined;
  const [, packed] = new RegExp(`^${kind}:([A-Za-z0-9_-]+)$`).exec(line.replaceAll(/\s/g, '')) ?? [];
  if (packed === undefined) return undefined;
  try {
    const bytes = inflateRawSync(Buffer.from(packed, 'base64url'), { maxOutputLength: LARGEST });
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

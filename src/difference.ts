import { isDeepStrictEqual } from 'node:util';

/** Beyond this a diff is all lines of the old text and all of the new one. */
const MOST_CELLS = 250_000;

/**
 * The lines that differ, each after `- ` or `+ `, in their order: what a reviewer has to read of a policy.
 * Lines that both have are left out. A longest common subsequence, so that a moved line shows twice.
 */
export function diffLines(before: string, after: string): readonly string[] {
  const old = linesOf(before);
  const fresh = linesOf(after);
  if (old.length * fresh.length > MOST_CELLS) return [...old.map(removed), ...fresh.map(added)];
  const width = fresh.length + 1;
  const longest = new Uint16Array((old.length + 1) * width);
  const at = (row: number, column: number): number => longest[row * width + column] ?? 0;
  for (let row = old.length - 1; row >= 0; row -= 1) {
    for (let column = fresh.length - 1; column >= 0; column -= 1) {
      longest[row * width + column] =
        old[row] === fresh[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  const lines: string[] = [];
  let row = 0;
  let column = 0;
  while (row < old.length || column < fresh.length) {
    if (row < old.length && column < fresh.length && old[row] === fresh[column]) {
      row += 1;
      column += 1;
    } else if (row < old.length && (column >= fresh.length || at(row + 1, column) >= at(row, column + 1))) {
      lines.push(removed(old[row] ?? ''));
      row += 1;
    } else {
      lines.push(added(fresh[column] ?? ''));
      column += 1;
    }
  }
  return lines;
}

function linesOf(text: string): string[] {
  return text.trimEnd() === '' ? [] : text.trimEnd().split(/\r?\n/);
}

const removed = (line: string): string => `- ${line}`;
const added = (line: string): string => `+ ${line}`;

/**
 * Whether the server has what was written, in its own form: durations become seconds, text lists become arrays, a
 * list of policies is sorted, and what was not written may have been filled in.
 */
export function sameValue(written: unknown, read: unknown): boolean {
  if (isDeepStrictEqual(written, read)) return true;
  if (isObject(written))
    return isObject(read) && Object.entries(written).every(([key, value]) => sameValue(value, read[key]));
  if (Array.isArray(written) || Array.isArray(read)) return isDeepStrictEqual(asSet(written), asSet(read));
  if (typeof written === 'string' && typeof read === 'number') return seconds(written) === read;
  if (isPlain(written) && isPlain(read)) return String(written).trim() === String(read).trim();
  return false;
}

/** A list, or text with commas between its members, without regard to order. */
function asSet(value: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : String(value).split(',');
  return list.map((member) => (isPlain(member) ? String(member).trim() : JSON.stringify(member))).sort();
}

function isPlain(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function seconds(duration: string): number | undefined {
  const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
  const parts = [...duration.matchAll(/(\d+)([smhd]?)/g)];
  if (parts.map((part) => part[0]).join('') !== duration) return undefined;
  return parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * (units[unit === '' || unit === undefined ? 's' : unit] ?? 1),
    0,
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const GAP = '   ';

/**
 * Lines of a borderless table, columns padded to their widest cell, for results and talk alike.
 * Widths count visible characters, so cells may carry colours. The header is optional.
 */
export function tableLines(rows: readonly (readonly string[])[], header?: readonly string[]): string[] {
  const all = header === undefined ? rows : [header, ...rows];
  const widths: number[] = [];
  for (const row of all) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, visible(cell));
  }
  return all.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - visible(cell)))
      .join(GAP)
      .trimEnd(),
  );
}

/** Breaks `text` at blanks into lines of at most `width` characters, each after `indent`. */
export function wrapLines(text: string, width = 80, indent = ''): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && indent.length + line.length + 1 + word.length > width) {
      lines.push(indent + line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  if (line !== '') lines.push(indent + line);
  return lines;
}

/** A path as a person in folder `cwd` would write it: relative to it when it lies inside, else as it is. */
export function shownPath(cwd: string, path: string): string {
  const near = relative(cwd, path);
  return near === '' || near.startsWith('..') ? path : near;
}

function visible(cell: string): number {
  return [...stripVTControlCharacters(cell)].length;
}

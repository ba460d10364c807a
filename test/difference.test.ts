import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diffLines } from '../src/difference.ts';

const text = fc
  .array(fc.constantFrom('a', 'b', 'c', 'path "x" {}'), { maxLength: 12 })
  .map((lines) => lines.join('\n'));

describe('the diff of two texts', () => {
  it('shows what is new, what goes, and nothing of what stays', () => {
    expect(diffLines('one\ntwo\nthree\n', 'one\n2\nthree\nfour')).toEqual(['- two', '+ 2', '+ four']);
    expect(diffLines('', 'one')).toEqual(['+ one']);
    expect(diffLines('one\n', '')).toEqual(['- one']);
  });

  it('is empty only for equal texts, and leads from the one to the other in number of lines', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        const lines = diffLines(before, after);
        expect(lines.length === 0).toBe(before === after);
        const count = (of: string): number => (of === '' ? 0 : of.split('\n').length);
        const balance = lines.reduce((sum, line) => sum + (line.startsWith('+ ') ? 1 : -1), 0);
        expect(balance).toBe(count(after) - count(before));
      }),
    );
  });
});

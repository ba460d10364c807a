import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';

const MAIN = join(import.meta.dirname, '../src/main.ts');

async function quorate(...args: readonly string[]): Promise<{ status: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { status, out, err };
}

describe('the command line', () => {
  it('names a full disk behind standard output, and does not say that all is well', async () => {
    const full = await open('/dev/full', 'w');
    try {
      const child = spawn(process.execPath, [MAIN, 'ceremony', 'list'], { stdio: ['ignore', full.fd, 'pipe'] });
      const [err, [status]] = await Promise.all([
        text(child.stderr as Readable),
        once(child, 'close') as Promise<[number | null]>,
      ]);
      expect({ status, err }).toEqual({ status: 1, err: expect.stringMatching(/^error {2}file-invalid: /) as string });
      expect(err).not.toContain(' at ');
    } finally {
      await full.close();
    }
  });

  it.each([
    { words: ['help', 'ceremony', 'run'], shown: 'Usage: quorate ceremony run ' },
    { words: ['ceremony', 'run', '--help'], shown: 'Usage: quorate ceremony run ' },
    { words: ['help', 'ceremony'], shown: 'Usage: quorate ceremony ' },
    { words: ['help'], shown: 'Usage: quorate ' },
  ])('explains what is asked for: $words', async ({ words, shown }) => {
    const { status, out, err } = await quorate(...words);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out.startsWith(shown)).toBe(true);
  });

  it.each([
    [['statsu']],
    [['ceremony']],
    [['ceremony', 'nothing']],
    [['ceremony', 'run']],
    [['status', 'more']],
    [['status', '--nothing']],
    [['status', '-address=https://127.0.0.1:8200']],
  ])('refuses %j, and says nothing on standard output', async (words) => {
    const { status, out, err } = await quorate(...words);
    expect({ status, out }).toEqual({ status: 1, out: '' });
    expect(err).toMatch(/error {2}usage: |Usage: /);
  });

  it.each([
    { words: ['statsu'], meant: 'Did you mean status?' },
    { words: ['ceremony', 'resum'], meant: 'Did you mean resume?' },
    { words: ['status', '--peeer', 'one'], meant: 'Did you mean --peer?' },
  ])('guesses what $words meant', async ({ words, meant }) => {
    const { err } = await quorate(...words);
    expect(err).toContain(meant);
  });

  it('ends quietly when nobody reads on', async () => {
    const child = spawn(process.execPath, [MAIN, 'help'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    const [err, [status]] = await Promise.all([text(child.stderr), once(child, 'close') as Promise<[number | null]>]);
    expect({ status, err }).toEqual({ status: 0, err: '' });
  });
});

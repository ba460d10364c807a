import { mkdtempSync, rmSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { QuorateError } from '../src/errors.ts';
import { fileError, fillExclusive, isFileFault } from '../src/files.ts';
import { codeOf } from './support/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'quorate-files-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function fault(code: string): Error {
  return Object.assign(new Error('made up'), { code, syscall: 'write' });
}

describe('a new file', () => {
  it('is there with what was written, for its owner alone', async () => {
    const path = join(folder, 'good');
    expect(await fillExclusive(path, (handle) => handle.writeFile('text').then(() => 7))).toBe(7);
    expect([await readFile(path, 'utf8'), (await stat(path)).mode & 0o777]).toEqual(['text', 0o600]);
    expect(await codeOf(fillExclusive(path, () => Promise.resolve()))).toBe('file-exists');
    expect(await readFile(path, 'utf8')).toBe('text');
  });

  it.each([
    ['the disk is full', fault('ENOSPC'), 'file-invalid'],
    ['something else fails', new QuorateError('denied', 'no'), 'denied'],
  ])('is gone again when %s, so that it can be tried again', async (_, error, code) => {
    const path = join(folder, 'bad');
    const failing = fillExclusive(path, async (handle) => {
      await handle.writeFile('half');
      throw error;
    });
    expect(await codeOf(failing)).toBe(code);
    expect(await readdir(folder)).not.toContain('bad');
  });
});

it('tells a full disk, with what to do, and lets faults of quorate be faults', () => {
  expect(isFileFault(fault('ENOSPC'))).toBe(true);
  expect(fileError('x', fault('ENOSPC'))).toMatchObject({ code: 'file-invalid', hint: expect.any(String) as string });
  for (const error of [
    new TypeError('x'),
    Object.assign(new Error('x'), { code: 'ENOSPC' }),
    fault('EWHATEVER'),
    undefined,
  ])
    expect(isFileFault(error)).toBe(false);
});

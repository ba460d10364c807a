import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorCode, MAIN, quorate } from './support/quorate.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quorate-guard-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

describe('a Node that is open to others, without the launcher', () => {
  it.each([
    { NODE_DEBUG: 'http' },
    { NODE_DEBUG_NATIVE: 'http2' },
    { NODE_OPTIONS: '--trace-uncaught' },
    { NODE_OPTIONS: '--max-old-space-size=512 --report-on-signal' },
    { NODE_OPTIONS: '--require=./loaded.cjs' },
    { NODE_OPTIONS: '--require "./loaded.cjs"' },
  ])('is refused: %o', async (env) => {
    await writeFile(join(folder, 'loaded.cjs'), '');
    const ended = await quorate(['--version'], { cwd: folder, env });
    expect([ended.status, errorCode(ended), ended.stdout]).toEqual([1, 'environment-hostile', '']);
    expect(ended.stderr).toContain('bin/quorate');
  });

  it('is refused for its flags', async () => {
    const running = promisify(execFile)(process.execPath, ['--trace-warnings', MAIN, '--version']);
    await expect(running).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('environment-hostile') as string,
    });
  });

  it.each([
    { NODE_DEBUG: '' },
    { NODE_OPTIONS: ' ' },
    { NODE_OPTIONS: '--max-old-space-size=512  --max_semi_space_size=16' },
    { NODE_OPTIONS: '--no-warnings --disable-warning=DEP0040 --use-openssl-ca' },
    { NODE_EXTRA_CA_CERTS: '/nowhere.pem', NODE_ENV: 'test', VITEST: 'true' },
  ])('is not: %o', async (env) => {
    const ended = await quorate(['--version'], { cwd: folder, env });
    expect([ended.status, errorCode(ended)]).toEqual([0, undefined]);
  });
});

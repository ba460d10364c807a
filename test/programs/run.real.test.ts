import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type RunRequest, programRunner, runForSecret } from '../../src/programs/run.ts';
import { Secret } from '../../src/secret.ts';

const run = programRunner({
  PATH: process.env['PATH'],
  HOME: '/nonexistent',
  NODE_OPTIONS: '--no-warnings',
  VAULT_TOKEN: 'hvs.canary',
  BAO_TOKEN: 's.canary',
  SOMETHING: 'else',
});
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const sh = (script: string, more: Partial<RunRequest> = {}): RunRequest => ({
  program: 'sh',
  args: ['-c', script],
  ...more,
});

describe('what a program gets', () => {
  test('arguments reach it as they are', async () => {
    const awkward = ['$(id)', '; rm -rf x', '', 'two words', '*', '"'];
    const { stdout } = await run({ program: 'printf', args: ['<%s>', ...awkward] });
    expect(text(stdout)).toBe(awkward.map((each) => `<${each}>`).join(''));
  });

  test('the environment is the usual few and what the caller names', async () => {
    const { stdout } = await run({ program: 'env', args: [], env: { NAMED: 'yes' } });
    const names = text(stdout)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('=')[0]);
    expect(names.sort()).toEqual(['HOME', 'NAMED', 'PATH']);
  });

  test.each(['NODE_OPTIONS', 'VAULT_TOKEN', 'BAO_TOKEN', 'LD_PRELOAD', 'VAULT_CLIENT_KEY'])(
    '%s is not passed on to anything',
    async (name) => {
      await expect(run({ program: 'true', args: [], env: { [name]: 'x' } })).rejects.toMatchObject({ code: 'bug' });
    },
  );

  test('standard input from bytes and from a secret, which the caller can wipe at once', async () => {
    const bytes = new Uint8Array(300_000).fill(0x61);
    expect((await run({ program: 'cat', args: [], stdin: bytes })).stdout).toEqual(bytes);
    const secret = Secret.fromText('a share');
    const result = run({ program: 'cat', args: [], stdin: secret });
    secret.wipe();
    expect(text((await result).stdout)).toBe('a share');
  });

  test('without input it reads the end at once', async () => {
    expect((await run({ program: 'cat', args: [] })).stdout).toHaveLength(0);
  });

  test('one that does not read its input is no failure', async () => {
    expect((await run({ program: 'true', args: [], stdin: new Uint8Array(1 << 20) })).status).toBe(0);
  });
});

describe('what comes back', () => {
  test('output as a secret', async () => {
    const secret = await runForSecret(run, sh('printf hidden'));
    expect(secret.exposeText()).toBe('hidden');
    expect(inspect(secret)).not.toContain('hidden');
  });

  test('standard error, bounded and without control characters', async () => {
    const { stderr } = await run(sh('printf "a\\033[2Jb\\nc" >&2; head -c 100000 /dev/zero | tr "\\0" x >&2'));
    expect(stderr.startsWith('a[2Jb\nc')).toBe(true);
    expect(stderr.length).toBeLessThanOrEqual(16 << 10);
  });

  test('a status that the caller accepts', async () => {
    expect((await run(sh('exit 3', { statuses: [0, 3] }))).status).toBe(3);
    expect((await run(sh('exit 9', { statuses: 'any' }))).status).toBe(9);
  });
});

describe('failures', () => {
  test('a missing program is named, with a hint how to get it', async () => {
    await expect(run({ program: 'no-such-program', args: [] })).rejects.toMatchObject({ code: 'program-missing' });
    const nowhere = programRunner({ PATH: '/nonexistent' });
    const error: unknown = await nowhere({ program: 'gpg', args: [] }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'program-missing', hint: expect.stringContaining('gnupg') as string });
  });

  test('a file that cannot be run', async () => {
    await expect(run({ program: '/etc/passwd', args: [] })).rejects.toMatchObject({ code: 'program-missing' });
  });

  test('an argument that cannot be passed on is not quoted', async () => {
    const error: unknown = await run({ program: 'true', args: ['canary\0'] }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'program-failed' });
    expect(inspect(error)).not.toContain('canary');
  });

  test('a failing one quotes neither input, output nor errors', async () => {
    const error: unknown = await run(
      sh('cat; echo canary-out; echo canary-err >&2; exit 1', { stdin: Secret.fromText('canary-in') }),
    ).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'program-failed' });
    expect(inspect(error, { showHidden: true, depth: 9 }) + JSON.stringify(error)).not.toContain('canary');
  });

  test('too much output ends it', async () => {
    await expect(run({ program: 'yes', args: [], limit: 1000 })).rejects.toMatchObject({ code: 'program-failed' });
  });

  test('too long ends it', async () => {
    await expect(run({ program: 'sleep', args: ['60'], timeout: 100 })).rejects.toMatchObject({
      code: 'program-failed',
    });
  });

  test('one that ignores the request to end is killed', async () => {
    const started = Date.now();
    await expect(run(sh('trap "" TERM; while :; do sleep 0.1; done', { timeout: 100 }))).rejects.toMatchObject({
      code: 'program-failed',
    });
    expect(Date.now() - started).toBeLessThan(20_000);
  });

  test('one that was killed from elsewhere has failed', async () => {
    await expect(run(sh('kill -9 $$', { statuses: 'any' }))).rejects.toMatchObject({ code: 'program-failed' });
  });

  test('the signal cancels, before and during', async () => {
    await expect(run({ program: 'true', args: [], signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'cancelled',
    });
    const controller = new AbortController();
    const running = run({ program: 'sleep', args: ['60'], signal: controller.signal });
    setTimeout(() => {
      controller.abort();
    }, 50);
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
  });
});

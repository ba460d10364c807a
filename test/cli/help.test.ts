import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { COMMANDS, type Entry, main } from '../../src/cli.ts';

/** Runs a command line in this process, without a terminal, 80 columns wide. */
async function run(...argv: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const streams = { stdout: [] as string[], stderr: [] as string[] };
  const stream = (name: keyof typeof streams) => {
    const made = new PassThrough();
    made.on('data', (chunk: Buffer) => streams[name].push(chunk.toString()));
    return Object.assign(made, { isTTY: false, columns: 80 }) as unknown as NodeJS.WriteStream;
  };
  const status = await main(argv, {
    env: {},
    cwd: '/',
    stdin: Object.assign(new PassThrough(), { isTTY: false }) as unknown as NodeJS.ReadStream,
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    signal: new AbortController().signal,
  });
  return { status, stdout: streams.stdout.join(''), stderr: streams.stderr.join('') };
}

function leaves(table: Readonly<Record<string, Entry>>, before: readonly string[] = []): (readonly string[])[] {
  return Object.entries(table).flatMap(([name, { commands }]) =>
    commands === undefined ? [[...before, name]] : leaves(commands, [...before, name]),
  );
}

const VERBS = leaves(COMMANDS);

describe('help', () => {
  it.each([[], ...Object.keys(COMMANDS).map((name) => [name]), ...VERBS.filter(({ length }) => length > 1)])(
    'quorate %s %s',
    async (...given) => {
      const words = given.filter((word): word is string => typeof word === 'string' && word !== '');
      const { status, stdout, stderr } = await run(...words, '--help');
      expect([status, stderr]).toEqual([0, '']);
      await expect(stdout).toMatchFileSnapshot(`${['help', ...words].join('-')}.snapshot`);
    },
  );

  it.each(VERBS)('quorate %s %s has an example that begins with its name', async (...words) => {
    const named = words.filter((word) => typeof word === 'string');
    const { stdout } = await run(...named, '--help');
    expect(stdout).toMatch(new RegExp(`^ +\\$ .*quorate ${named.join(' ')}\\b`, 'm'));
  });
});

describe('what is used wrongly', () => {
  it.each([
    ['a verb that is not there', ['statsu']],
    ['an option that is not there', ['status', '--nothing']],
    ['one dash', ['status', '-address=https://127.0.0.1:1']],
    ['an argument too many', ['status', 'more']],
    ['an argument too few', ['ceremony', 'run']],
    ['a format that is not there', ['status', '--format', 'xml']],
    ['an address and a cluster', ['status', '--address', 'https://127.0.0.1:1', '--cluster', 'prod']],
    ['no descriptor', ['unseal', '--address', 'https://127.0.0.1:1', '--share-fd', 'x']],
    ['a share with =', ['unseal', '--share=00']],
  ])('%s: exit 1 and a hint', async (_what, argv) => {
    const { status, stdout, stderr } = await run(...argv);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^error {2}usage: /);
  });

  it('is told as one JSON object too', async () => {
    const { status, stdout } = await run('status', '--nothing', '--format', 'json');
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'usage', exit: 1 } });
    const late = await run('status', '--address', 'https://127.0.0.1:1', '--cluster', 'prod', '--format=json');
    expect(JSON.parse(late.stdout)).toMatchObject({ error: { code: 'usage', exit: 1 } });
  });

  it('shows no colour and no spinner without a terminal', async () => {
    const { stdout, stderr, status } = await run('status', '--address', 'https://127.0.0.1:1');
    expect(status).toBe(3);
    expect(stdout + stderr).not.toContain('\u001b');
  });
});

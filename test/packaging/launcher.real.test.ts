import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const LAUNCHER = join(import.meta.dirname, '../../bin/quorate');

/** Stands in for the program: prints what the launcher made of its surroundings. */
const PROBE = `
const { execSync } = require('node:child_process');
console.log(JSON.stringify({
  args: process.argv.slice(2),
  env: process.env,
  execArgv: process.execArgv,
  umask: process.umask(),
  core: execSync('ulimit -c', { shell: '/bin/sh', encoding: 'utf8' }).trim(),
}));`;

interface Seen {
  readonly args: string[];
  readonly env: Record<string, string>;
  readonly execArgv: string[];
  readonly umask: number;
  readonly core: string;
}

let folder: string;
let launcher: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quorate-launcher-'));
  launcher = join(folder, 'package/bin/quorate');
  await mkdir(join(folder, 'package/bin'), { recursive: true });
  await mkdir(join(folder, 'package/dist'));
  await copyFile(LAUNCHER, launcher);
  await chmod(launcher, 0o755);
  await writeFile(join(folder, 'package/dist/quorate.cjs'), PROBE);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function launch(env: NodeJS.ProcessEnv = {}, path = launcher, args: string[] = []): Promise<Seen> {
  const base = { PATH: process.env['PATH'], QUORATE_NODE: process.execPath };
  const { stdout } = await run(path, args, { env: { ...base, ...env }, cwd: folder });
  return JSON.parse(stdout) as Seen;
}

describe('the launcher', () => {
  it('forbids core dumps and files that others can read', async () => {
    const seen = await launch();
    expect(seen.core).toBe('0');
    expect(seen.umask).toBe(0o077);
  });

  it('hands arguments over as they are', async () => {
    const args = ['a b', '', '$HOME', '*', "'"];
    expect((await launch({}, launcher, args)).args).toEqual(args);
  });

  it('keeps hostile variables from Node, and their values for later', async () => {
    const hostile = {
      NODE_OPTIONS: '--require=/nowhere.js',
      NODE_DEBUG: 'http',
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
      NODE_USE_ENV_PROXY: '1',
      NODE_PATH: '/nowhere',
      NODE_V8_COVERAGE: join(folder, 'coverage'),
      DEBUG: '*; touch injected $(touch injected)',
    };
    const { env } = await launch(hostile);
    for (const [name, value] of Object.entries(hostile)) {
      expect(env).not.toHaveProperty(name);
      expect(env).toHaveProperty(`QUORATE_KEPT_${name}`, value);
    }
  });

  it('changes nothing else in the environment', async () => {
    const harmless = { name: 'a', self: 'b', node: 'c', root: 'd', VAULT_ADDR: 'https://x', NODE_EXTRA_CA_CERTS: '' };
    expect((await launch(harmless)).env).toMatchObject(harmless);
    expect(Object.keys((await launch()).env).filter((name) => name.startsWith('QUORATE_KEPT'))).toEqual([]);
  });

  it('keeps Node from reading authorities that nobody asked for', async () => {
    expect((await launch()).execArgv).toEqual(['--use-openssl-ca']);
    expect((await launch({ NODE_USE_SYSTEM_CA: '0' })).execArgv).toEqual(['--use-openssl-ca']);
    expect((await launch({ NODE_USE_SYSTEM_CA: '1' })).execArgv).toEqual(['--use-system-ca']);
  });

  it('is found through links, and by a bare name', async () => {
    await symlink(launcher, join(folder, 'absolute'));
    await mkdir(join(folder, 'links'));
    await symlink('../absolute', join(folder, 'links/quorate'));
    expect((await launch({}, join(folder, 'links/quorate'), ['x'])).args).toEqual(['x']);
    const PATH = `${join(folder, 'links')}:${process.env['PATH'] ?? ''}`;
    expect((await launch({ PATH }, 'quorate', ['y'])).args).toEqual(['y']);
  });

  it('says what to do when there is no Node, or nothing built', async () => {
    await expect(launch({ QUORATE_NODE: '/nowhere/node' })).rejects.toMatchObject({ code: 127 });
    const bare = join(folder, 'bare/bin');
    await mkdir(bare, { recursive: true });
    await copyFile(launcher, join(bare, 'quorate'));
    await expect(launch({}, join(bare, 'quorate'))).rejects.toMatchObject({ code: 1 });
  });
});

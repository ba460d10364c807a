import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { version } from '../../src/build.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const NODES = join(ROOT, '.setup/nodes/node_modules');

/** By label; bin/setup --tests installs those that are not the one running this. */
const nodes: Readonly<Record<string, string>> = {
  'the oldest Node': join(NODES, 'node-22/bin/node'),
  'the Node of the checkout': process.execPath,
  'the newest Node': join(NODES, 'node-26/bin/node'),
};

let folder: string;
let packed: string[];
let quorate: string;
let installed: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quorate-package-'));
  // The scripts would build dist/ anew under the feet of other tests; bin/setup has just built it the same way.
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT });
  const [tarball = ''] = await readdir(folder);
  const { stdout } = await run('tar', ['-tzf', join(folder, tarball)]);
  packed = stdout.trimEnd().split('\n');
  const prefix = join(folder, 'prefix');
  const options = ['--prefix', prefix, '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--offline'];
  await run('npm', ['install', '-g', ...options, join(folder, tarball)], { cwd: folder });
  quorate = join(prefix, 'bin/quorate');
  installed = join(prefix, 'lib/node_modules/quorate');
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the installed package', () => {
  for (const [label, node] of Object.entries(nodes)) {
    it(`starts on ${label}`, async () => {
      expect(existsSync(node)).toBe(true);
      const env = { ...process.env, QUORATE_NODE: node };
      expect((await run(quorate, ['--version'], { env })).stdout).toContain(version);
      expect((await run(quorate, ['--help'], { env })).stdout).toContain('unseal');
    });
  }

  it('holds the bundle, the ready ceremonies and the licences, and nothing of the checkout', async () => {
    // What npm installs beside it (a global install brings optional packages from its cache) is not asked here.
    const top = new Set(packed.map((path) => path.split('/')[1]));
    expect([...top].sort()).toEqual(['LICENSE', 'README.md', 'bin', 'ceremonies', 'dist', 'package.json']);
    expect(await readdir(join(installed, 'bin'))).toEqual(['quorate']);
    expect(await readdir(join(installed, 'dist'))).toEqual(
      expect.arrayContaining(['THIRD-PARTY-LICENSES.txt', 'openpgp', 'prebuilt']),
    );
    expect(await readdir(join(installed, 'dist/openpgp'))).toContain('LICENSE');
  });

  it('says by checksums what it is', async () => {
    const { stdout } = await run('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: join(installed, 'dist') });
    expect(stdout).toMatch(/chunks\/main\.cjs: OK/);
  });

  it('loads its PKCS#11 addon on every Node', async () => {
    const addon = join(installed, 'dist/prebuilt', `${process.platform}-${process.arch}`);
    for (const node of Object.values(nodes)) {
      const { stdout } = await run(node, ['-p', 'typeof require(process.argv[1]).PKCS11', addon]);
      expect(stdout).toBe('function\n');
    }
  });

  it('has no axios in it', async () => {
    const chunks = join(installed, 'dist/chunks');
    const { stdout } = await run('grep', ['-rlE', 'AxiosError|follow-redirects', chunks]).catch(() => ({ stdout: '' }));
    expect(stdout).toBe('');
  });
});

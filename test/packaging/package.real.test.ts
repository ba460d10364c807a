import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { version } from '../../src/build.ts';
import { KmsPlugin } from '../../src/kms/client.ts';
import { makeCertificates } from '../../src/rehearsal/certificates.ts';
import { listen, type Play, SEAL_STATUS } from '../support/listener.ts';

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

/** What a single server answers to the questions of `quorate status`. */
const unsealed: Play = ({ url }, reply) => {
  if (url.endsWith('/health')) {
    reply(200, { initialized: true, sealed: false, standby: false, server_time_utc: Math.floor(Date.now() / 1000) });
  } else reply(200, url.endsWith('/leader') ? { ha_enabled: false } : SEAL_STATUS);
};

describe('the installed package', () => {
  for (const [label, node] of Object.entries(nodes)) {
    it(`starts on ${label}`, async () => {
      expect(existsSync(node)).toBe(true);
      const env = { ...process.env, QUORATE_NODE: node };
      expect((await run(quorate, ['--version'], { env })).stdout).toContain(version);
      expect((await run(quorate, ['--help'], { env })).stdout).toContain('unseal');
    });
  }

  it('trusts the authorities that it is told to, and Node’s own only where none is named', async () => {
    const [ours, other] = await Promise.all([makeCertificates(['a']), makeCertificates(['b'])]);
    const [ca, otherCa] = [join(folder, 'ca.pem'), join(folder, 'other.pem')];
    await Promise.all([writeFile(ca, ours.ca), writeFile(otherCa, other.ca)]);
    const own = ours.peers[0]!;
    const server = await listen(unsealed, { tls: { cert: own.certificate, key: own.key.exposeText() } });
    const pin = new X509Certificate(own.certificate).fingerprint256;
    const status = async (
      QUORATE_NODE: string,
      more: Record<string, string>,
      flags: string[] = [],
    ): Promise<string> => {
      const env = { PATH: process.env['PATH'], BAO_ADDR: server.address, QUORATE_NODE, ...more };
      const args = ['status', '--format', 'json', ...flags];
      const done = run(quorate, args, { env, cwd: folder }).catch((error: unknown) => error as { stdout: string });
      const { peers } = JSON.parse((await done).stdout) as { peers: { state: string; fault?: { code: string } }[] };
      return peers[0]?.fault?.code ?? peers[0]?.state ?? '';
    };
    try {
      for (const node of Object.values(nodes)) {
        expect({
          'a CA': await status(node, { BAO_CACERT: ca }),
          'one more for Node': await status(node, { NODE_EXTRA_CA_CERTS: ca }),
          'a pin': await status(node, {}, ['--pin', pin]),
          'the machine’s, asked for': await status(node, { NODE_USE_SYSTEM_CA: '1', SSL_CERT_FILE: ca }),
          'nothing': await status(node, {}),
          'the machine’s, not asked for': await status(node, { SSL_CERT_FILE: ca, SSL_CERT_DIR: folder }),
          'another CA': await status(node, { BAO_CACERT: otherCa, NODE_EXTRA_CA_CERTS: ca, SSL_CERT_FILE: ca }),
          'another pin': await status(node, { NODE_EXTRA_CA_CERTS: ca }, ['--pin', '0'.repeat(64)]),
        }).toEqual({
          'a CA': 'active',
          'one more for Node': 'active',
          'a pin': 'active',
          'the machine’s, asked for': 'active',
          'nothing': 'server-identity',
          'the machine’s, not asked for': 'server-identity',
          'another CA': 'server-identity',
          'another pin': 'server-identity',
        });
      }
    } finally {
      await server.close();
    }
  });

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

  it('prints no configuration that it reads, whatever its packages are asked to print', async () => {
    const config = join(folder, 'broken.yaml');
    await writeFile(config, 'clusters: {canary: [');
    const env = {
      PATH: process.env['PATH'],
      QUORATE_NODE: process.execPath,
      LOG_TOKENS: '1',
      LOG_STREAM: '1',
      DEBUG: '*',
    };
    const done: unknown = await run(quorate, ['status', '--config', config], { env }).catch((error: unknown) => error);
    expect(done).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('document-invalid') as string });
    expect((done as { stderr: string }).stderr).not.toContain('canary');
  });

  it('has no two chunks that need each other first', async () => {
    const chunks = join(installed, 'dist/chunks');
    const needs = new Map<string, readonly string[]>();
    for (const name of await readdir(chunks)) {
      const text = await readFile(join(chunks, name), 'utf8');
      needs.set(
        name,
        Array.from(text.matchAll(/^(?:const|let) .*require\("\.\/(.+)"\);$/gm), ([, other = '']) => other),
      );
    }
    expect(needs.get('main.cjs')).not.toEqual([]);
    const done = new Set<string>();
    const circle = (name: string, above: readonly string[]): string | undefined => {
      if (above.includes(name)) return [...above, name].join(' -> ');
      if (done.has(name)) return undefined;
      done.add(name);
      return (needs.get(name) ?? []).map((other) => circle(other, [...above, name])).find((one) => one !== undefined);
    };
    expect([...needs.keys()].map((name) => circle(name, [])).filter((one) => one !== undefined)).toEqual([]);
  });

  it('puts its KMS plugin into a plugin folder, and has one that starts on every Node', async () => {
    for (const node of Object.values(nodes)) {
      const plugins = await mkdtemp(join(folder, 'plugins-'));
      const options = ['--dir', plugins, '--node', node, '--format', 'json'];
      const { stdout } = await run(quorate, ['hsm', 'plugin', 'install', ...options], {
        env: { ...process.env, QUORATE_NODE: process.execPath },
      });
      const { path, sha256 } = JSON.parse(stdout) as { path: string; sha256: string };
      const plugin = await KmsPlugin.launch({ command: path, sha256, env: process.env });
      expect(await plugin.stop()).toBe(true);
    }
  });

  it('has no axios in it', async () => {
    const chunks = join(installed, 'dist/chunks');
    const { stdout } = await run('grep', ['-rlE', 'AxiosError|follow-redirects', chunks]).catch(() => ({ stdout: '' }));
    expect(stdout).toBe('');
  });
});

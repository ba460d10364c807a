import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseProof } from '../../../src/ceremony/proof.ts';
import { loadRoster } from '../../../src/ceremony/roster/roster.ts';
import { fingerprintShare, hasFingerprint } from '../../../src/ceremony/share.ts';
import { type GnupgHome, gnupgHome } from '../../support/gnupg.ts';
import { sealTo } from '../../support/pgp.ts';
import { openTerminal } from '../../support/terminal.ts';
import { sample, sampleText } from '../../ceremony/roster/samples.ts';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');
let folder: string;
let home: GnupgHome;
let alice: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quorate-'));
  home = await gnupgHome();
  alice = await home.generate('Alice', 'ed25519', 'sign,cert', '3y');
  await home.addSubkey(alice, 'cv25519', 'encr', '3y');
  await writeFile(at('alice.asc'), await home.gpg('--armor', '--export', alice));
  await writeFile(at('alice.pgp'), await sealed(sampleText(1)));
});

afterAll(async () => {
  await home.remove();
  await rm(folder, { recursive: true, force: true });
});

const at = (name: string) => join(folder, name);

const sealed = async (text: string) => await sealTo(await home.exportKey(alice), text);

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `quorate custodian ...` with its standard output in a pipe. */
function custodian(args: readonly string[], input = ''): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [MAIN, 'custodian', ...args], {
      cwd: folder,
      env: { PATH, HOME, GNUPGHOME: home.path },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('close', (status) => {
      resolve({ status, stdout, stderr });
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

const errorOf = ({ stdout, stderr }: Ended): unknown =>
  /"code": *"([a-z-]+)"/.exec(`${stdout}${stderr}`)?.[1] ?? /error {2}([a-z-]+):/.exec(stderr)?.[1];

describe('custodian check', () => {
  test('shows a usable key, in groups of four', async () => {
    const { status, stdout } = await custodian(['check', 'alice.asc']);
    expect(status).toBe(0);
    expect(stdout.replace(/\s/g, '')).toContain(alice);
    expect(stdout).toMatch(/(?:[0-9A-F]{4} ){5} (?:[0-9A-F]{4} ){4}[0-9A-F]{4}/);
  });

  test('judges every key, and fails when one is unusable', async () => {
    await writeFile(at('none.asc'), 'hello');
    const { status, stdout } = await custodian([
      'check',
      'alice.asc',
      'alice.asc',
      'none.asc',
      'missing.asc',
      '--format',
      'json',
    ]);
    expect(status).toBe(1);
    const verdicts = JSON.parse(stdout) as { usable: boolean; error?: { code: string } }[];
    expect(verdicts.map(({ usable, error }) => (usable ? 'usable' : error?.code))).toEqual([
      'usable',
      'key-unusable',
      'key-unusable',
      'file-missing',
    ]);
  });

  test('asks for as long a validity as one wants', async () => {
    expect((await custodian(['check', 'alice.asc', '--valid-for', '2000'])).status).toBe(1);
    expect(errorOf(await custodian(['check', 'alice.asc', '--valid-for', 'long']))).toBe('usage');
  });
});

describe('custodian decrypt', () => {
  test('gives the share to a pipe', async () => {
    const { status, stdout } = await custodian(['decrypt', 'alice.pgp']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: `${sampleText(1)}\n` });
  });

  test('gives the share to a new file that only its owner can read', async () => {
    const { status, stdout } = await custodian(['decrypt', 'alice.pgp', '--output', 'share']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
    expect(await readFile(at('share'), 'utf8')).toBe(`${sampleText(1)}\n`);
    expect((await stat(at('share'))).mode & 0o777).toBe(0o600);
    expect(errorOf(await custodian(['decrypt', 'alice.pgp', '--output', 'share']))).toBe('file-exists');
  });

  test('never shows it on a terminal', async () => {
    const { PATH = '', HOME = '' } = process.env;
    for (const args of [
      ['decrypt', 'alice.pgp'],
      ['decrypt', 'alice.pgp', '--output', '/dev/stdout'],
      ['decrypt', 'alice.pgp', '--output', '/dev/tty'],
    ]) {
      const terminal = openTerminal(process.execPath, [MAIN, 'custodian', ...args], {
        cwd: folder,
        env: { PATH, HOME, GNUPGHOME: home.path },
      });
      const { code } = await terminal.exit;
      expect(code).toBe(1);
      expect(terminal.raw().toString('latin1')).not.toContain(sampleText(1).slice(0, 16));
    }
  });

  test('proves that it can be read, without the share, to a terminal too', async () => {
    const { status, stdout } = await custodian([
      'decrypt',
      'alice.pgp',
      '--proof',
      '--holder',
      'Alice Example',
      '--ceremony',
      'init-19fe',
    ]);
    expect(status).toBe(0);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    const ciphertext = Uint8Array.from(await readFile(at('alice.pgp')));
    const proof = parseProof(stdout, { holder: 'Alice Example', ciphertext, ceremony: 'init-19fe' });
    expect(fingerprintShare(sample(1), proof.salt).sha256).toBe(proof.sha256);
    expect(stdout).not.toContain(sampleText(1).slice(0, 16));
  });

  test('makes the same proof of a message in base64', async () => {
    const ciphertext = Uint8Array.from(await readFile(at('alice.pgp')));
    await writeFile(at('alice.b64'), Buffer.from(ciphertext).toString('base64'));
    const { stdout } = await custodian(['decrypt', 'alice.b64', '--proof']);
    expect(parseProof(stdout, { holder: 'Alice Example', ciphertext }).x).toBe(sample(1).x);
  });

  test('decrypts with a key file, and without gpg', async () => {
    await writeFile(at('alice.key'), await home.gpg('--export-secret-keys', alice));
    await chmod(at('alice.key'), 0o644);
    expect(errorOf(await custodian(['decrypt', 'alice.pgp', '--key', 'alice.key']))).toBe('file-mode');
    await chmod(at('alice.key'), 0o600);
    const empty = await mkdtemp('/tmp/qg-');
    try {
      const { stdout } = await custodian(['decrypt', 'alice.pgp', '--key', 'alice.key']);
      expect(stdout).toBe(`${sampleText(1)}\n`);
      expect(errorOf(await custodian(['decrypt', 'alice.pgp', '--gnupg-home', empty]))).toBe('share-undecryptable');
      expect(errorOf(await custodian(['decrypt', 'alice.pgp', '--gnupg-home', empty, '--key', 'alice.key']))).toBe(
        'usage',
      );
    } finally {
      await rm(empty, { recursive: true, force: true });
    }
  });

  test('reads the only share of a cluster, and says what is no share', async () => {
    await writeFile(at('single.pgp'), await sealed('ab'.repeat(32)));
    expect((await custodian(['decrypt', 'single.pgp'])).stdout).toBe(`${'ab'.repeat(32)}\n`);
    await writeFile(at('token.pgp'), await sealed('s.3v4zSQRR9bHRRsXpHVeZZqyF'));
    const ended = await custodian(['decrypt', 'token.pgp']);
    expect([errorOf(ended), ended.status]).toEqual(['share-invalid', 5]);
    expect(`${ended.stdout}${ended.stderr}`).not.toContain('3v4zSQ');
  });
});

describe('custodian enroll', () => {
  const who = ['--cluster', 'prod-eu', '--holder'];

  test('takes shares in their ways, and makes a roster of the claims', async () => {
    await writeFile(at('bo.share'), `${sampleText(2)}\n`, { mode: 0o600 });
    const ways: [string, string[], string][] = [
      ['Alice Example', ['--pgp-share', 'alice.pgp', '--pgp-key', 'alice.asc'], ''],
      ['Bo Example', ['--share-file', 'bo.share'], ''],
      ['Cleo Example', ['--share-fd', '0'], sampleText(3)],
    ];
    for (const [holder, args, input] of ways) {
      const name = `${holder.slice(0, 2)}.claim.yaml`;
      const ended = await custodian(['enroll', ...who, holder, ...args, '--output', name], input);
      expect(ended).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(await readFile(at(name), 'utf8')).not.toMatch(/(?:12|13|14){16}/);
    }
    const merge = ['enroll', '--merge', 'roster.yaml', 'Al.claim.yaml', 'Bo.claim.yaml'];
    const begun = await custodian([...merge, '--shares', '3', '--threshold', '2', '--output', 'roster.yaml']);
    expect(begun.status).toBe(0);
    expect(await loadRoster(at('roster.yaml'))).toMatchObject({ threshold: 2, unlisted: 1 });
    expect(
      (await custodian(['enroll', '--merge', 'roster.yaml', 'Cl.claim.yaml', '--output', 'new.yaml'])).status,
    ).toBe(0);
    const { shares } = await loadRoster(at('new.yaml'));
    expect(shares.map(({ holder, status, pgp: key }) => [holder, status, key])).toEqual([
      ['Alice Example', 'claimed', alice],
      ['Bo Example', 'claimed', undefined],
      ['Cleo Example', 'claimed', undefined],
    ]);
    expect(shares.every(({ fingerprint }, index) => hasFingerprint(sample(index + 1), fingerprint))).toBe(true);
  });

  test('asks for the share, hidden, at a terminal', async () => {
    const { PATH = '', HOME = '' } = process.env;
    const terminal = openTerminal(process.execPath, [MAIN, 'custodian', 'enroll', ...who, 'Dan Example'], {
      cwd: folder,
      env: { PATH, HOME },
    });
    await terminal.waitFor('Your share');
    terminal.type(sampleText(4));
    terminal.press('enter');
    expect((await terminal.exit).code).toBe(0);
    expect(terminal.raw().toString('latin1')).toContain('Dan Example');
    expect(terminal.raw().toString('latin1')).not.toContain(sampleText(4).slice(0, 8));
  });

  test('refuses what does not fit together', async () => {
    const codes = await Promise.all([
      custodian(['enroll', '--cluster', 'prod-eu']),
      custodian(['enroll', ...who, 'Eve Example']),
      custodian(['enroll', ...who, 'Eve Example', '--share-fd', '0'], 'not a share'),
      custodian(['enroll', '--merge', 'nothing.yaml', 'alice.asc']),
      custodian(['enroll', '--merge', 'nothing.yaml']),
    ]);
    expect(codes.map(errorOf)).toEqual(['usage', 'terminal-needed', 'share-invalid', 'document-invalid', 'usage']);
  });
});

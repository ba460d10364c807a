import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import type { Finding } from '../../../src/finding.ts';
import { temporaryFolder } from '../../support/cluster.ts';
import { type Ended, quorate } from '../../support/quorate.ts';
import { SOFTHSM_MODULE, type SoftHsm, softHsm, type SoftToken } from '../../support/softhsm.ts';

let hsm: SoftHsm;
let tokens: readonly SoftToken[];
let folder: string;

const run = (...args: readonly string[]): Promise<Ended> =>
  quorate(['hsm', ...args], { cwd: folder, env: { ...hsm.env, QUORATE_PKCS11_MODULE: SOFTHSM_MODULE } });

beforeAll(async () => {
  hsm = await softHsm();
  tokens = [await hsm.addToken('one'), await hsm.addToken('two')];
  folder = await temporaryFolder();
  await chmod(folder, 0o755);
  await mkdir(join(folder, 'plugins'), { mode: 0o755 });
  await writeFile(join(folder, 'user.pin'), '1234\n', { mode: 0o600 });
  await writeFile(join(folder, 'wrong.pin'), '9999\n', { mode: 0o600 });
  for (const { label } of tokens) {
    const ended = await run('keygen', '--token', label, '--label', 'seal', '--pin-file', 'user.pin');
    expect(ended.status).toBe(0);
  }
  expect((await run('plugin', 'install', '--dir', 'plugins')).status).toBe(0);
  const options = ['--key', 'seal', '--plugin-dir', 'plugins', '--pin-file', 'user.pin'];
  expect((await run('config', '--token', 'one', ...options, '--output', 'one.hcl')).status).toBe(0);
  const both = ['--token', 'one', '--token', 'two', '--threshold', '1', '--pin-file', 'user.pin'];
  expect((await run('config', ...both, ...options, '--output', 'both.hcl')).status).toBe(0);
});

/** What is not well, as `about: text`, after `change` of a good configuration. */
async function doctor(
  file: string,
  change: (text: string) => string = (text) => text,
): Promise<[number | null, string[]]> {
  await writeFile(join(folder, 'now.hcl'), change(await readFile(join(folder, file), 'utf8')));
  const { status, stdout } = await run('doctor', 'now.hcl', '--format', 'json');
  const { findings } = JSON.parse(stdout) as { findings: readonly Finding[] };
  return [status, findings.filter(({ level }) => level !== 'ok').map(({ about, text }) => `${about}: ${text}`)];
}

it('finds a good seal good, with a round trip through the plugin, and warns of a single token', async () => {
  const [status, faults] = await doctor('both.hcl');
  expect([status, faults]).toEqual([0, []]);
  const one = await run('doctor', 'one.hcl');
  expect([one.status, one.stdout]).toEqual([
    0,
    expect.stringMatching(/round trip: the plugin \(type quorate-kms\)/) as unknown,
  ]);
  expect(one.stdout).toContain('warning  seal: it has a single token');
});

it('tries a wrong PIN once, and starts no plugin with it', async () => {
  const [status, faults] = await doctor('one.hcl', (text) => text.replace('user.pin', 'wrong.pin'));
  expect(status).toBe(5);
  expect(faults.join('\n')).toMatch(/token "one": the token refused the PIN \(CKR_PIN_INCORRECT from C_Login\)/);
  expect(faults.join('\n')).not.toContain('round trip');
});

it.each<[string, (text: string) => string, RegExp]>([
  ['a key that is not there', (text) => text.replace('"seal"', '"none"'), /token "one": the token has no key "none"/],
  [
    'a token that is not there',
    (text) => text.replace('"one"', '"none"'),
    /the library sees no token with label "none"/,
  ],
  ['a library that is not there', (text) => text.replace('libsofthsm2.so', 'libnone.so'), /there is no such file/],
  [
    'a mechanism of another key',
    (text) => text.replace('aes-gcm', 'rsa-oaep'),
    /AES-256 key, and the seal wants rsa-oaep/,
  ],
  ['another hash', (text) => text.replace(/"[0-9a-f]{64}"/, `"${'0'.repeat(64)}"`), /has another SHA-256/],
  ['a plugin that is not there', (text) => text.replace('"quorate-kms"\n  sha', '"none"\n  sha'), /none is not there/],
  ['a PIN file that is not there', (text) => text.replace('user.pin', 'no.pin'), /no\.pin is not there/],
])('finds %s', async (_what, change, expected) => {
  const [status, faults] = await doctor('one.hcl', change);
  expect(status).toBe(5);
  expect(faults.join('\n')).toMatch(expected);
});

it('names what others could change', async () => {
  await chmod(join(folder, 'plugins'), 0o777);
  const [status, faults] = await doctor('one.hcl');
  await chmod(join(folder, 'plugins'), 0o755);
  expect([status, faults[0]]).toEqual([
    5,
    expect.stringMatching(/others than its owner can write .*plugins/) as unknown,
  ]);
});

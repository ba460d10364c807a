import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/cluster.ts';
import { baoBinary } from '../support/bao-binary.ts';
import { processesNaming } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';
import { errorCode, quorate } from '../support/quorate.ts';

it('rehearses a seal of 2 of 3 HSMs, one of which breaks, and leaves nothing running', async () => {
  const folder = await temporaryFolder();
  const directory = join(folder, 'rehearsal');
  const ended = await quorate(['rehearse', '--seal', '2-of-3', '--directory', directory, '--format', 'json'], {
    cwd: folder,
    env: { QUORATE_BAO: await baoBinary() },
  });
  expect(ended.status, ended.stderr).toBe(0);
  const rehearsal = JSON.parse(ended.stdout) as Record<string, unknown>;
  expect(rehearsal).toMatchObject({ verified: true, shares: 5, threshold: 3 });
  expect(rehearsal).not.toHaveProperty('unsealRecord');
  expect(await readFile(String(rehearsal['roster']), 'utf8')).toContain('seal: recovery');
  const log = await readFile(join(directory, 'peer-1/server.log'), 'utf8');
  expect(log).toContain('degraded: encrypted with 2 of 3 tokens (hsm-c/seal:');
  // A plugin sees within a second that its server is gone.
  await waitUntil('nothing runs any more', () => processesNaming(directory).length === 0);
  // The PINs are in files of their owner, and nowhere else.
  const pins = (await readdir(join(directory, 'hsm'))).filter((name) => name.endsWith('.pin'));
  expect(pins).toHaveLength(3);
  for (const name of pins) {
    const pin = await readFile(join(directory, 'hsm', name), 'utf8');
    for (const text of [log, ended.stdout, ended.stderr]) expect(text).not.toContain(pin);
  }
});

it('rehearses a seal of one HSM, by a script of fewer people', async () => {
  const folder = await temporaryFolder();
  const template = await readFile(join(import.meta.dirname, '../../ceremonies/init.yaml'), 'utf8');
  const script = template
    .replace(/^shares: 5/m, 'shares: 2')
    .replace(/^threshold: 3/m, 'threshold: 2')
    .replace(/^ {2}- name: Chris[^]*?(?=^witnesses:)/m, '');
  await writeFile(join(folder, 'init.yaml'), script);
  const directory = join(folder, 'rehearsal');
  const ended = await quorate(
    ['rehearse', 'init.yaml', '--seal', 'pkcs11', '--directory', directory, '--format', 'json'],
    { cwd: folder, env: { QUORATE_BAO: await baoBinary() } },
  );
  expect(ended.status, ended.stderr).toBe(0);
  expect(JSON.parse(ended.stdout)).toMatchObject({ verified: true, shares: 2, threshold: 2 });
  expect(ended.stderr).toContain('the HSM opens them, and nobody gives a share');
  for (const peer of ['peer-1', 'peer-2', 'peer-3']) {
    const log = await readFile(join(directory, peer, 'server.log'), 'utf8');
    expect(log).toContain('configured: 1 of hsm-a/seal');
  }
  await waitUntil('nothing runs any more', () => processesNaming(directory).length === 0);
});

it('knows no other seals', async () => {
  const ended = await quorate(['rehearse', '--seal', 'transit', '--format', 'json'], { cwd: await temporaryFolder() });
  expect([ended.status, errorCode(ended)]).toEqual([1, 'usage']);
});

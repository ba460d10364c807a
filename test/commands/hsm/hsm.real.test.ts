import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../support/cluster.ts';
import { brokenLibrary, type Manner, otherToken } from '../../support/pkcs11-stub.ts';
import { type Ended, errorCode, MAIN, quorate, startQuorate } from '../../support/quorate.ts';
import { SOFTHSM_MODULE, type SoftHsm, softHsm, type SoftToken } from '../../support/softhsm.ts';
import { openTerminal } from '../../support/terminal.ts';

let hsm: SoftHsm;
let token: SoftToken;
let folder: string;

beforeAll(async () => {
  hsm = await softHsm();
  token = await hsm.addToken('seal');
  folder = await temporaryFolder();
  const files = { 'user.pin': '1234\n', 'wrong.pin': '9999\n', 'so.pin': '87654321\n', 'new.pin': '4321\n' };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
});

const env = (more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  ...hsm.env,
  QUORATE_PKCS11_MODULE: SOFTHSM_MODULE,
  ...more,
});

const run = (line: string, more: Readonly<Record<string, string>> = {}, input = ''): Promise<Ended> =>
  quorate(['hsm', ...line.split(' ')], { cwd: folder, env: env(more), input });

interface TokensResult {
  readonly tokens: readonly { readonly label: string; readonly flags: Readonly<Record<string, boolean>> }[];
}

async function flags(label: string): Promise<Readonly<Record<string, boolean>>> {
  const { stdout } = await run('tokens --format json');
  return (JSON.parse(stdout) as TokensResult).tokens.find((one) => one.label === label)?.flags ?? {};
}

describe('hsm tokens', () => {
  it('lists the libraries in their usual places without one, and slots and tokens with one', async () => {
    expect((await run('tokens', { QUORATE_PKCS11_MODULE: '' })).stdout).toContain(
      `SoftHSM              ${SOFTHSM_MODULE}`,
    );
    const { stdout } = await run('tokens --format json --mechanisms');
    expect(JSON.parse(stdout)).toMatchObject({
      library: { manufacturer: 'SoftHSM', cryptoki: '2.40' },
      tokens: [
        { label: 'seal', serial: token.serial, mechanisms: expect.arrayContaining(['CKM_AES_GCM']) as unknown },
        {},
      ],
    });
  });

  it.each([
    ['tokens --module /nowhere.so', 'hsm-library-invalid'],
    ['tokens --module /lib/x86_64-linux-gnu/libm.so.6', 'hsm-library-invalid'],
    ['inspect --token none --pin-file user.pin', 'hsm-token-missing'],
    ['inspect --slot x --pin-file user.pin', 'usage'],
    ['inspect --token seal --pin-file user.pin --pin-fd 0', 'usage'],
  ])('%s: %s', async (line, code) => {
    expect(errorCode(await run(line))).toBe(code);
  });

  it('gives up on a library that hangs', async () => {
    const ended = await run(`tokens --module ${await brokenLibrary()} --timeout 1`);
    expect([ended.status, errorCode(ended)]).toEqual([2, 'hsm-timeout']);
  });
});

describe('a PIN', () => {
  it('that is wrong is tried once, as the token counts it', async () => {
    const ended = await run('inspect --token seal --pin-file wrong.pin');
    expect([ended.status, errorCode(ended)]).toEqual([4, 'pin-wrong']);
    expect(await flags('seal')).toMatchObject({ userPinCountLow: true });
    const next = await run('inspect --token seal --pin-file user.pin');
    expect([next.status, next.stderr]).toEqual([
      0,
      expect.stringContaining('warning  wrong PINs were given') as unknown,
    ]);
    expect(await flags('seal')).toMatchObject({ userPinCountLow: false });
  });

  it('comes from a descriptor, or a systemd credential', async () => {
    const started = startQuorate(['hsm', 'inspect', '--pin-fd', '3', '--token', 'seal'], {
      cwd: folder,
      env: env(),
      pipes: 1,
    });
    started.give(3, '1234\n');
    expect((await started.ended).status).toBe(0);
    const credentials = join(folder, 'credentials');
    await mkdir(credentials, { mode: 0o700 });
    await writeFile(join(credentials, 'hsm-pin'), '1234\n', { mode: 0o440 });
    const line = 'inspect --token seal --pin-credential hsm-pin';
    expect((await run(line, { CREDENTIALS_DIRECTORY: credentials })).status).toBe(0);
    expect(errorCode(await run(line))).toBe('usage');
    expect(
      errorCode(await run('inspect --token seal --pin-credential ../x', { CREDENTIALS_DIRECTORY: credentials })),
    ).toBe('usage');
  });

  it('that others can read, or that is empty, is not used', async () => {
    await writeFile(join(folder, 'loose.pin'), '1234', { mode: 0o644 });
    await writeFile(join(folder, 'empty.pin'), '\n', { mode: 0o600 });
    expect(errorCode(await run('inspect --token seal --pin-file loose.pin'))).toBe('file-mode');
    expect(errorCode(await run('inspect --token seal --pin-file empty.pin'))).toBe('pin-unusable');
    expect(await flags('seal')).toMatchObject({ userPinCountLow: false });
  });

  it.each<[Manner, string]>([
    ['final-try', 'pin-last-try'],
    ['locked', 'pin-locked'],
  ])('is not tried, nor asked for, when the token says %s', async (manner, code) => {
    const other = await otherToken();
    const more = { ...other.env(manner), QUORATE_PKCS11_MODULE: other.path };
    const ended = await run('inspect --token seal', more);
    expect([ended.status, errorCode(ended)]).toEqual([4, code]);
    const told = await run('inspect --token seal --pin-file user.pin --last-try', more);
    expect(told.status).toBe(manner === 'final-try' ? 0 : 4);
  });
});

describe('hsm init', () => {
  it('makes a token ready for keygen and test, and touches it no more', async () => {
    const pins = '--so-pin-file so.pin --pin-file new.pin';
    expect((await run(`init --label fresh ${pins}`)).status).toBe(0);
    expect(await flags('fresh')).toMatchObject({ initialised: true, userPinSet: true });
    const made = await run('keygen --token fresh --label k --pin-file new.pin --format json');
    expect(JSON.parse(made.stdout)).toMatchObject({ key: { type: 'AES-256', fitFor: ['aes-gcm'] } });
    const tried = await run('test --token fresh --pin-file new.pin --rounds 2 --format json');
    expect(JSON.parse(tried.stdout)).toMatchObject({ mechanism: 'CKM_AES_GCM', rounds: 2 });
    expect(errorCode(await run(`init --token fresh --label x ${pins}`))).toBe('hsm-token-in-use');
    expect(errorCode(await run(`init --token fresh --label x --erase ${pins}`))).toBe('terminal-needed');
    expect(errorCode(await run(`init --label fresh ${pins}`))).toBe('hsm-token-in-use');
    expect((await run('inspect --token fresh --pin-file new.pin')).status).toBe(0);
  });

  it('erases only after its label was typed', async () => {
    const line = [
      'hsm',
      'init',
      '--token',
      'fresh',
      '--label',
      'anew',
      '--erase',
      '--so-pin-file',
      'so.pin',
      '--pin-file',
      'new.pin',
    ];
    const no = openTerminal(process.execPath, [MAIN, ...line], { cwd: folder, env: env(), columns: 120 });
    await no.waitFor(/Type fresh to go on/);
    no.press('enter');
    expect((await no.exit).code).toBe(130);
    expect(await flags('fresh')).toMatchObject({ initialised: true });
    const yes = openTerminal(process.execPath, [MAIN, ...line], { cwd: folder, env: env(), columns: 120 });
    await yes.waitFor(/Type fresh to go on/);
    yes.type('fresh');
    yes.press('enter');
    expect((await yes.exit).code).toBe(0);
    expect(await flags('fresh')).toEqual({});
    const keys = await run('inspect --token anew --pin-file new.pin --format json');
    expect(JSON.parse(keys.stdout)).toMatchObject({ keys: [] });
  });
});

it('inspect exits 5 while a key is there that can be read out', async () => {
  await hsm.addKey(token, 'AES:32', 'open', '07', '--extractable');
  const ended = await run('inspect --token seal --pin-file user.pin');
  expect(ended.status).toBe(5);
  expect(ended.stdout).toMatch(/^open +07 +AES-256 +NO +YES +yes +nothing: the key can be read out$/m);
});

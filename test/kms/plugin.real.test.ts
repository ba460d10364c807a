import { createHash } from 'node:crypto';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { KmsPlugin } from '../../src/kms/client.ts';
import { type Installed, installPlugin } from '../../src/kms/install.ts';
import { message } from '../../src/kms/protobuf.ts';
import { temporaryFolder } from '../support/cluster.ts';
import {
  installed,
  launched,
  oneToken,
  sealTokens,
  severalTokens,
  slowLibrary,
  type SlowLibrary,
} from '../support/kms.ts';
import { isRunning } from '../support/processes.ts';
import { softHsm, type SoftHsm, type SoftToken } from '../support/softhsm.ts';
import { waitUntil } from '../support/wait.ts';

let program: Installed;
let hsm: SoftHsm;
let tokens: SoftToken[];
let slow: SlowLibrary;

beforeAll(async () => {
  program = await installed();
  hsm = await softHsm();
  slow = await slowLibrary();
  tokens = await sealTokens(hsm, 'hsm-a', 'hsm-b', 'hsm-c');
});

const token = (index: number): SoftToken => tokens[index]!;
const ROOT_KEY = new TextEncoder().encode('the root key, 32 bytes of it ...');
const PROGRAM_FAILED = 'program-failed';

async function warnings(plugin: KmsPlugin, text: string): Promise<void> {
  await waitUntil(`a warning: ${text}`, () =>
    plugin.log.some((one) => one.level === 'warn' && one.message.includes(text)),
  );
}

describe('the plugin with one token', () => {
  it('encrypts and decrypts, by AES-GCM on the token', async () => {
    const plugin = await launched(program, hsm.env, oneToken(token(0)));
    await plugin.init();
    const blob = await plugin.encrypt(ROOT_KEY);
    expect(await plugin.decrypt(blob)).toEqual(ROOT_KEY);
    expect([await plugin.type(), await plugin.keyId()]).toEqual(['quorate-kms', blob.keyId]);
    const changed = {
      ...blob,
      ciphertext: Uint8Array.from(blob.ciphertext, (byte, index) => (index === 3 ? byte ^ 1 : byte)),
    };
    await expect(plugin.decrypt(changed)).rejects.toMatchObject({ code: PROGRAM_FAILED });
    expect(await plugin.stop()).toBe(true);
  });

  it('does so with an RSA pair too, and moves to a new key while the old one still decrypts', async () => {
    await hsm.addKey(token(0), 'rsa:2048', 'pair', '02', '--sensitive');
    const rsa = { key_label: 'pair', mechanism: 'CKM_RSA_PKCS_OAEP', rsa_oaep_hash: 'sha1' };
    const first = await launched(program, hsm.env, oneToken(token(0), rsa));
    const old = await first.encrypt(ROOT_KEY);
    await first.stop();
    const second = await launched(program, hsm.env, oneToken(token(0)));
    expect(await second.decrypt(old)).toEqual(ROOT_KEY);
    // By this the server knows that it has to encrypt anew.
    expect(await second.keyId()).not.toBe(old.keyId);
  });

  it('refuses a key that can be had from the token, unless told otherwise', async () => {
    await hsm.addKey(token(0), 'AES:32', 'loose', '03', '--extractable');
    const stanza = oneToken(token(0), { key_label: 'loose' });
    const plugin = await launched(program, hsm.env, stanza);
    await expect(plugin.init()).rejects.toMatchObject({
      message: expect.stringMatching(/not sensitive|extractable/) as string,
    });
    const tolerant = await launched(program, hsm.env, { ...stanza, allow_extractable: 'true' });
    expect(await tolerant.decrypt(await tolerant.encrypt(ROOT_KEY))).toEqual(ROOT_KEY);
  });

  it('takes the PIN from a file that only its owner can read, or from the environment', async () => {
    const file = join(await temporaryFolder(), 'pin');
    await writeFile(file, `${token(0).pin}\n`, { mode: 0o644 });
    const stanza = { lib: hsm.module, token_label: 'hsm-a', key_label: 'seal' };
    const plugin = await launched(program, hsm.env, { ...stanza, pin_file: file });
    await expect(plugin.init()).rejects.toMatchObject({
      message: expect.stringContaining('can be read by others (mode 644)') as string,
    });
    await chmod(file, 0o600);
    await plugin.init();
    const other = await launched(program, { ...hsm.env, PIN_A: token(0).pin }, { ...stanza, pin_env: 'PIN_A' });
    await other.init();
  });

  it('takes a PIN that was mended without being started again, and tries each one once', async () => {
    const file = join(await temporaryFolder(), 'pin');
    await writeFile(file, 'wrong', { mode: 0o600 });
    const before = slow.logins();
    const env = { ...hsm.env, ...slow.env };
    const plugin = await launched(program, env, {
      lib: slow.lib,
      token_label: 'hsm-a',
      key_label: 'seal',
      pin_file: file,
    });
    for (let round = 0; round < 3; round += 1) {
      await expect(plugin.encrypt(ROOT_KEY)).rejects.toMatchObject({
        message: expect.stringContaining('CKR_PIN_INCORRECT') as string,
      });
    }
    expect(slow.logins() - before).toBe(1);
    await writeFile(file, token(0).pin);
    await plugin.encrypt(ROOT_KEY);
    expect(slow.logins() - before).toBe(2);
  });

  it("says of what another seal stored that it is another seal's", async () => {
    const plugin = await launched(program, hsm.env, oneToken(token(0)));
    const theirs = {
      ciphertext: new Uint8Array(48),
      iv: new Uint8Array(12),
      keyId: 'bao-root-key',
      wrappedKey: new Uint8Array(),
    };
    await expect(plugin.decrypt(theirs)).rejects.toMatchObject({
      message:
        'what the server stored was not encrypted by quorate-kms but by another seal (its key: "bao-root-key"): start the server with that seal, and migrate',
    });
  });

  it('tries again what may have failed by chance, and the server hears nothing of it', async () => {
    const plugin = await launched(program, { ...hsm.env, ...slow.env }, oneToken(token(0), { lib: slow.lib }));
    await plugin.init();
    slow.failOnce();
    expect(await plugin.decrypt(await plugin.encrypt(ROOT_KEY))).toEqual(ROOT_KEY);
    expect(slow.isToFail()).toBe(false);
    expect(plugin.log.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('is not ended by the signals that a whole group or unit gets, and answers as the protocol has it', async () => {
    const plugin = await launched(program, hsm.env, oneToken(token(0)));
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1'] as const) process.kill(plugin.pid ?? 0, signal);
    const text = 'function not implemented';
    await expect(plugin.call('/pb.Wrapper/None', message())).rejects.toMatchObject({ message: text });
    await expect(plugin.call('/pb.Wrapper/Type', message([1, 'nobody']))).rejects.toMatchObject({
      message: 'instance not found',
    });
    expect(await plugin.type()).toBe('quorate-kms');
  });

  it('gives up a library that hangs after the time-out, and goes on when it answers again', async () => {
    const env = { ...hsm.env, ...slow.env };
    const plugin = await launched(program, env, oneToken(token(0), { lib: slow.lib, timeout: '2' }));
    await plugin.init();
    slow.hang();
    try {
      await expect(plugin.encrypt(ROOT_KEY)).rejects.toMatchObject({
        message: expect.stringContaining('no answer within 2 s: its library hangs') as string,
      });
      await expect(plugin.encrypt(ROOT_KEY)).rejects.toMatchObject({
        message: expect.stringMatching(/hangs, and has not answered for \d+ s/) as string,
      });
    } finally {
      slow.goOn();
    }
    const blob = await waitUntil('the token answers', () => plugin.encrypt(ROOT_KEY).catch(() => undefined));
    expect(await plugin.decrypt(blob)).toEqual(ROOT_KEY);
  });

  it('gives back what it no longer needs when it rests', async () => {
    const plugin = await launched(program, hsm.env, oneToken(token(0)));
    for (let round = 0; round < 100; round += 1) await plugin.decrypt(await plugin.encrypt(ROOT_KEY));
    const mostAndNow = async (): Promise<readonly [number, number]> => {
      const status = await readFile(`/proc/${String(plugin.pid)}/status`, 'utf8');
      return [Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]), Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1])];
    };
    await waitUntil('it holds less than it did by 1.5 MB', async () => {
      const [most, now] = await mostAndNow();
      return now < most - 1_500;
    });
    expect(await plugin.decrypt(await plugin.encrypt(ROOT_KEY))).toEqual(ROOT_KEY);
  });

  it('ends in time although its library hangs, and leaves no folder', async () => {
    const env = { ...hsm.env, ...slow.env, TMPDIR: await temporaryFolder() };
    const plugin = await launched(program, env, oneToken(token(0), { lib: slow.lib, timeout: '2' }));
    await plugin.init();
    expect(await readdir(env.TMPDIR)).toHaveLength(1);
    slow.hang();
    try {
      await expect(plugin.encrypt(ROOT_KEY)).rejects.toMatchObject({ code: PROGRAM_FAILED });
      expect(await plugin.stop()).toBe(true);
    } finally {
      slow.goOn();
    }
    expect(await readdir(env.TMPDIR)).toEqual([]);
    expect(isRunning(plugin.pid ?? 0)).toBe(false);
  });
});

describe('the plugin with 2 of 3 tokens', () => {
  it('does without one that hangs in a library of its own', async () => {
    const mixed = severalTokens(tokens, 2, { token3_lib: slow.lib, encrypt_min: '2', timeout: '2' });
    const plugin = await launched(program, { ...hsm.env, ...slow.env }, mixed);
    const blob = await plugin.encrypt(ROOT_KEY);
    slow.hang();
    try {
      const started = performance.now();
      expect(await plugin.decrypt(blob)).toEqual(ROOT_KEY);
      expect(performance.now() - started).toBeLessThan(1_900);
      await plugin.encrypt(ROOT_KEY);
      await warnings(plugin, 'degraded: encrypted with 2 of 3 tokens (hsm-c/seal: no answer within 2 s');
    } finally {
      slow.goOn();
    }
    await waitUntil('all three answer', async () => (await plugin.encrypt(ROOT_KEY)).keyId === blob.keyId);
  });

  it('encrypts with all or not at all where the stanza does not say otherwise', async () => {
    const plugin = await launched(program, hsm.env, severalTokens(tokens, 2));
    const blob = await plugin.encrypt(ROOT_KEY);
    await hsm.takeAway(token(2));
    try {
      await plugin.stop();
      const again = await launched(program, hsm.env, severalTokens(tokens, 2));
      await expect(again.encrypt(ROOT_KEY)).rejects.toMatchObject({
        message:
          'encryption needs 3 of 3 tokens, 2 answered (hsm-c/seal: the library sees no token with label "hsm-c")',
      });
      expect(await again.decrypt(blob)).toEqual(ROOT_KEY);
    } finally {
      await hsm.putBack(token(2));
    }
  });

  it('loads where one of the libraries is broken, and refuses where too many are', async () => {
    const broken = { token3_lib: '/nowhere/lib.so' };
    await launched(program, hsm.env, severalTokens(tokens, 2, broken));
    await expect(
      launched(program, hsm.env, severalTokens(tokens, 2, { ...broken, token2_lib: program.path })),
    ).rejects.toMatchObject({
      message: expect.stringMatching(
        /hsm-b\/seal: .*it is no library for this machine; hsm-c\/seal: \/nowhere\/lib\.so: there is no such file/,
      ) as string,
    });
  });
});

describe('the plugin file', () => {
  it('is one file, whose hash covers the addon in it', async () => {
    const bytes = await readFile(program.path);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(program.sha256);
    expect(await readdir(join(program.path, '..'))).toEqual(['quorate-kms']);
    expect(bytes.toString('latin1').split('\n')[1]).toContain(`exec '${process.execPath}' `);
  });

  it("runs nothing that the server's environment smuggles in", async () => {
    const trap = join(await temporaryFolder(), 'trap.cjs');
    await writeFile(trap, `require('node:fs').writeFileSync(${JSON.stringify(`${trap}.sprung`)}, '')`);
    await launched(
      program,
      { ...hsm.env, NODE_OPTIONS: `--require ${trap}`, NODE_PATH: trap, NODE_DEBUG: 'http2' },
      oneToken(token(0)),
    );
    expect(await readdir(join(trap, '..'))).toEqual(['trap.cjs']);
  });

  it('says in words that its Node is gone', async () => {
    const path = join(await temporaryFolder(), 'quorate-kms');
    const bytes = (await readFile(program.path)).toString('latin1').replaceAll(process.execPath, '/nowhere/node');
    await writeFile(path, bytes, { encoding: 'latin1', mode: 0o755 });
    await expect(KmsPlugin.launch({ command: path, env: {} })).rejects.toMatchObject({
      message: 'quorate-kms: there is no Node at /nowhere/node; quorate hsm plugin install puts this plugin in place',
    });
  });

  it('is not installed on a Node that does not run it', async () => {
    const folder = await temporaryFolder();
    await chmod(folder, 0o755);
    await expect(installPlugin({ folder, node: '/bin/true' })).rejects.toMatchObject({ code: PROGRAM_FAILED });
    expect(await readdir(folder)).toEqual([]);
  });

  it('says in words that it is not for people, when nobody launched it', async () => {
    const { spawnSync } = await import('node:child_process');
    const { status, stderr } = spawnSync(program.path, { encoding: 'utf8' });
    expect(status).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({
      '@level': 'error',
      '@message': expect.stringContaining('hsm plugin install') as string,
    });
  });
});

import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KmsPlugin } from '../../src/kms/client.ts';
import type { Installed } from '../../src/kms/install.ts';
import type { BlobInfo } from '../../src/kms/messages.ts';
import { temporaryFolder } from '../support/cluster.ts';
import { installed, launched, oneToken, sealTokens, severalTokens, type Stanza } from '../support/kms.ts';
import { type Manner, otherToken } from '../support/pkcs11-stub.ts';
import { softHsm, type SoftHsm, type SoftToken } from '../support/softhsm.ts';

/* What the administrator reads in the server's log, word for word: the server shows the bare message of the plugin. */

const ROOT_KEY = new TextEncoder().encode('the root key, 32 bytes of it ...');

let program: Installed;
let hsm: SoftHsm;
let tokens: SoftToken[];
let plugin: KmsPlugin;
let shim: Awaited<ReturnType<typeof otherToken>>;

beforeAll(async () => {
  program = await installed();
  hsm = await softHsm();
  tokens = await sealTokens(hsm, 'hsm-a', 'hsm-b');
  plugin = await launched(program, hsm.env);
  shim = await otherToken();
});

const token = (): SoftToken => tokens[0]!;

async function messageOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (error: unknown) => (error as Error).message,
  );
}

/** What an encryption with the stanza fails with; one process has one seal after the other, as a server may. */
async function refusal(stanza: Stanza, process = plugin): Promise<string> {
  await process.setConfig(stanza);
  const said = await messageOf(process.encrypt(ROOT_KEY));
  await process.finalize();
  return said;
}

/** The token behind a library with other manners, and a plugin that sees them. */
async function mannered(manner: Manner): Promise<readonly [Stanza, KmsPlugin]> {
  return [oneToken(token(), { lib: shim.path }), await launched(program, { ...hsm.env, ...shim.env(manner) })];
}

const why = (name: string, reason: string): string => `encryption needs the token (${name}: ${reason})`;

describe('a seal whose key is not what it should be', () => {
  const key = (label: string, more: Stanza = {}): Promise<string> =>
    refusal(oneToken(token(), { key_label: label, ...more }));

  it('says that there is none, or more than one', async () => {
    await hsm.addKey(token(), 'AES:32', 'twin', '10', '--sensitive');
    await hsm.addKey(token(), 'AES:32', 'twin', '11', '--sensitive');
    expect(await key('none', { mechanism: 'CKM_AES_GCM' })).toBe(
      why('hsm-a/none', 'no AES key with label "none" on the token'),
    );
    expect(await key('twin')).toBe(
      why('hsm-a/twin', '2 keys with label "twin" on the token; name one by key_id and mechanism'),
    );
    expect(await key('twin', { key_id: '0x11' })).toBe('no error');
  });

  it('says that its value can be had, or that it may not decrypt', async () => {
    await hsm.addKey(token(), 'AES:32', 'open', '12');
    await hsm.addKey(token(), 'AES:32', 'loose', '13', '--sensitive', '--extractable');
    const mend =
      'so its value can be had from the token; make another (quorate hsm keygen), or set allow_extractable = "true"';
    expect(await key('open')).toBe(why('hsm-a/open', `the key is not sensitive, ${mend}`));
    expect(await key('loose')).toBe(why('hsm-a/loose', `the key is extractable, ${mend}`));
    const [stanza, useless] = await mannered('no-decrypt');
    expect(await refusal(stanza, useless)).toBe(
      why('hsm-a/seal', 'the key may not encrypt and decrypt (CKA_ENCRYPT, CKA_DECRYPT)'),
    );
  });

  it('says what an RSA pair lacks', async () => {
    await hsm.addKey(token(), 'rsa:2048', 'pair', '15', '--sensitive');
    expect(await key('pair', { rsa_oaep_hash: 'sha512' })).toBe(
      why(
        'hsm-a/pair',
        'the token does not offer this mechanism, or not with these parameters (CKR_ARGUMENTS_BAD from C_EncryptInit)',
      ),
    );
    const login = ['--token-label', 'hsm-a', '--login', '--pin', token().pin];
    await hsm.tool(...login, '--delete-object', '--type', 'pubkey', '--id', '15');
    expect(await key('pair', { rsa_oaep_hash: 'sha1' })).toBe(
      why('hsm-a/pair', 'the RSA key has no public key beside it on the token, to encrypt with'),
    );
  });
});

describe('a seal that cannot log in', () => {
  it('says what is wrong with the file of the PIN', async () => {
    const folder = await temporaryFolder();
    const file = (name: string, content: string): Promise<void> =>
      writeFile(join(folder, name), content, { mode: 0o600 });
    await file('empty', '\n');
    await file('long', 'x'.repeat(1025));
    const { pin: _pin, ...stanza } = oneToken(token()) as Record<string, string>;
    const faults: readonly (readonly [name: string, says: string])[] = [
      ['none', 'PATH, for the PIN, does not exist'],
      ['empty', 'PATH holds no PIN'],
      ['long', 'PATH is too long for a PIN'],
      ['', 'PATH, for the PIN, is not a file'],
      ['empty/pin', 'PATH, for the PIN, cannot be read (ENOTDIR)'],
    ];
    for (const [name, says] of faults) {
      const path = join(folder, name);
      expect(await refusal({ ...stanza, pin_file: path })).toBe(why('hsm-a/seal', says.replace('PATH', path)));
    }
    expect(await refusal({ ...stanza, pin_env: 'NOT_SET' })).toBe(
      why('hsm-a/seal', 'the environment variable NOT_SET holds no PIN'),
    );
  });

  it('tries none where the token is locked, is nearly so, or was never initialised', async () => {
    const locked = async (manner: 'locked' | 'final-try'): Promise<string> => {
      const [stanza, process] = await mannered(manner);
      return refusal({ ...stanza, pin: 'wrong' }, process);
    };
    expect(await locked('locked')).toBe(why('hsm-a/seal', 'the PIN is locked; nothing was tried'));
    expect(await locked('final-try')).toBe(
      why(
        'hsm-a/seal',
        'one more wrong PIN would lock the token, so none was tried; log in with the right one by hand first (quorate hsm test)',
      ),
    );
    const { lib = '' } = oneToken(token());
    const [, free = ''] = /Slot (\d+)\s(?:(?!Slot \d)[^])*Initialized: +no/.exec(await hsm.util('--show-slots')) ?? [];
    expect(await refusal({ lib, slot: free, key_label: 'seal', pin: '1234' })).toBe(
      why(`slot ${free}/seal`, 'the token was never initialised'),
    );
  });
});

describe('what the server has stored', () => {
  const altered = (bytes: Uint8Array, at: number): Uint8Array =>
    bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));
  const stored = (blob: BlobInfo, change: (text: string) => string): BlobInfo => ({
    ...blob,
    wrappedKey: new TextEncoder().encode(change(new TextDecoder().decode(blob.wrappedKey))),
  });

  it('is refused in words that tell what was changed', async () => {
    await plugin.setConfig(oneToken(token()));
    const blob = await plugin.encrypt(ROOT_KEY);
    const said = (changed: BlobInfo): Promise<string> => messageOf(plugin.decrypt(changed));
    expect(await said({ ...blob, ciphertext: altered(blob.ciphertext, 0) })).toBe(
      'the token decrypted its part, and that is not the key: what the server stored was changed',
    );
    const otherIv = stored(blob, (text) =>
      text.replace(/"iv":"(.)/, (whole, first: string) => whole.replace(/.$/, first === 'A' ? 'B' : 'A')),
    );
    expect(await said(otherIv)).toBe(
      'decryption needs the token (hsm-a/seal: its key does not decrypt this: another key bears its name, or what the server stored was changed)',
    );
    expect(await said(stored(blob, (text) => text.replace('quorate-kms/1', 'quorate-kms/9')))).toBe(
      'what the server stored has the format "quorate-kms/9", and this quorate-kms reads quorate-kms/1: install a newer one',
    );
    expect(await said(stored(blob, (text) => text.replace('"aes-gcm"', '"none"')))).toBe(
      'what the server stored is damaged',
    );
    await plugin.finalize();
    await plugin.setConfig(severalTokens(tokens, 2));
    const both = await plugin.encrypt(ROOT_KEY);
    expect(await said({ ...both, ciphertext: altered(both.ciphertext, 0) })).toBe(
      '2 tokens decrypted their parts, and these do not make the key: what the server stored was changed',
    );
    await plugin.finalize();
  });

  it('opens when its token becomes one of several by the stanza, and is encrypted anew with all', async () => {
    await plugin.setConfig(oneToken(token()));
    const alone = await plugin.encrypt(ROOT_KEY);
    await plugin.finalize();
    await plugin.setConfig(severalTokens(tokens, 2));
    expect(await plugin.decrypt(alone)).toEqual(ROOT_KEY);
    // By this the server knows that it has to.
    expect(await plugin.keyId()).not.toBe(alone.keyId);
    expect(await plugin.keyId()).toBe((await plugin.encrypt(ROOT_KEY)).keyId);
    await plugin.finalize();
  });
});

describe('the start', () => {
  const mounted: string[] = [];
  afterAll(() => {
    for (const folder of mounted) execFileSync('umount', ['--lazy', folder]);
  });

  it('says what is wrong with the folder for the socket', async () => {
    const folder = await temporaryFolder();
    const start = (path: string): Promise<string> => messageOf(launched(program, { ...hsm.env, TMPDIR: path }));
    expect(await start(join(folder, 'none'))).toBe(
      `quorate-kms does not start: cannot make a folder in ${join(folder, 'none')} (ENOENT): set TMPDIR, or PLUGIN_UNIX_SOCKET_DIR, in env of the plugin stanza`,
    );
    const deep = join(folder, 'x'.repeat(100));
    await mkdir(deep);
    expect(await start(deep)).toMatch(
      /^quorate-kms does not start: \S+ is too long for a socket: set TMPDIR in env of the plugin stanza to a shorter path$/,
    );
  });

  it('says that nothing can be loaded from there', async () => {
    const folder = await temporaryFolder();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'noexec,size=8m,mode=700', 'tmpfs', folder]);
    mounted.push(folder);
    const there = await launched(program, { ...hsm.env, TMPDIR: folder });
    const said = await messageOf(there.setConfig(oneToken(token())));
    expect(said.replace(/\/quorate-kms-\w+:/, ':')).toBe(
      `hsm-a/seal: the compiled part of quorate-kms does not load from ${folder}: where that is mounted noexec, set TMPDIR in env of the plugin stanza to another folder`,
    );
    await there.kill();
  });

  it('says that a library is not one of PKCS#11, or that the library of an HSM does not start', async () => {
    const other = join(await temporaryFolder(), 'libother.so');
    execFileSync('gcc', ['-shared', '-o', other, '-x', 'c', '/dev/null']);
    expect(await messageOf(plugin.setConfig(oneToken(token(), { lib: other })))).toBe(
      `hsm-a/seal: ${other}: it is a library, but not of PKCS#11`,
    );
    const lost = await launched(program, { SOFTHSM2_CONF: '/nowhere/softhsm2.conf' });
    expect(await messageOf(lost.setConfig(oneToken(token())))).toBe(
      `hsm-a/seal: ${hsm.module} does not start (CKR_GENERAL_ERROR from C_Initialize)`,
    );
  });
});

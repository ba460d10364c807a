import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gpg } from '../../src/programs/gpg.ts';
import { programRunner } from '../../src/programs/run.ts';
import { type GnupgHome, gnupgHome } from '../support/gnupg.ts';
import { armoured, makeKeyPair, sealTo } from '../support/pgp.ts';

const program = gpg(programRunner(process.env), process.env);
let home: GnupgHome;
let fingerprint: string;

beforeAll(async () => {
  home = await gnupgHome();
  fingerprint = await home.generate('Alice', 'ed25519', 'sign,cert');
  await home.addSubkey(fingerprint, 'cv25519', 'encr');
});

afterAll(async () => {
  await home.remove();
});

const sealed = async () => await sealTo(await home.exportKey(fingerprint), 'abc');

describe('decrypt', () => {
  test('gives what was encrypted, in every form, and leaves no file', async () => {
    const message = await sealed();
    const before = (await readdir(home.path)).sort();
    const forms = [
      message,
      Buffer.from(armoured(message)),
      Buffer.from(Buffer.from(message).toString('base64')),
      Buffer.from(Buffer.from(message).toString('hex')),
    ];
    for (const form of forms) expect((await program.decrypt(form, { home: home.path })).exposeText()).toBe('abc');
    expect((await readdir(home.path)).sort()).toEqual(before);
  });

  test('names a missing key, a damaged message, and what is no message', async () => {
    const message = await sealed();
    const damaged = Uint8Array.from(message);
    damaged[damaged.length - 3] = (damaged.at(-3) ?? 0) ^ 1;
    const empty = await mkdtemp('/tmp/qg-');
    try {
      await expect(program.decrypt(message, { home: empty })).rejects.toMatchObject({
        code: 'share-undecryptable',
        message: 'the secret key for this message is not here',
      });
    } finally {
      await rm(empty, { recursive: true, force: true });
    }
    for (const wrong of [damaged, Buffer.from('hello'), new Uint8Array(), await home.exportKey(fingerprint)])
      await expect(program.decrypt(wrong, { home: home.path })).rejects.toMatchObject({ code: 'share-undecryptable' });
  });

  test('can be cancelled', async () => {
    await expect(
      program.decrypt(await sealed(), { home: home.path, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'cancelled' });
  });

  test('says when gpg is missing', async () => {
    const none = gpg(programRunner({ PATH: tmpdir() }), {});
    await expect(none.decrypt(await sealed())).rejects.toMatchObject({ code: 'program-missing' });
  });

  test.each([
    ['is cancelled', 'echo "ERR 83886179 cancelled"', 'cancelled', /not given/],
    ['is wrong', 'echo "D wrong"; echo OK', 'share-undecryptable', /was wrong/],
    ['does not come', 'echo "ERR 83886142 timeout"', 'share-undecryptable', /in time/],
  ])('says when the passphrase %s', async (_, answer, code, message) => {
    const own = await gnupgHome();
    try {
      await askBy(own.path, answer);
      const { publicKey, privateKey } = await makeKeyPair('horse');
      await writeFile(join(own.path, 'shy.key'), privateKey);
      await own.gpg('--import', join(own.path, 'shy.key'));
      await expect(program.decrypt(await sealTo(publicKey, 'abc'), { home: own.path })).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message) as string,
      });
    } finally {
      await own.remove();
    }
  });
});

/** Has the agent of this home ask a script in place of a person. */
async function askBy(path: string, answer: string): Promise<void> {
  const pinentry = join(path, 'pinentry');
  const loop = `while read -r line; do case "$line" in GETPIN*) ${answer};; BYE*) echo OK; exit;; *) echo OK;; esac; done`;
  await writeFile(pinentry, `#!/bin/sh\necho OK\n${loop}\n`, { mode: 0o700 });
  await writeFile(join(path, 'gpg-agent.conf'), `pinentry-program ${pinentry}\n`);
}

describe('secretKey', () => {
  test('finds a key that can decrypt, by its full fingerprint', async () => {
    expect(await program.secretKey(fingerprint, { home: home.path })).toEqual({
      fingerprint,
      userIds: ['Alice <alice@example.org>'],
    });
    expect(await program.secretKey('0'.repeat(40), { home: home.path })).toBeUndefined();
    await expect(program.secretKey('alice', { home: home.path })).rejects.toMatchObject({ code: 'usage' });
  });

  test('does not count one that can only sign', async () => {
    const signer = await home.generate('Signer', 'ed25519', 'sign,cert');
    expect(await program.secretKey(signer, { home: home.path })).toBeUndefined();
  });
});

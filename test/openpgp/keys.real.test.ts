import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadOpenPgp } from '../../src/openpgp/openpgp.ts';
import { isQuorateError } from '../../src/errors.ts';
import { gpg } from '../../src/programs/gpg.ts';
import { programRunner } from '../../src/programs/run.ts';
import { type GnupgHome, gnupgHome } from '../support/gnupg.ts';
import { makeUnusualKeys, partsOf } from '../support/pgp.ts';
import { Judge } from './judge.ts';

const openpgp = await loadOpenPgp();
const program = gpg(programRunner(process.env), process.env);
const options = () => ({ now: new Date(), minimumValidityDays: 0 });

let home: GnupgHome;
let judge: Judge;

beforeAll(async () => {
  [home, judge] = await Promise.all([gnupgHome(), Judge.start()]);
});

afterAll(async () => {
  await home.remove();
  await judge.stop();
});

const verdict = async (key: Uint8Array): Promise<string> => {
  try {
    await openpgp.checkPublicKey(key, options());
    return 'usable';
  } catch (error) {
    if (isQuorateError(error)) return error.code;
    throw error;
  }
};

describe('keys that gpg made', () => {
  test.each([
    ['rsa3072', 'rsa3072'],
    ['ed25519', 'cv25519'],
    ['nistp256', 'nistp256'],
    ['nistp521', 'nistp521'],
    ['nistp384', 'nistp384'],
  ])('%s with %s: usable, and what the server encrypts both gpg and we can read', async (primary, encryption) => {
    const fingerprint = await home.generate(`Good${primary}`, primary, 'sign,cert');
    await home.addSubkey(fingerprint, encryption, 'encr');
    const facts = await openpgp.checkPublicKey(await home.exportKey(fingerprint), options());
    expect(facts).toMatchObject({ fingerprint, algorithm: encryption, expires: null });
    const issued = await judge.encryptTo(facts.binaryBase64);
    expect(issued).toBeDefined();
    if (issued === undefined) return;

    const byGpg = await program.decrypt(issued, { home: home.path });
    expect(byGpg.exposeText()).toMatch(/^[0-9a-f]{64}$/);
    const secretKey = await home.gpg('--export-secret-keys', fingerprint);
    const byUs = await openpgp.decryptWithKeyFile(issued, secretKey);
    expect(byUs.equals(byGpg)).toBe(true);
  });

  test('a key that encrypts itself, without a subkey', async () => {
    const fingerprint = await home.generate('Alone', 'rsa2048', 'sign,cert,encr');
    const facts = await openpgp.checkPublicKey(await home.exportKey(fingerprint), options());
    expect(facts).toMatchObject({ fingerprint, algorithm: 'rsa2048', bits: 2048 });
    expect(await judge.encryptTo(facts.binaryBase64)).toBeDefined();
  });

  test('with much around them reduce to what is needed', async () => {
    const fingerprint = await home.generate('Busy', 'ed25519', 'sign,cert', '3y');
    await home.addSubkey(fingerprint, 'cv25519', 'encr', '2y');
    await home.addSubkey(fingerprint, 'rsa2048', 'encr', '2y');
    await home.addSubkey(fingerprint, 'ed25519', 'auth');
    await home.gpg('--quick-add-uid', fingerprint, 'Busy Two <busy-2@example.org>');
    const facts = await openpgp.checkPublicKey(await home.gpg('--armor', '--export', fingerprint), options());
    expect(facts.userIds).toHaveLength(2);
    const days = ((facts.expires?.getTime() ?? 0) - Date.now()) / 86_400_000;
    expect(days > 700 && days < 735).toBe(true);
    expect(await partsOf(Buffer.from(facts.binaryBase64, 'base64'))).toEqual([1, 1, fingerprint]);
    const issued = await judge.encryptTo(facts.binaryBase64);
    expect((await program.decrypt(issued ?? new Uint8Array(), { home: home.path })).length).toBe(64);
    await expect(
      openpgp.checkPublicKey(await home.exportKey(fingerprint), { now: new Date(), minimumValidityDays: 800 }),
    ).rejects.toMatchObject({ code: 'key-unusable' });
  });
});

describe('keys that the server cannot use', () => {
  const bad: [string, () => Promise<Uint8Array>][] = [
    ['sign-only', async () => await home.exportKey(await home.generate('SignOnly', 'ed25519', 'sign,cert'))],
    [
      'expired',
      async () => {
        const fingerprint = await home.generate('Expired', 'ed25519', 'sign,cert', 'seconds=1');
        await home.addSubkey(fingerprint, 'cv25519', 'encr');
        await sleep(2100);
        return await home.exportKey(fingerprint);
      },
    ],
    [
      'with an expired encryption key',
      async () => {
        const fingerprint = await home.generate('HalfExpired', 'ed25519', 'sign,cert');
        await home.addSubkey(fingerprint, 'cv25519', 'encr', 'seconds=1');
        await sleep(2100);
        return await home.exportKey(fingerprint);
      },
    ],
    [
      'revoked',
      async () => {
        const fingerprint = await home.generate('Revoked', 'ed25519', 'sign,cert');
        await home.addSubkey(fingerprint, 'cv25519', 'encr');
        const file = join(home.path, 'openpgp-revocs.d', `${fingerprint}.rev`);
        const text = (await readFile(file, 'utf8')).replace(/^:-----/m, '-----');
        await writeFile(`${file}.asc`, text);
        await home.gpg('--import', `${file}.asc`);
        return await home.exportKey(fingerprint);
      },
    ],
  ];

  test.each(bad)('%s: refused by both', async (_, make) => {
    const key = await make();
    expect(await verdict(key)).toBe('key-unusable');
    expect(await judge.encryptTo(Buffer.from(key).toString('base64'))).toBeUndefined();
  });

  test('the server is still as it was', async () => {
    const fingerprint = await home.generate('Last', 'rsa2048', 'sign,cert,encr');
    expect(await judge.encryptTo((await home.exportKey(fingerprint)).toString('base64'))).toBeDefined();
  });
});

describe('keys that are refused though a server may take them', () => {
  test('a secret key, two keys, a short one, an unusual one', async () => {
    const one = await home.generate('One', 'ed25519', 'sign,cert');
    await home.addSubkey(one, 'cv25519', 'encr');
    const two = await home.generate('Two', 'rsa1024', 'sign,cert,encr');
    const three = await home.generate('Three', 'rsa2048', 'sign,cert');
    await home.addSubkey(three, 'elg2048', 'encr');
    const four = await home.generate('Four', 'secp256k1', 'sign,cert');
    await home.addSubkey(four, 'secp256k1', 'encr');
    const five = await home.generate('Five', 'brainpoolP256r1', 'sign,cert');
    await home.addSubkey(five, 'brainpoolP256r1', 'encr');
    expect(await verdict(await home.gpg('--export-secret-keys', one))).toBe('key-unusable');
    expect(await verdict(await home.gpg('--armor', '--export-secret-keys', one))).toBe('key-unusable');
    expect(await verdict(Buffer.concat([await home.exportKey(one), await home.exportKey(two)]))).toBe('key-unusable');
    const blocks = [await home.gpg('--armor', '--export', one), await home.gpg('--armor', '--export', three)];
    expect(await verdict(Buffer.concat(blocks))).toBe('key-unusable');
    for (const unusual of [two, three, four, five])
      expect(await verdict(await home.exportKey(unusual))).toBe('key-unusable');
  });

  test('version 6 keys, and version 4 keys of newer kinds', async () => {
    for (const key of await makeUnusualKeys()) expect(await verdict(key)).toBe('key-unusable');
  });

  test('what is no key', async () => {
    for (const text of ['', 'hello', '-----BEGIN PGP PUBLIC KEY BLOCK-----', '\u0099\u0001', 'ssh-ed25519 AAAA'])
      expect(await verdict(Buffer.from(text, 'latin1'))).toBe('key-unusable');
  });
});

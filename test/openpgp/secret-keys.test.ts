import { describe, expect, test } from 'vitest';
import { loadOpenPgp } from '../../src/openpgp/openpgp.ts';
import { Secret } from '../../src/secret.ts';
import { codeOf } from '../support/errors.ts';
import { armoured, armouredKey, makeKeyPair, sealTo } from '../support/pgp.ts';

const openpgp = await loadOpenPgp();

describe('decryptWithKeyFile', () => {
  test('asks for the passphrase that it needs', async () => {
    const { publicKey, privateKey } = await makeKeyPair('correct horse');
    const message = await sealTo(publicKey, 'abc');
    expect(await openpgp.isLocked(privateKey)).toBe(true);
    const wrong = Secret.fromText('wrong');
    expect(await codeOf(openpgp.decryptWithKeyFile(message, privateKey))).toBe('share-undecryptable');
    expect(await codeOf(openpgp.decryptWithKeyFile(message, privateKey, wrong))).toBe('share-undecryptable');
    const right = Secret.fromText('correct horse');
    expect((await openpgp.decryptWithKeyFile(message, privateKey, right)).exposeText()).toBe('abc');
  });

  test('takes armour, base64 and hexadecimal, and armoured keys', async () => {
    const { publicKey, privateKey } = await makeKeyPair();
    const message = await sealTo(publicKey, 'abc');
    const key = Buffer.from(await armouredKey(privateKey));
    expect(await openpgp.isLocked(key)).toBe(false);
    const bytes = Buffer.from(message);
    for (const form of [armoured(message), bytes.toString('base64'), bytes.toString('hex')])
      expect((await openpgp.decryptWithKeyFile(Buffer.from(form), key)).exposeText()).toBe('abc');
  });

  test('says what does not fit', async () => {
    const [cleo, other] = [await makeKeyPair(), await makeKeyPair()];
    const message = await sealTo(other.publicKey, 'abc');
    expect(await codeOf(openpgp.decryptWithKeyFile(message, cleo.privateKey))).toBe('share-undecryptable');
    expect(await codeOf(openpgp.decryptWithKeyFile(message, cleo.publicKey))).toBe('key-unusable');
    const damaged = Uint8Array.from(message);
    damaged[damaged.length - 3] = (damaged.at(-3) ?? 0) ^ 1;
    expect(await codeOf(openpgp.decryptWithKeyFile(damaged, other.privateKey))).toBe('share-undecryptable');
    expect(await codeOf(openpgp.decryptWithKeyFile(Buffer.from('hello'), other.privateKey))).toBe(
      'share-undecryptable',
    );
  });
});

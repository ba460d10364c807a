import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { createECDH, createPrivateKey, createPublicKey, generateKeyPairSync, type webcrypto } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isEncryptionKey, openerFromPem, openerOfToken, sealTo } from '../../src/shares/hpke.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const INFO = bytes('what for');
const AAD = bytes('bound to');
const PKCS8 = { type: 'pkcs8', format: 'pem' } as const;

const pems = {
  x25519: generateKeyPairSync('x25519').privateKey.export(PKCS8).toString(),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(PKCS8).toString(),
};
/** The other implementation. */
const suites = {
  x25519: new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() }),
  p256: new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() }),
};
interface OtherSuite {
  readonly kem: {
    deserializePublicKey(raw: ArrayBuffer): Promise<webcrypto.CryptoKey>;
    importKey(format: 'jwk', jwk: webcrypto.JsonWebKey, isPublic: boolean): Promise<webcrypto.CryptoKey>;
  };
  seal(
    params: { recipientPublicKey: webcrypto.CryptoKey; info: ArrayBuffer },
    plain: ArrayBuffer,
    aad: ArrayBuffer,
  ): Promise<{ ct: ArrayBuffer; enc: ArrayBuffer }>;
  open(
    params: { recipientKey: webcrypto.CryptoKey; enc: ArrayBuffer; info: ArrayBuffer },
    ciphertext: ArrayBuffer,
    aad: ArrayBuffer,
  ): Promise<ArrayBuffer>;
}
const buffer = (data: Uint8Array): ArrayBuffer => new Uint8Array(data).buffer;
const rawOf = (key: string): Uint8Array => new Uint8Array(Buffer.from(key.split(':')[1] ?? '', 'base64'));

describe.each(['x25519', 'p256'] as const)('encryption to a %s key', (scheme) => {
  it('opens what another implementation sealed, and the other way round', async () => {
    const opener = openerFromPem(pems[scheme]);
    // Its types want a browser's CryptoKey.
    const suite = suites[scheme] as unknown as OtherSuite;
    const recipientPublicKey = await suite.kem.deserializePublicKey(buffer(rawOf(opener.key)));
    const theirs = await suite.seal({ recipientPublicKey, info: buffer(INFO) }, buffer(bytes('a share')), buffer(AAD));
    const sealed = { enc: new Uint8Array(theirs.enc), ciphertext: new Uint8Array(theirs.ct) };
    expect(await opener.open(sealed, INFO, AAD)).toEqual(bytes('a share'));

    const ours = await sealTo(opener.key, bytes('a share'), INFO, AAD);
    const jwk = createPrivateKey(pems[scheme]).export({ format: 'jwk' });
    const recipientKey = await suite.kem.importKey('jwk', jwk, false);
    const recipient = { recipientKey, enc: buffer(ours.enc), info: buffer(INFO) };
    const plain = await suite.open(recipient, buffer(ours.ciphertext), buffer(AAD));
    expect(new Uint8Array(plain)).toEqual(bytes('a share'));
  });

  it('opens nothing that was changed, or was bound to something else', async () => {
    const opener = openerFromPem(pems[scheme]);
    const sealed = await sealTo(opener.key, bytes('a share'), INFO, AAD);
    const changed = { ...sealed, ciphertext: sealed.ciphertext.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) };
    for (const [what, info, aad] of [
      [changed, INFO, AAD],
      [sealed, bytes('other'), AAD],
      [sealed, INFO, bytes('other')],
      [{ ...sealed, enc: new Uint8Array(sealed.enc.length) }, INFO, AAD],
      [{ ...sealed, ciphertext: new Uint8Array(3) }, INFO, AAD],
    ] as const) {
      await expect(opener.open(what, info, aad)).rejects.toMatchObject({ code: 'share-undecryptable' });
    }
  });

  it('refuses keys that are none', async () => {
    const { key } = openerFromPem(pems[scheme]);
    for (const wrong of [key.slice(0, -4), key.replace(scheme, 'rsa'), `${key}:`, `${scheme}:!`, '']) {
      expect(isEncryptionKey(wrong)).toBe(false);
      await expect(sealTo(wrong, bytes('x'), INFO, AAD)).rejects.toMatchObject({ code: 'key-unusable' });
    }
    expect(() => openerFromPem('no key')).toThrow(expect.objectContaining({ code: 'key-unusable' }));
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(PKCS8).toString();
    expect(() => openerFromPem(rsa)).toThrow(expect.objectContaining({ code: 'key-unusable' }));
  });
});

describe('a key that does no more than its ECDH', () => {
  it('opens what was sealed to it', async () => {
    const ecdh = createECDH('prime256v1');
    const publicKey = ecdh.generateKeys();
    const opener = openerOfToken(publicKey, (point) => Promise.resolve(new Uint8Array(ecdh.computeSecret(point))));
    const sealed = await sealTo(opener.key, bytes('a share'), INFO, AAD);
    expect(await opener.open(sealed, INFO, AAD)).toEqual(bytes('a share'));
    await expect(opener.open(sealed, AAD, AAD)).rejects.toMatchObject({ code: 'share-undecryptable' });
  });

  it('has the public key that its point says', () => {
    const spki = createPublicKey(pems.p256).export({ type: 'spki', format: 'der' });
    const opener = openerOfToken(spki.subarray(-65), () => Promise.reject(new Error('not asked')));
    expect(opener.key).toBe(openerFromPem(pems.p256).key);
  });
});

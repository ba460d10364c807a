import * as fc from 'fast-check';
import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as v from 'valibot';
import { type Header, hashOf, LARGEST_SHARE, openShare, sealShare, SHARE } from '../../src/shares/envelope.ts';
import { openerFromPem } from '../../src/shares/hpke.ts';
import { isPinnedKey, signerFromPem } from '../../src/shares/signing.ts';
import { isSignedBy, readStatement, signedSchema, signStatement } from '../../src/shares/statement.ts';

const PKCS8 = { type: 'pkcs8', format: 'pem' } as const;
const opener = openerFromPem(generateKeyPairSync('x25519').privateKey.export(PKCS8).toString());
const header: Omit<Header, 'hash'> = {
  wallet: 'treasury',
  node: 'north',
  epoch: 2,
  previous: 1,
  scheme: 'opaque',
  threshold: 2,
  index: 1,
  commitment: [],
};
const vectorSchema = v.strictObject({
  encryptionKey: v.string(),
  signingKey: v.string(),
  pinned: v.string(),
  share: v.string(),
  signed: signedSchema,
  hash: v.string(),
});

describe('an envelope', () => {
  it('of the first format stays readable', async () => {
    const file = join(import.meta.dirname, 'vector-1.json');
    const vector = v.parse(vectorSchema, JSON.parse(await readFile(file, 'utf8')));
    const share = await openShare(vector.signed.text, openerFromPem(vector.encryptionKey));
    expect(new TextDecoder().decode(share)).toBe(vector.share);
    expect(hashOf(vector.signed.text)).toBe(vector.hash);
    expect(isSignedBy(SHARE.format, vector.signed, new Map([['north', vector.pinned]]))).toBe(true);
    const signer = signerFromPem(vector.signingKey);
    expect(await signStatement(SHARE.format, vector.signed.text, 'north', signer)).toEqual(vector.signed);
  });

  it('gives back any share', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 4096 }), async (share) => {
        const text = await sealShare(share, header, opener.key);
        expect(await openShare(text, opener)).toEqual(new Uint8Array(share));
      }),
      { numRuns: 30 },
    );
  });

  it('is never the same twice, nor is the hash in it', async () => {
    const seal = async () => sealShare(new Uint8Array([1]), header, opener.key);
    const [a, b] = [readStatement(SHARE, await seal()), readStatement(SHARE, await seal())];
    expect(a.header.hash).not.toBe(b.header.hash);
    expect(a.ciphertext).not.toBe(b.ciphertext);
  });

  it('refuses shares that are empty or too large', async () => {
    const { key } = opener;
    for (const length of [0, LARGEST_SHARE + 1]) {
      await expect(sealShare(new Uint8Array(length), header, key)).rejects.toMatchObject({ code: 'share-invalid' });
    }
  });

  it('is bound to every part of its header', async () => {
    const text = await sealShare(new Uint8Array(40).fill(7), header, opener.key);
    const envelope = readStatement(SHARE, text);
    for (const change of [
      { wallet: 'other' },
      { node: 'south' },
      { epoch: 3 },
      { previous: 0 },
      { scheme: 'other' },
      { threshold: 1 },
      { index: 2 },
      { commitment: ['00'] },
      { hash: '0'.repeat(64) },
    ]) {
      const forged = JSON.stringify({ ...envelope, header: { ...envelope.header, ...change } });
      await expect(openShare(forged, opener)).rejects.toMatchObject({ code: 'share-undecryptable' });
    }
    const other = openerFromPem(generateKeyPairSync('x25519').privateKey.export(PKCS8).toString());
    await expect(openShare(text, other)).rejects.toMatchObject({ code: 'share-undecryptable' });
  });

  it('has one spelling only', async () => {
    const text = await sealShare(new Uint8Array([1]), header, opener.key);
    const { header: inner, ...rest } = readStatement(SHARE, text);
    for (const other of [
      ` ${text}`,
      JSON.stringify({ ...rest, header: inner }),
      JSON.stringify({ header: inner, ...rest, more: 1 }),
      JSON.stringify({ header: { ...inner, epoch: '2' }, ...rest }),
      text.replace('"epoch":2', '"epoch":2.0'),
      text.slice(0, -1),
      '',
    ]) {
      expect(() => readStatement(SHARE, other)).toThrow(expect.objectContaining({ code: 'statement-invalid' }));
    }
  });
});

describe('a signature', () => {
  const ed25519 = signerFromPem(generateKeyPairSync('ed25519').privateKey.export(PKCS8).toString());
  const p256 = signerFromPem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(PKCS8).toString());

  it.each([ed25519, p256])('is good for its text, its kind and its node', async (signer) => {
    const keys = new Map([['north', signer.key]]);
    const signed = await signStatement('kind/1', 'text', 'north', signer);
    expect(isSignedBy('kind/1', signed, keys)).toBe(true);
    expect(isSignedBy('kind/2', signed, keys)).toBe(false);
    expect(isSignedBy('kind/1', { ...signed, text: 'other' }, keys)).toBe(false);
    expect(isSignedBy('kind/1', { ...signed, node: 'south' }, keys)).toBe(false);
    expect(isSignedBy('kind/1', { ...signed, signature: '' }, keys)).toBe(false);
    expect(isSignedBy('kind/1', signed, new Map([['north', (signer === p256 ? ed25519 : p256).key]]))).toBe(false);
  });

  it('is made and checked with keys of two schemes', () => {
    for (const { key } of [ed25519, p256]) expect(isPinnedKey(key)).toBe(true);
    for (const wrong of [
      '',
      'ed25519:',
      `rsa:${ed25519.key}`,
      `${p256.key}=`,
      `p256:${Buffer.alloc(65, 4).toString('base64')}`,
    ]) {
      expect(isPinnedKey(wrong)).toBe(false);
    }
  });
});

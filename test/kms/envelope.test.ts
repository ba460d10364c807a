import { describe, expect, it } from 'vitest';
import { keysFrom } from '../../src/kms/data-key.ts';
import { decryptData, encryptData, readEnvelope, shareContext, writeShares } from '../../src/kms/envelope.ts';
import { readBlob, writeBlob } from '../../src/kms/messages.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const NONE = new Uint8Array();

/** Fixed forever: whoever changes the program so that these fail makes stored blobs unreadable. */
const DATA_KEY = hex('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
const NONCE = hex('a0a1a2a3a4a5a6a7a8a9aaab');
const WRAPPED =
  '{"format":"quorate-kms/1","threshold":2,"shares":[{"token":"hsm-a","serial":"01","key":"seal","id":"0a","mechanism":"aes-gcm","iv":"AAECAwQFBgcICQoL","text":"/////w=="},{"token":"hsm-b","serial":"02","key":"pair","id":"","mechanism":"rsa-oaep","hash":"sha256","text":"7u7u7g=="}]}';
const SHARES = [
  {
    ...{ token: 'hsm-a', serial: '01', key: 'seal', id: '0a', mechanism: 'aes-gcm' as const },
    iv: hex('000102030405060708090a0b'),
    text: hex('ffffffff'),
  },
  {
    ...{ token: 'hsm-b', serial: '02', key: 'pair', id: '', mechanism: 'rsa-oaep' as const, hash: 'sha256' as const },
    text: hex('eeeeeeee'),
  },
];
const CIPHERTEXT = '9477135965a067c6fce62c205de3394dc9f49fa6b62986ce';
const BLOB = { ciphertext: hex(CIPHERTEXT), iv: NONCE, keyId: 'any', wrappedKey: new TextEncoder().encode(WRAPPED) };

describe('a blob of format quorate-kms/1', () => {
  it('is written as it always was', () => {
    const wrapped = writeShares(2, SHARES);
    expect(new TextDecoder().decode(wrapped)).toBe(WRAPPED);
    const data = encryptData(DATA_KEY, new TextEncoder().encode('root key'), { nonce: NONCE, wrapped, aad: NONE });
    expect(Buffer.from(data).toString('hex')).toBe(CIPHERTEXT);
    expect(new TextDecoder().decode(shareContext(2, 'hsm-a', NONCE))).toBe(
      '["quorate-kms/1",2,"hsm-a","oKGio6Slpqeoqaqr"]',
    );
  });

  it('is read as it always was', async () => {
    const envelope = readEnvelope(readBlob(writeBlob(BLOB)));
    expect(envelope.shares).toEqual(SHARES);
    expect(new TextDecoder().decode(decryptData(DATA_KEY, envelope, NONE))).toBe('root key');
    // Two shares of DATA_KEY over GF(2^8), x = 1 and 2, with the polynomial's other coefficient all 0x53.
    const parts = [
      '53525150575655545b5a59585f5e5d5c43424140474645444b4a49484f4e4d4c01',
      'a6a7a4a5a2a3a0a1aeafacadaaaba8a9b6b7b4b5b2b3b0b1bebfbcbdbabbb8b902',
    ].map(hex);
    for await (const key of keysFrom(parts, 2)) expect(key).toEqual(DATA_KEY);
  });

  it('binds the data to the list of shares and to what the server adds', () => {
    const envelope = readEnvelope(BLOB);
    const changed = new TextEncoder().encode(WRAPPED.replace('hsm-b', 'hsm-c'));
    expect(decryptData(DATA_KEY, { ...envelope, wrapped: changed }, NONE)).toBeUndefined();
    expect(decryptData(DATA_KEY, envelope, hex('00'))).toBeUndefined();
    expect(decryptData(hex('ff'.repeat(32)), envelope, NONE)).toBeUndefined();
  });

  it('is refused when it is damaged, of a later format, or of another seal', () => {
    const wrong = (text: string, more: object = {}): unknown => {
      try {
        return readEnvelope({ ...BLOB, wrappedKey: new TextEncoder().encode(text), ...more });
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(wrong(WRAPPED.replace('"aes-gcm"', '"aes-cbc"'))).toMatch(/damaged/);
    expect(wrong(WRAPPED.replace('"threshold":2', '"threshold":3'))).toMatch(/damaged/);
    expect(wrong(WRAPPED, { iv: hex('00') })).toMatch(/damaged/);
    expect(wrong(WRAPPED.replace('kms/1', 'kms/2'))).toMatch(
      /format "quorate-kms\/2", and this .* reads quorate-kms\/1/,
    );
    expect(wrong('')).toMatch(/another seal \(its key: "any"\)/);
    expect(wrong('{"format":"else"}')).toMatch(/another seal/);
  });
});

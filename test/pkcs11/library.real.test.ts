import { beforeAll, describe, expect, it } from 'vitest';
import { openLibrary, type Pkcs11Library } from '../../src/pkcs11/library.ts';
import type { Session } from '../../src/pkcs11/session.ts';
import { Secret } from '../../src/secret.ts';
import { codeOf } from '../support/errors.ts';
import { SOFTHSM_MODULE, type SoftHsm, softHsm, type SoftToken } from '../support/softhsm.ts';

let hsm: SoftHsm;
let one: SoftToken;
let two: SoftToken;
let library: Pkcs11Library;

beforeAll(async () => {
  hsm = await softHsm();
  one = await hsm.addToken('one');
  two = await hsm.addToken('two');
  Object.assign(process.env, hsm.env);
  library = openLibrary(SOFTHSM_MODULE);
  return () => {
    library.close();
  };
});

/** A session with a token, logged in, for `use`. */
function on<T>(token: SoftToken, use: (session: Session) => T): T {
  return library.withSession(library.findToken({ serial: token.serial }), { write: true }, (session) => {
    session.login(Secret.fromText(token.pin));
    try {
      return use(session);
    } finally {
      session.logout();
    }
  });
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array): string => new TextDecoder().decode(data);

describe('a library', () => {
  it('tells who made it, and what its tokens offer', () => {
    expect(library.info()).toMatchObject({ manufacturer: 'SoftHSM', cryptoki: '2.40' });
    const gcm = library.mechanisms(library.findToken({ label: 'one' })).find(({ name }) => name === 'CKM_AES_GCM');
    expect(gcm).toMatchObject({ type: 0x1087, maxKeySize: 32 });
  });

  it('finds a token by label, serial and slot, and never a wrong one', async () => {
    const token = library.findToken({ label: 'two' });
    expect(token.serial).toBe(two.serial);
    expect(library.findToken({ slot: token.slot, label: 'two' })).toEqual(token);
    expect(await codeOf(() => library.findToken({ slot: token.slot, label: 'one' }))).toBe('hsm-token-missing');
    expect(await codeOf(() => library.findToken({}))).toBe('hsm-token-ambiguous');
  });

  it('sees a token that came back after it was initialised again, and says what ended with that', async () => {
    const session = library.openSession(library.findToken({ label: 'two' }));
    await hsm.takeAway(two);
    library.reinitialise();
    expect(await codeOf(() => library.findToken({ label: 'two' }))).toBe('hsm-token-missing');
    await hsm.putBack(two);
    library.reinitialise();
    expect(library.findToken({ label: 'two' }).serial).toBe(two.serial);
    expect(await codeOf(() => session.countObjects())).toBe('hsm-session-lost');
    session.close();
    expect(await codeOf(() => session.countObjects())).toBe('bug');
  });

  it.each([
    ['/nowhere/lib.so', /no such file/],
    ['/etc/passwd', /no library for this machine/],
    ['/lib/x86_64-linux-gnu/libm.so.6', /not of PKCS#11/],
  ])('that is none is told: %s', (path, why) => {
    expect(() => openLibrary(path)).toThrow(expect.objectContaining({ code: 'hsm-library-invalid' }));
    expect(() => openLibrary(path)).toThrow(why);
  });
});

describe('a token', () => {
  it('counts a wrong PIN, which is told from a right one', async () => {
    const token = library.findToken({ label: 'two' });
    expect(token.flags).toMatchObject({ initialised: true, userPinSet: true, userPinCountLow: false });
    const wrong = library.withSession(token, {}, (session) => codeOf(() => session.login(Secret.fromText('9999'))));
    expect(await wrong).toBe('pin-wrong');
    expect(library.refresh(token).flags.userPinCountLow).toBe(true);
    on(two, () => undefined);
    expect(library.refresh(token).flags.userPinCountLow).toBe(false);
  });

  it('is initialised with a label and two PINs', async () => {
    const free = library.tokens().find(({ flags }) => !flags.initialised);
    if (free === undefined) throw new Error('SoftHSM always has a free slot');
    const pins = { so: Secret.fromText('87654321'), user: Secret.fromText('4321') };
    expect(await codeOf(() => library.initialiseToken(free, 'x'.repeat(33), pins))).toBe('usage');
    const made = library.initialiseToken(free, 'zwölf', pins);
    expect(made).toMatchObject({ label: 'zwölf', flags: { initialised: true, userPinSet: true } });
    on({ label: 'zwölf', serial: made.serial, pin: '4321', soPin: '87654321' }, (session) => {
      expect(session.countObjects()).toBe(0);
    });
  });
});

describe('a session', () => {
  it('makes an AES key that stays on the token, and uses it', async () => {
    const codes = on(one, (session) => {
      const key = session.generateAes({ label: 'seal', id: Uint8Array.of(1), bits: 256 });
      expect(key).toMatchObject({ class: 'secret', type: 'AES', label: 'seal', bits: 256 });
      expect(key.flags).toMatchObject({
        sensitive: true,
        extractable: false,
        encrypt: true,
        decrypt: true,
        wrap: false,
      });
      expect(session.tryToReadValue(key)).toBe('sensitive');
      const made = session.encryptGcm(key, bytes('hello'), bytes('with'));
      expect(made.ciphertext).toHaveLength('hello'.length + 16);
      expect(text(session.decryptGcm(key, made, bytes('with')))).toBe('hello');
      const tampered = { ...made, ciphertext: made.ciphertext.map((byte, at) => (at === 0 ? byte ^ 1 : byte)) };
      return [
        codeOf(() => session.decryptGcm(key, tampered, bytes('with'))),
        codeOf(() => session.decryptGcm(key, made)),
      ];
    });
    expect(await Promise.all(codes)).toEqual(['hsm-decryption-failed', 'hsm-decryption-failed']);
  });

  it('finds keys by label, id and class', () => {
    on(one, (session) => {
      session.generateAes({ label: 'a', id: Uint8Array.of(7, 7), bits: 128 });
      expect(session.findKeys({ label: 'a' })).toHaveLength(1);
      expect(session.findKeys({ id: Uint8Array.of(7, 7), class: 'secret', type: 'AES' })).toHaveLength(1);
      expect(session.findKeys({ id: Uint8Array.of(7) })).toHaveLength(0);
      expect(session.findKeys({ label: 'a', class: 'private' })).toHaveLength(0);
    });
    library.withSession(library.findToken({ label: 'one' }), {}, (session) => {
      expect(session.findKeys()).toEqual([]);
    });
  });

  it('makes an RSA pair, and says which hash a token does not do', async () => {
    const code = on(one, (session) => {
      const pair = session.generateRsa({ label: 'rsa', id: Uint8Array.of(2), bits: 2048 });
      expect(pair.private.flags).toMatchObject({ sensitive: true, extractable: false, decrypt: true, sign: false });
      expect(session.tryToReadValue(pair.private)).toBe('sensitive');
      expect(session.modulus(pair.private)).toEqual(session.modulus(pair.public));
      const ciphertext = session.encryptOaep(pair.public, bytes('hello'), 'sha1');
      expect(text(session.decryptOaep(pair.private, ciphertext, 'sha1'))).toBe('hello');
      return codeOf(() => session.encryptOaep(pair.public, bytes('hello'), 'sha256'));
    });
    expect(await code).toBe('hsm-mechanism-missing');
  });
});

import { createDecipheriv } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { findKey, keysOf } from '../../src/hsm/find-key.ts';
import { generateKey } from '../../src/hsm/keygen.ts';
import { tryKey } from '../../src/hsm/trial.ts';
import { openRemote, type RemoteLibrary } from '../../src/pkcs11/remote.ts';
import type { Token } from '../../src/pkcs11/token.ts';
import type { RemoteSession } from '../../src/pkcs11/wire.ts';
import { Secret } from '../../src/secret.ts';
import { codeOf } from '../support/errors.ts';
import { type Manner, otherToken } from '../support/pkcs11-stub.ts';
import { SOFTHSM_MODULE, type SoftHsm, softHsm, type SoftToken } from '../support/softhsm.ts';

const signal = new AbortController().signal;
let hsm: SoftHsm;
let token: SoftToken;
let shim: Awaited<ReturnType<typeof otherToken>>;

beforeAll(async () => {
  hsm = await softHsm();
  token = await hsm.addToken('seal');
  shim = await otherToken();
});

/** A session that is logged in, on SoftHSM or on SoftHSM with the manner of another token. */
async function on<T>(
  manner: Manner | undefined,
  use: (session: RemoteSession, library: RemoteLibrary, token: Token) => Promise<T>,
): Promise<T> {
  const path = manner === undefined ? SOFTHSM_MODULE : shim.path;
  const env = { ...hsm.env, ...(manner === undefined ? {} : shim.env(manner)) };
  const library = await openRemote(path, { env, signal });
  try {
    const found = await library.findToken({ label: 'seal' });
    return await library.withSession(found, { write: true }, async (session) => {
      await session.login(Secret.fromText(token.pin));
      return use(session, library, found);
    });
  } finally {
    library.close();
  }
}

const options = { rounds: 3, oaepHash: 'sha1' } as const;
const login = (): string[] => ['--token-label', 'seal', '--login', '--pin', token.pin];

describe('keygen', () => {
  it('makes what pkcs11-tool sees with the same attributes, under a name that nothing else has', async () => {
    await on(undefined, async (session) => {
      const made = await generateKey(session, { type: 'aes', bits: 256, label: 'aes-1', id: 'a1' });
      expect(made).toMatchObject({ label: 'aes-1', id: 'a1', type: 'AES-256', mechanisms: ['aes-gcm'], faults: [] });
      await generateKey(session, { type: 'rsa', bits: 2048, label: 'rsa-1', id: 'b1' });
      for (const again of [
        { label: 'aes-1' },
        { label: 'new', id: 'a1' },
        { label: 'rsa-1' },
        { label: 'y', id: 'b1' },
      ]) {
        expect(await codeOf(generateKey(session, { type: 'aes', bits: 256, ...again }))).toBe('hsm-key-exists');
      }
    });
    const seen = await hsm.tool(...login(), '--list-objects');
    const about = (label: string): string[] =>
      seen.split(/(?=^\S.* Key Object)/m).filter((part) => part.includes(label));
    expect(about('aes-1')).toHaveLength(1);
    expect(about('aes-1')[0]).toMatch(/AES length 32[\s\S]*ID: +a1\s+Usage: +encrypt, decrypt\n/);
    expect(about('aes-1')[0]).toMatch(/Access: +sensitive, always sensitive, never extra[ct]*able, local/);
    expect(about('rsa-1')).toHaveLength(2);
    expect(about('rsa-1').join('')).toMatch(
      /Usage: +decrypt\n[\s\S]*sensitive, always sensitive, never extra[ct]*able, local/,
    );
    expect(await codeOf(hsm.tool(...login(), '--read-object', '--type', 'secrkey', '--id', 'a1'))).not.toBe(
      'nothing was thrown',
    );
  });

  it('destroys again what a token made otherwise than ordered', async () => {
    await on('extractable', async (session) => {
      expect(await codeOf(generateKey(session, { type: 'aes', bits: 256, label: 'loose' }))).toBe('hsm-key-unfit');
    });
    await on(undefined, async (session) => {
      expect(await codeOf(findKey(session, { label: 'loose' }))).toBe('hsm-key-missing');
    });
  });
});

describe('the trial of a key', () => {
  it('passes on a key of pkcs11-tool that cannot be read out, and refuses one that can', async () => {
    await hsm.addKey(token, 'AES:32', 'tool', 'c1', '--sensitive', '--usage-decrypt', '--private');
    await hsm.addKey(token, 'AES:32', 'open', 'c2', '--extractable');
    await on(undefined, async (session, library, found) => {
      const result = await tryKey(library, session, found, await findKey(session, { label: 'tool' }), options);
      expect(result).toMatchObject({ mechanism: 'CKM_AES_GCM', rounds: 3 });
      expect(result.refused).toEqual(['ciphertext', 'tag', 'IV', 'additional data']);
      expect(result.encrypt.median).toBeGreaterThan(0);
      expect(await codeOf(tryKey(library, session, found, await findKey(session, { id: 'c2' }), options))).toBe(
        'hsm-key-unfit',
      );
    });
  });

  it.each(['own-iv', 'strict-iv'] as const)('uses the IV of a token that chooses it (%s)', async (manner) => {
    await on(manner, async (session, library, found) => {
      const key = await findKey(session, { label: 'aes-1' });
      expect((await session.encryptGcm(key.key, Uint8Array.of(1))).iv[0]).toBe(0xee);
      expect(await tryKey(library, session, found, key, options)).toMatchObject({ rounds: 3 });
    });
  });

  it('makes what others can decrypt: OpenSSL with the same AES key, pkcs11-tool with the RSA key', async () => {
    const text = new TextEncoder().encode('what the server keeps');
    const [gcm, oaep] = await on(undefined, async (session) => {
      const open = await findKey(session, { label: 'open' });
      const { publicKey } = await findKey(session, { label: 'rsa-1' });
      if (publicKey === undefined) throw new Error('there is no public key');
      return [await session.encryptGcm(open.key, text), await session.encryptOaep(publicKey, text, 'sha1')] as const;
    });
    const value = join(hsm.folder, 'value');
    await hsm.tool(...login(), '--read-object', '--type', 'secrkey', '--id', 'c2', '--output-file', value);
    const decipher = createDecipheriv('aes-256-gcm', await readFile(value), gcm.iv);
    decipher.setAuthTag(gcm.ciphertext.subarray(-16));
    const plain = Buffer.concat([decipher.update(gcm.ciphertext.subarray(0, -16)), decipher.final()]);
    expect(plain.toString()).toBe('what the server keeps');

    const [from, to] = [join(hsm.folder, 'from'), join(hsm.folder, 'to')];
    await writeFile(from, oaep);
    const mechanism = ['--mechanism', 'RSA-PKCS-OAEP', '--hash-algorithm', 'SHA-1', '--mgf', 'MGF1-SHA1'];
    await hsm.tool(...login(), '--decrypt', '--id', 'b1', ...mechanism, '--input-file', from, '--output-file', to);
    expect(await readFile(to, 'utf8')).toBe('what the server keeps');
  });
});

it('names the keys that are there when the one that is meant is not', async () => {
  await on(undefined, async (session) => {
    expect((await keysOf(session)).map(({ label }) => label)).toEqual(['aes-1', 'open', 'rsa-1', 'tool']);
    await expect(findKey(session, { label: 'none' })).rejects.toMatchObject({ hint: /"aes-1", "open"/ });
    expect(await codeOf(findKey(session, {}))).toBe('hsm-key-ambiguous');
  });
});

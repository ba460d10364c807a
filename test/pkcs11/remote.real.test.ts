import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openRemote, type RemoteLibrary } from '../../src/pkcs11/remote.ts';
import { Secret } from '../../src/secret.ts';
import { atEnd } from '../support/at-end.ts';
import { codeOf } from '../support/errors.ts';
import { brokenLibrary } from '../support/pkcs11-stub.ts';
import { processesNaming } from '../support/processes.ts';
import { SOFTHSM_MODULE, type SoftHsm, softHsm } from '../support/softhsm.ts';
import { waitUntil } from '../support/wait.ts';

const signal = new AbortController().signal;
const open: RemoteLibrary[] = [];

atEnd(() => {
  for (const library of open) library.close();
});

async function opened(path: string, env: Record<string, string>, options = {}): Promise<RemoteLibrary> {
  const library = await openRemote(path, { env, signal, ...options });
  open.push(library);
  return library;
}

describe('a library in another process', () => {
  let hsm: SoftHsm;

  beforeAll(async () => {
    hsm = await softHsm();
    await hsm.addToken('one');
  });

  it('answers as the library itself does, errors included', async () => {
    const library = await opened(SOFTHSM_MODULE, hsm.env);
    const token = await library.findToken({ label: 'one' });
    expect(await codeOf(library.findToken({ label: 'none' }))).toBe('hsm-token-missing');
    await library.withSession(token, { write: true }, async (session) => {
      expect(await codeOf(session.login(Secret.fromText('9999')))).toBe('pin-wrong');
      expect(await session.login(Secret.fromText('1234'))).toBe('now');
      const key = await session.generateAes({ label: 'k', id: Uint8Array.of(1), bits: 256 });
      expect(key.bits).toBe(256);
      const made = await session.encryptGcm(key, Uint8Array.of(1, 2, 3));
      expect(await session.decryptGcm(key, made)).toEqual(Uint8Array.of(1, 2, 3));
    });
  });

  it('tells a path that is no library, and leaves no process behind', async () => {
    expect(await codeOf(opened('/etc/hostname', {}))).toBe('hsm-library-invalid');
    await waitUntil('the process is gone', () => processesNaming('/etc/hostname').length === 0);
  });

  it('ends when it is closed', async () => {
    // A path that no other process on this machine is started with.
    const path = join(hsm.folder, 'lib.so');
    await symlink(SOFTHSM_MODULE, path);
    const library = await opened(path, hsm.env);
    expect(processesNaming(path)).toHaveLength(1);
    library.close();
    await waitUntil('the process is gone', () => processesNaming(path).length === 0);
    expect(await codeOf(library.tokens())).toBe('bug');
  });
});

describe('a library that is broken', () => {
  let path: string;

  beforeAll(async () => {
    path = await brokenLibrary();
  });

  it('and hangs is given up, and its process killed', async () => {
    const library = await opened(path, {}, { timeout: 1000 });
    expect(await codeOf(library.info())).toBe('hsm-timeout');
    expect(await codeOf(library.tokens())).toBe('hsm-timeout');
    await waitUntil('the process is gone', () => processesNaming(path).length === 0);
  });

  it('and crashes takes nothing with it', async () => {
    const library = await opened(path, { STUB_HOW: 'crash' });
    await expect(library.info()).rejects.toMatchObject({ code: 'hsm-failed', message: /crashed \(SIGABRT\) in info/ });
  });

  it('does not keep Ctrl-C from working', async () => {
    const controller = new AbortController();
    const library = await openRemote(path, { env: {}, signal: controller.signal });
    const asked = codeOf(library.info());
    controller.abort();
    expect(await asked).toBe('cancelled');
    await waitUntil('the process is gone', () => processesNaming(path).length === 0);
  });
});

import { createHash, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { makeCertificates } from '../../src/rehearsal/certificates.ts';
import { codeOf } from '../support/errors.ts';
import { listen, type Listener, type Play, SEAL_STATUS } from '../support/listener.ts';
import { connectPeer, Secret } from './subject.ts';

const fine: Play = (_seen, reply) => {
  reply(200, SEAL_STATUS);
};
const TOKEN = Secret.fromText('s.AbCdEfGhIjKlMnOpQrStUvWx');

let folder = '';
const files = { ca: '', otherCa: '', certificate: '', key: '', looseKey: '' };
const pems = { certificate: '', key: '', ca: '' };
let fingerprint = '';
const listeners: Listener[] = [];

async function start(...args: Parameters<typeof listen>): Promise<Listener> {
  const listener = await listen(...args);
  listeners.push(listener);
  return listener;
}

const peerAt = (address: string, more: object = {}): ReturnType<typeof connectPeer> =>
  connectPeer({ name: 'peer', address, timeout: 5000, ...more });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quorate-tls-'));
  const [ours, other] = await Promise.all([makeCertificates(['a']), makeCertificates(['b'])]);
  const own = ours.peers[0];
  if (own === undefined) throw new Error('no certificate was made');
  Object.assign(pems, { certificate: own.certificate, key: own.key.exposeText(), ca: ours.ca });
  fingerprint = createHash('sha256').update(new X509Certificate(own.certificate).raw).digest('hex');
  await mkdir(join(folder, 'authorities'));
  await writeFile(join(folder, 'authorities', 'README'), 'no certificate');
  await writeFile(join(folder, 'authorities', 'other.pem'), other.ca);
  await writeFile(join(folder, 'authorities', 'ours.pem'), ours.ca);
  const texts = { ca: ours.ca, otherCa: other.ca, certificate: own.certificate, key: pems.key, looseKey: pems.key };
  for (const [name, text] of Object.entries(texts)) {
    const file = join(folder, `${name}.pem`);
    await writeFile(file, text, { mode: name === 'looseKey' ? 0o644 : 0o600 });
    Object.assign(files, { [name]: file });
  }
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('TLS', () => {
  const secure = (play: Play = fine): Promise<Listener> =>
    start(play, { tls: { cert: pems.certificate, key: pems.key } });

  it('trusts what the CA file, or a folder with it, vouches for, and tells the certificate', async () => {
    const { address } = await secure();
    for (const ca of [files.ca, join(folder, 'authorities')]) {
      const peer = peerAt(address, { ca });
      expect(peer.certificate).toBeUndefined();
      await peer.sealStatus();
      expect(peer.certificate).toBe(fingerprint);
      peer.close();
    }
  });

  it.each(['nothing', 'another CA', 'another name', 'another pin', 'a pin but another CA', 'a CA but another pin'])(
    'sends nothing to a peer that is not proved: %s',
    async (what) => {
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
      vi.stubEnv('VAULT_SKIP_VERIFY', 'true');
      const settings = {
        'nothing': {},
        'another CA': { ca: files.otherCa },
        'another name': { ca: files.ca, serverName: 'other.test' },
        'another pin': { pin: '0'.repeat(64) },
        'a pin but another CA': { ca: files.otherCa, pin: fingerprint },
        'a CA but another pin': { ca: files.ca, pin: '0'.repeat(64) },
      }[what];
      const listener = await secure();
      const peer = peerAt(listener.address, settings);
      expect(await codeOf(peer.session(TOKEN).read('kv/a'))).toBe('server-identity');
      expect(await codeOf(peer.unseal(Secret.fromText('ab'.repeat(33))))).toBe('server-identity');
      const init = peer.initialise({ shares: 1, threshold: 1, recovery: false });
      expect(await codeOf(init)).toBe('server-identity');
      expect(listener.seen).toEqual([]);
      expect(peer.certificate).toBeUndefined();
    },
  );

  it('takes a pin in place of a CA, in the ways people write it', async () => {
    const { address } = await secure();
    const colons = (fingerprint.toUpperCase().match(/../g) ?? []).join(':');
    for (const pin of [fingerprint, `sha256:${fingerprint}`, colons]) {
      const peer = peerAt(address, { pin });
      await peer.sealStatus();
      peer.close();
    }
  });

  it('shows a client certificate, and says so when one is missing', async () => {
    const { address, seen } = await start(fine, {
      tls: { cert: pems.certificate, key: pems.key, ca: pems.ca, requestCert: true, rejectUnauthorized: true },
    });
    const mutual = peerAt(address, { ca: files.ca, clientCertificate: files.certificate, clientKey: files.key });
    await mutual.sealStatus();
    mutual.close();
    expect(seen).toHaveLength(1);
    expect(await codeOf(peerAt(address, { ca: files.ca }).sealStatus())).toBe('server-identity');
    expect(seen).toHaveLength(1);
  });

  it('names what is wrong with files and pins', async () => {
    const { address } = await secure();
    const status = (more: object): Promise<string> => codeOf(peerAt(address, more).sealStatus());
    expect(await status({ ca: join(folder, 'none.pem') })).toBe('file-missing');
    expect(await status({ ca: files.key })).toBe('file-invalid');
    expect(await status({ ca: files.ca, clientCertificate: files.certificate })).toBe('usage');
    expect(await status({ ca: files.ca, clientCertificate: files.certificate, clientKey: files.looseKey })).toBe(
      'file-mode',
    );
    expect(await status({ ca: files.ca, clientCertificate: files.certificate, clientKey: files.ca })).toBe(
      'file-invalid',
    );
    expect(await status({ pin: 'abc' })).toBe('usage');
    const plain = await start(fine);
    expect(await codeOf(peerAt(plain.address, { pin: fingerprint }).sealStatus())).toBe('usage');
  });

  it('says so when the other side speaks no TLS', async () => {
    const { address } = await start(fine);
    const peer = peerAt(address.replace('http:', 'https:'), { ca: files.ca });
    expect(await codeOf(peer.sealStatus())).toBe('server-identity');
  });
});

import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ThrowawayCluster } from '../../../../src/rehearsal/cluster.ts';
import type { Peer } from '../../../../src/vault/peer.ts';
import { type Crew, initScriptText, peersOf, prepareCeremony } from '../../../support/ceremony.ts';
import { eventsOf, expectComplete } from '../../../support/completion.ts';
import type { TestCeremony } from '../../../support/ceremony.ts';
import { callPeer, freshCluster, startOver, temporaryFolder } from '../../../support/cluster.ts';
import { madeUpCustodians } from '../../../support/custodians.ts';
import { type Fault, startCuttingProxy } from '../../../support/cutting-proxy.ts';
import { codeOf } from '../../../support/errors.ts';
import { gnupgHome } from '../../../support/gnupg.ts';
import { at } from '../../../support/http.ts';

let crew: Crew;

beforeAll(async () => {
  crew = await madeUpCustodians('Alice', 'Bo', 'Cleo', 'Erin');
});

async function prepare(
  peers: readonly Peer[],
  options: { readonly crew?: Crew; readonly people?: object } = {},
): Promise<TestCeremony> {
  const who = options.crew ?? crew;
  const folder = await temporaryFolder();
  return prepareCeremony({ folder, peers, crew: who, script: initScriptText(who), people: options.people ?? {} });
}

async function isInitialised(cluster: ThrowawayCluster, index = 0): Promise<unknown> {
  return at((await callPeer(cluster, index, 'GET', 'sys/init')).body, 'initialized');
}

describe('a bad OpenPGP key', () => {
  it('is found before anything is sent, and the cluster can still be initialised', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const peers = peersOf(cluster);
    const home = await gnupgHome();
    try {
      const bad = await badKeys(home);
      const folder = await temporaryFolder();
      for (const [kind, { bytes, fingerprint }] of Object.entries(bad)) {
        const pgpFile = join(folder, kind);
        await writeFile(pgpFile, bytes);
        const [alice, ...rest] = crew;
        if (alice === undefined) throw new Error('nobody is there');
        const ceremony = await prepare(peers, { crew: [{ ...alice, pgpFile, fingerprint }, ...rest] });
        expect(await codeOf(ceremony.start()), kind).toBe('preflight-failed');
        const checks = (await eventsOf(ceremony.folder ?? '')).filter((one) => one.event === 'check');
        expect(checks.filter(({ ok }) => !ok).map(({ code }) => code)).toEqual(['pgp-key']);
        expect(await isInitialised(cluster), kind).toBe(false);
        // Nor does a resume get past the key.
        expect(await codeOf(ceremony.resume()), kind).toBe('preflight-failed');
      }
    } finally {
      await home.remove();
    }
    const good = await prepare(peers);
    await good.start();
    await expectComplete(cluster, crew, good.folder ?? '');
  });

  it('cannot be accepted as an exception', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const folder = await temporaryFolder();
    const pgpFile = join(folder, 'none.asc');
    await writeFile(pgpFile, 'no key');
    const [alice, ...rest] = crew;
    if (alice === undefined) throw new Error('nobody is there');
    const bad = [{ ...alice, pgpFile }, ...rest];
    const ceremony = await prepareCeremony({
      folder,
      peers: peersOf(cluster),
      crew: bad,
      script: initScriptText(bad),
      setting: { accepted: new Map([['pgp-key', 'in a hurry']]) },
    });
    expect(await codeOf(ceremony.start())).toBe('key-unusable');
    expect(await isInitialised(cluster)).toBe(false);
  });
});

type Bad = Record<string, { readonly bytes: Uint8Array; readonly fingerprint: string }>;

async function badKeys(home: Awaited<ReturnType<typeof gnupgHome>>): Promise<Bad> {
  const keys: Bad = {};
  const add = async (kind: string, fingerprint: string): Promise<void> => {
    keys[kind] = { bytes: await home.exportKey(fingerprint), fingerprint };
  };
  const signOnly = await home.generate('Signer', 'ed25519', 'sign');
  await add('sign-only', signOnly);
  const small = await home.generate('Small', 'rsa1024', 'sign');
  await home.addSubkey(small, 'rsa1024', 'encr');
  await add('rsa-1024', small);
  const good = await home.generate('Good', 'ed25519', 'sign');
  await home.addSubkey(good, 'cv25519', 'encr');
  keys['wrong-fingerprint'] = { bytes: await home.exportKey(good), fingerprint: signOnly };
  keys['secret-key'] = { bytes: await home.gpg('--export-secret-keys', good), fingerprint: good };
  keys['no-key'] = { bytes: new TextEncoder().encode('this is not a key\n'), fingerprint: good };
  keys['two-keys'] = { bytes: await home.gpg('--export', good, signOnly), fingerprint: good };
  // Made and ended in the past, as the clock of its maker said.
  await home.gpg('--faked-system-time', '20200101T000000', '--quick-generate-key', 'Old', 'ed25519', 'sign', '1y');
  const old = fingerprintOf(await home.gpg('--with-colons', '--list-keys', 'Old'));
  await home.gpg('--faked-system-time', '20200101T000000', '--quick-add-key', old, 'cv25519', 'encr', '1y');
  await add('expired', old);
  const revoked = await home.generate('Revoked', 'ed25519', 'sign');
  await home.addSubkey(revoked, 'cv25519', 'encr');
  const certificate = join(home.path, 'openpgp-revocs.d', `${revoked}.rev`);
  const text = (await readFile(certificate, 'utf8')).replace(/^:-----BEGIN/m, '-----BEGIN');
  await writeFile(certificate, text);
  await home.gpg('--import', certificate);
  await add('revoked', revoked);
  return keys;
}

function fingerprintOf(listing: Buffer): string {
  const fingerprint = /^fpr:{9}([0-9A-F]{40}):/m.exec(listing.toString())?.[1];
  if (fingerprint === undefined) throw new Error('gpg made no key');
  return fingerprint;
}

describe('a reply to init that is lost', () => {
  const CUTS: readonly (readonly [string, Fault])[] = [
    ['before the reply', { kind: 'before-reply' }],
    ['after its head', { kind: 'within-reply', bytes: 0 }],
    ['within its body', { kind: 'within-reply', bytes: 700 }],
  ];

  it.each(CUTS)('is told when it breaks %s, and a ceremony on wiped peers works', async (_, fault) => {
    const cluster = await freshCluster({ peers: 1 });
    const proxy = await startCuttingProxy(cluster);
    void proxy.cut({ path: 'sys/init', fault });
    const ceremony = await prepare(peersOf(cluster, proxy));
    await expect(ceremony.start()).rejects.toMatchObject({
      code: 'init-reply-lost',
      hint: expect.stringContaining('wipe') as string,
    });
    expect(proxy.requests.filter((one) => one.endsWith(' sys/init'))).toHaveLength(1);
    expect(await codeOf(ceremony.resume())).toBe('init-reply-lost');
    expect(proxy.requests.filter((one) => one.endsWith(' sys/init'))).toHaveLength(1);

    await startOver(cluster);
    const again = await prepare(peersOf(cluster));
    await again.start();
    await expectComplete(cluster, crew, again.folder ?? '');
  });

  it('does no harm when the request never arrived: the ceremony is resumed', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const proxy = await startCuttingProxy(cluster);
    void proxy.cut({ path: 'sys/init', fault: { kind: 'before-request' } });
    const ceremony = await prepare(peersOf(cluster, proxy));
    await expect(ceremony.start()).rejects.toMatchObject({
      code: 'init-reply-lost',
      hint: expect.stringContaining('Resume') as string,
    });
    expect(await isInitialised(cluster)).toBe(false);
    // Without the proxy, whose HTTP knows no LIST.
    const other = await prepare(peersOf(cluster));
    await other.resume(ceremony.folder);
    await expectComplete(cluster, crew, other.folder ?? '');
  });

  it('is not taken for the shares of storage that was replaced since', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const stop = { prove: () => Promise.reject(new Error('the power fails')) };
    const ceremony = await prepare(peersOf(cluster), { people: stop });
    await expect(ceremony.start()).rejects.toThrow('the power fails');
    await startOver(cluster);
    expect(await codeOf(ceremony.resume())).toBe('ceremony-interrupted');
    expect(await isInitialised(cluster)).toBe(false);
  });
});

describe('a broken audit device', () => {
  it('costs the keys of an init that the server refuses, and quorate says so', async () => {
    // A file where the device wants a folder: root cannot write there either.
    const extra = 'audit "file" "main" {\n  options {\n    file_path = "server.hcl/audit.log"\n  }\n}';
    const cluster = await freshCluster({ peers: 1, audit: false, extra });
    const ceremony = await prepare(peersOf(cluster));
    await expect(ceremony.start()).rejects.toMatchObject({
      code: 'init-reply-lost',
      message: expect.stringContaining('audit') as string,
      hint: expect.stringContaining('wipe') as string,
    });
    expect(await isInitialised(cluster)).toBe(true);
    expect(await codeOf(ceremony.resume())).toBe('init-reply-lost');
  });
});

describe('peers that were initialised apart', () => {
  /** Before the custodians prove their shares, somebody initialises the second peer; `open` gives it its share too. */
  function meddler(
    cluster: ThrowawayCluster,
    shares: number,
    open: boolean,
  ): { readonly people: object; readonly id: () => unknown } {
    let done: Promise<unknown> | undefined;
    let id: unknown;
    const meddle = async (): Promise<void> => {
      const body = { secret_shares: shares, secret_threshold: Math.min(2, shares) };
      const reply = await callPeer(cluster, 1, 'PUT', 'sys/init', { body });
      if (!open) return;
      const key = at(reply.body, 'keys', 0);
      const opened = await callPeer(cluster, 1, 'PUT', 'sys/unseal', { body: { key } });
      id = at(opened.body, 'cluster_id');
    };
    return {
      id: () => id,
      people: {
        act: async () => {
          await (done ??= meddle());
          return {};
        },
      },
    };
  }

  const CASES = [
    { shares: 1, open: true, own: true },
    { shares: 3, open: false, own: true },
    // The numbers alone tell: no share is given to anybody.
    { shares: 1, open: false, own: false },
  ];

  it.each(CASES)('stop the ceremony, also when it is resumed: $shares shares, unsealed $open', async (meddled) => {
    const { open, shares } = meddled;
    const cluster = await freshCluster({ peers: 2 });
    const { people, id } = meddler(cluster, shares, open);
    const folder = await temporaryFolder();
    const script = initScriptText(crew, { people: [{ before: 'prove', say: 'All look away.' }] });
    const ceremony = await prepareCeremony({ folder, peers: peersOf(cluster), crew, script, people });
    const first = await ceremony.start().then(
      () => 'complete',
      (error: unknown) => error,
    );
    expect(first).toMatchObject({ code: 'cluster-mismatch' });
    const own = at((await callPeer(cluster, 0, 'GET', 'sys/seal-status')).body, 'cluster_id');
    if (meddled.own) expect((first as Error).message).toContain(own);
    if (open) expect((first as Error).message).toContain(id());
    expect(await codeOf(ceremony.resume())).toBe('cluster-mismatch');

    await cluster.kill(1);
    await cluster.wipe(1);
    await cluster.start(1);
    await ceremony.resume();
    await expectComplete(cluster, crew, ceremony.folder ?? '');
  });

  it('are refused when they were there before', async () => {
    const cluster = await freshCluster({ peers: 2 });
    await callPeer(cluster, 1, 'PUT', 'sys/init', { body: { secret_shares: 1, secret_threshold: 1 } });
    const ceremony = await prepare(peersOf(cluster));
    expect(await codeOf(ceremony.start())).toBe('preflight-failed');
    expect(await codeOf(ceremony.resume())).toBe('preflight-failed');
    expect(await isInitialised(cluster)).toBe(false);
  });
});

describe('files of the ceremony', () => {
  it('that an interruption left half written are made whole from the reply', async () => {
    const cluster = await freshCluster({ peers: 1 });
    let tries = 0;
    const ceremony = await prepare(peersOf(cluster), {
      people: { prove: () => Promise.reject(new Error(`the power fails ${(tries += 1).toString()}`)) },
    });
    await expect(ceremony.start()).rejects.toThrow('the power fails');
    const folder = ceremony.folder ?? '';
    await writeFile(join(folder, 'issued', 'alice.pgp'), new Uint8Array(10));
    await rm(join(folder, 'issued', 'bo.pgp'));
    const other = await prepare(peersOf(cluster));
    await other.resume(folder);
    await expectComplete(cluster, crew, folder);
  });
});

import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { callPeer, sharedCluster, temporaryFolder } from '../support/cluster.ts';
import { formsOf, HOLDERS, lastRecord, layDesk, rosterOf } from '../support/desk.ts';
import { type GnupgHome, gnupgHome } from '../support/gnupg.ts';
import { at } from '../support/http.ts';
import { armoured, sealTo } from '../support/pgp.ts';
import { errorCode, quorate, startQuorate } from '../support/quorate.ts';
import { OPEN, SEALED, sealAgain, standings } from '../support/sealed.ts';

const shared = sharedCluster({ shares: 5, threshold: 3, voters: true });
const share = (index: number): string => shared().shares[index] ?? '';
const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');
/** A share of the same x, that nobody holds. */
const mistyped = (hex: string): string => hex.replace(/^../, hex.startsWith('aa') ? 'bb' : 'aa');

let folder: string;
let clusterId: string;
let home: GnupgHome;

beforeAll(async () => {
  folder = await temporaryFolder();
  clusterId = String(at((await callPeer(shared().cluster, 0, 'GET', 'sys/seal-status')).body, 'cluster_id'));
  home = await gnupgHome();
  const bo = await home.generate('Bo', 'ed25519', 'sign,cert');
  await home.addSubkey(bo, 'cv25519', 'encr');
  const sealed = await sealTo(await home.exportKey(bo), share(1));
  await writeFile(join(folder, 'bo.pgp'), sealed);
  await writeFile(join(folder, 'bo.asc'), armoured(sealed), { mode: 0o644 });
  await writeFile(join(folder, 'bo.b64'), Buffer.from(sealed).toString('base64'), { mode: 0o644 });
});

afterAll(() => home.remove());

beforeEach(async () => {
  await sealAgain(shared());
  await desk();
});

/** The desk of prod, with its roster unless there is none, and of another cluster. */
async function desk(options: { readonly roster?: boolean; readonly clusterId?: string } = {}): Promise<void> {
  const { cluster, shares } = shared();
  const peers = cluster.peers.map(({ name, address }) => ({ name, address }));
  const previous = shares.map((hex) => mistyped(mistyped(hex).slice(2)).padStart(66, '7'));
  await layDesk(folder, {
    prod: {
      peers,
      ca: cluster.caFile,
      ...(options.roster === false
        ? {}
        : {
            roster: rosterOf(shares, {
              cluster: 'prod',
              threshold: 3,
              generation: 2,
              previous,
              clusterId: options.clusterId ?? clusterId,
            }),
          }),
    },
    lab: {
      peers: [{ name: 'lab-1', address: 'https://127.0.0.1:9' }],
      roster: rosterOf(
        shares.map((hex) => `3c${hex.slice(2)}`),
        { cluster: 'lab', threshold: 3 },
      ),
    },
  });
}

const unseal = (args: readonly string[], input = '') =>
  quorate(['unseal', '--cluster', 'prod', ...args], { cwd: folder, env: { GNUPGHOME: home.path }, input });

async function secretFile(name: string, text: string, mode = 0o600): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

describe('quorate unseal', () => {
  it('takes shares from a 0600 file, a PGP file and standard input, in any spelling', async () => {
    const spread = `  ${(base64(share(0)).match(/.{1,11}/g) ?? []).join(' ')}\n\n`;
    await secretFile('alice.share', spread);
    const ended = await unseal(
      ['--share-file', 'alice.share', '--share-file', 'bo.pgp', '--share-fd', '0', '--format', 'json'],
      `${share(2).toUpperCase()}\r\n`,
    );
    expect(ended.stderr).not.toContain('error');
    expect(ended.status).toBe(0);
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
    expect(JSON.parse(ended.stdout)).toMatchObject({ cluster: 'prod', unsealed: 3 });

    const { text, lines } = await lastRecord(folder);
    const accepted = lines.filter((line) => line.event === 'share.accepted');
    expect(accepted.map(({ who, generation }) => [who, generation])).toEqual(
      HOLDERS.slice(0, 3).flatMap((who) => [0, 1, 2].map(() => [who, 2])),
    );
    expect(lines.at(-1)).toMatchObject({ event: 'ceremony.closed', result: 'complete' });
    for (const hex of shared().shares) {
      for (const form of formsOf(hex)) expect(text + ended.stdout + ended.stderr).not.toContain(form);
    }
  });

  it('takes PGP files in armour or base64, of any mode, and PGP messages from a descriptor', async () => {
    for (const file of ['bo.asc', 'bo.b64']) {
      const { status } = await unseal(['--share-file', file]);
      expect(status).toBe(3);
      expect((await standings(shared())).map((one) => one?.progress)).toEqual([1, 1, 1]);
      await sealAgain(shared());
    }
    const run = startQuorate(['unseal', '--cluster', 'prod', '--share-fd', '3'], {
      cwd: folder,
      env: { GNUPGHOME: home.path },
      pipes: 1,
    });
    run.give(3, armoured(await sealTo(await home.exportKey('Bo'), share(1))));
    expect((await run.ended).status).toBe(3);
    expect((await standings(shared())).map((one) => one?.progress)).toEqual([1, 1, 1]);
  });

  it('refuses a share in a file that others can read', async () => {
    await secretFile('loose.share', share(0), 0o640);
    const ended = await unseal(['--share-file', 'loose.share']);
    expect([ended.status, errorCode(ended)]).toEqual([1, 'file-mode']);
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);
  });

  it('leaves the rest to later when nobody gives another share, and goes on then', async () => {
    const first = await unseal(['--share-fd', '0', '--format', 'json'], share(4));
    expect(first.status).toBe(3);
    expect(JSON.parse(first.stdout)).toMatchObject({ unsealed: 0 });
    const { folder: record } = await lastRecord(folder);
    await secretFile('a', share(0));
    await secretFile('b', share(1));
    const second = await quorate(['ceremony', 'resume', record, '--share-file', 'a', '--share-file', 'b'], {
      cwd: folder,
    });
    expect(second.stderr).not.toContain('error');
    expect(second.status).toBe(0);
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
  });

  it('does nothing where nothing is sealed', async () => {
    await secretFile('a', share(0));
    await secretFile('b', share(1));
    await secretFile('c', share(2));
    const args = ['--share-file', 'a', '--share-file', 'b', '--share-file', 'c'];
    expect((await unseal(args)).status).toBe(0);
    expect((await unseal(['--share-file', 'a'])).status).toBe(0);
  });
});

describe('a bad share never reaches a server', () => {
  const cases: readonly [what: string, code: string, text: () => string][] = [
    ['a typing error', 'share-unknown', () => mistyped(share(0))],
    ['a letter that is not hexadecimal', 'share-invalid', () => share(0).replace(/.$/, 'O')],
    ['a character too few', 'share-invalid', () => share(0).slice(1)],
    ['nothing', 'share-invalid', () => ''],
    [
      'a share of the generation before',
      'share-generation',
      () => mistyped(mistyped(share(0)).slice(2)).padStart(66, '7'),
    ],
    ['a share of another cluster', 'cluster-mismatch', () => `3c${share(0).slice(2)}`],
    ['a root token', 'share-invalid', () => shared().rootToken],
    ['the head of a PGP message', 'share-undecryptable', () => '-----BEGIN PGP MESSAGE-----\n\nhF4D\n'],
    ['JSON', 'share-invalid', () => JSON.stringify({ key: share(0) })],
  ];
  it.each(cases)('%s: %s', async (_what, code, text) => {
    const ended = await unseal(['--share-fd', '0'], text());
    expect([ended.status, errorCode(ended)]).toEqual([5, code]);
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);
    const { lines, text: record } = await lastRecord(folder);
    expect(lines.find((line) => line.event === 'share.refused')).toMatchObject({ reason: code });
    if (text().length > 12) expect(record + ended.stderr + ended.stdout).not.toContain(text().slice(-24, -12));
  });

  it('a duplicate: share-duplicate', async () => {
    await secretFile('a', share(0));
    await secretFile('a2', base64(share(0)));
    const ended = await unseal(['--share-file', 'a', '--share-file', 'a2']);
    expect([ended.status, errorCode(ended)]).toEqual([5, 'share-duplicate']);
    expect((await standings(shared())).map((one) => one?.progress)).toEqual([1, 1, 1]);
  });

  it('an unlisted one, without a terminal to confirm it', async () => {
    const ended = await unseal(['--unlisted-share', '--share-fd', '0'], mistyped(share(0)));
    expect([ended.status, errorCode(ended)]).toEqual([5, 'share-unknown']);
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);
  });
});

describe('without a roster', () => {
  beforeEach(() => desk({ roster: false }));

  it('a wrong set is told once, at the threshold, and can be given again', async () => {
    await secretFile('a', share(0));
    await secretFile('b', mistyped(share(1)));
    await secretFile('c', share(2));
    const wrong = await unseal(['--share-file', 'a', '--share-file', 'b', '--share-file', 'c']);
    expect([wrong.status, errorCode(wrong)]).toEqual([5, 'shares-wrong']);
    expect(wrong.stderr.match(/do not open/g)).toHaveLength(1);
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);

    await secretFile('b', share(1));
    expect((await unseal(['--share-file', 'a', '--share-file', 'b', '--share-file', 'c'])).status).toBe(0);
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
  });

  it('two different shares with one x are refused before the second is sent', async () => {
    await secretFile('a', share(0));
    await secretFile('b', mistyped(share(0)));
    const ended = await unseal(['--share-file', 'a', '--share-file', 'b']);
    expect([ended.status, errorCode(ended)]).toEqual([5, 'share-duplicate']);
    expect((await standings(shared())).map((one) => one?.progress)).toEqual([1, 1, 1]);
  });

  it('a share of another cluster that has a roster is still called by its name', async () => {
    const ended = await unseal(['--share-fd', '0'], `3c${share(0).slice(2)}`);
    expect([ended.status, errorCode(ended)]).toEqual([5, 'cluster-mismatch']);
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);
  });
});

describe('the wrong cluster', () => {
  it('is noticed as soon as a peer is open and shows its id', async () => {
    await desk({ clusterId: '84980d23-701a-821c-de95-1936219b6c55' });
    for (const [name, index] of [
      ['a', 0],
      ['b', 1],
      ['c', 2],
    ] as const)
      await secretFile(name, share(index));
    const ended = await unseal(['--share-file', 'a', '--share-file', 'b', '--share-file', 'c']);
    expect([ended.status, errorCode(ended)]).toEqual([5, 'cluster-mismatch']);
  });

  it('an unknown peer is named', async () => {
    await mkdir(join(folder, 'records'), { recursive: true });
    const ended = await unseal(['--peer', 'peer-9']);
    expect([ended.status, errorCode(ended)]).toEqual([1, 'cluster-unknown']);
  });
});

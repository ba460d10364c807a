import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { initialise, freshCluster, sharedCluster, temporaryFolder } from '../support/cluster.ts';
import { type CuttingProxy, type Fault, startCuttingProxy } from '../support/cutting-proxy.ts';
import { lastRecord, layDesk, pinOf, rosterOf } from '../support/desk.ts';
import { errorCode, quorate } from '../support/quorate.ts';
import { OPEN, SEALED, sealAgain, standings } from '../support/sealed.ts';

const shared = sharedCluster({ shares: 5, threshold: 3, voters: true });
let folder: string;
let proxy: CuttingProxy;

beforeAll(async () => {
  folder = await temporaryFolder();
  // In front of the second peer.
  proxy = await startCuttingProxy(shared().cluster, 1);
  for (const [index, hex] of shared().shares.entries()) {
    await writeFile(join(folder, `share-${index.toString()}`), hex, { mode: 0o600 });
  }
});

beforeEach(async () => {
  await sealAgain(shared());
  proxy.mend();
});

const given = (...numbers: readonly number[]): string[] =>
  numbers.flatMap((number) => ['--share-file', `share-${number.toString()}`]);

const unseal = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  quorate(['unseal', '--cluster', 'prod', '--format', 'json', ...args], { cwd: folder, env });

function peersByProxy(): { name: string; address: string }[] {
  return shared().cluster.peers.map(({ name, address }, index) => ({
    name,
    address: index === 1 ? proxy.address : address,
  }));
}

async function desk(roster: boolean): Promise<void> {
  const { cluster, shares } = shared();
  await layDesk(folder, {
    prod: {
      peers: peersByProxy(),
      ca: cluster.caFile,
      ...(roster ? { roster: rosterOf(shares, { cluster: 'prod', threshold: 3 }) } : {}),
    },
  });
}

/** A fault that never strikes fails the test at once. */
const within = (struck: Promise<void>) =>
  Promise.race([
    struck,
    new Promise<void>((_, reject) => {
      setTimeout(reject, 1000, new Error('the fault never struck'));
    }),
  ]);

describe('a reply that is lost on the way', () => {
  const faults: readonly Fault[] = [
    { kind: 'before-request' },
    { kind: 'before-reply' },
    { kind: 'within-reply', bytes: 20 },
    { kind: 'freeze' },
  ];
  const cells = faults.flatMap((fault) =>
    [0, 1, 2].map((skip) => ({ fault, skip, which: ['first', 'second', 'last'][skip] })),
  );

  beforeEach(() => desk(true));

  it.each(cells)('$fault.kind, $which share: opens all the same', async ({ fault, skip }) => {
    const struck = proxy.cut({ path: 'sys/unseal', fault, skip });
    const before = proxy.requests.length;
    const ended = await unseal(given(0, 1, 2), { BAO_CLIENT_TIMEOUT: '2s' });
    await within(struck);
    expect(ended.stderr).not.toContain('error');
    expect(ended.status).toBe(0);
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
    // Once more only when the peer has shown that it never saw the share.
    const sent = proxy.requests.slice(before).filter((request) => request === 'POST sys/unseal');
    expect(sent).toHaveLength(fault.kind === 'before-request' ? 4 : 3);
    const { lines } = await lastRecord(folder);
    const accepted = lines.filter((line) => line.event === 'share.accepted' && line.peer === 'peer-2');
    expect(accepted).toHaveLength(3);
  });

  it('the last of a wrong set: not taken for a peer that joins', async () => {
    await desk(false);
    const wrong = (shared().shares[2] ?? '').replace(/^../, (pair) => (pair === 'aa' ? 'bb' : 'aa'));
    await writeFile(join(folder, 'share-9'), wrong, { mode: 0o600 });
    const struck = proxy.cut({ path: 'sys/unseal', fault: { kind: 'before-reply' }, skip: 2 });
    const ended = await unseal(['--peer', 'peer-2', ...given(0, 1, 9, 0, 1, 2)]);
    await within(struck);
    expect(ended.status).toBe(0);
    expect((await standings(shared()))[1]).toEqual(OPEN);
  });

  it('a wire that stays dead after a share: says exactly what is left', async () => {
    const struck = proxy.cut({ path: /^sys\//, fault: { kind: 'before-reply' }, skip: 5, times: 1000 });
    const ended = await unseal(given(0, 1, 2), { BAO_CLIENT_TIMEOUT: '2s' });
    await within(struck);
    expect(ended.status).toBe(3);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      unsealed: 2,
      peers: [{ state: expect.stringMatching(/active|standby/) as string }, { state: 'unreachable' }, {}],
      next: expect.stringContaining('--peer peer-2') as string,
    });
    expect((await standings(shared())).map((one) => one?.sealed)).toEqual([false, true, false]);
  });
});

describe('a peer that is not what it should be gets no share', () => {
  it('the wrong certificate for its pin', async () => {
    const { cluster, shares } = shared();
    const pins = await Promise.all(cluster.peers.map(({ certificateFile }) => pinOf(certificateFile)));
    const peers = peersByProxy().map((peer, index) => ({ ...peer, pin: pins[index === 1 ? 0 : index] ?? '' }));
    await layDesk(folder, { prod: { peers, roster: rosterOf(shares, { cluster: 'prod', threshold: 3 }) } });
    const before = proxy.requests.length;
    const ended = await unseal(given(0, 1, 2));
    expect(ended.status).toBe(3);
    expect(proxy.requests).toHaveLength(before);
    expect(await standings(shared())).toEqual([OPEN, SEALED, OPEN]);
    const status = await quorate(['status', '--cluster', 'prod', '--format', 'json'], { cwd: folder });
    expect(status.status).toBe(3);
    expect(JSON.parse(status.stdout)).toMatchObject({ peers: [{}, { fault: { code: 'server-identity' } }, {}] });
  });

  it('a certificate of another authority', async () => {
    const other = await freshCluster({ peers: 1 });
    const address = shared().cluster.peers[0]?.address ?? '';
    const ended = await quorate(['unseal', '--address', address, '--ca', other.caFile, ...given(0, 1, 2)], {
      cwd: folder,
    });
    expect([ended.status, errorCode(ended)]).toEqual([2, 'server-identity']);
    const pins = await Promise.all(shared().cluster.peers.map(({ certificateFile }) => pinOf(certificateFile)));
    const peers = shared().cluster.peers.map(({ name, address: url }, index) => ({
      name,
      address: url,
      pin: pins[(index + 1) % 3] ?? '',
    }));
    await layDesk(folder, { prod: { peers } });
    const pinned = await unseal(given(0, 1, 2));
    expect([pinned.status, errorCode(pinned)]).toEqual([2, 'server-identity']);
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);
    await other.remove();
  });

  it('other n and threshold than the roster says', async () => {
    const { cluster, shares } = shared();
    const other = await freshCluster({ peers: 1 });
    await initialise(other, { shares: 5, threshold: 2 });
    const stranger = await startCuttingProxy(other);
    const peers = [
      ...(await Promise.all(
        cluster.peers
          .slice(0, 2)
          .map(async ({ name, address, certificateFile }) => ({ name, address, pin: await pinOf(certificateFile) })),
      )),
      { name: 'stranger', address: stranger.address, pin: await pinOf(other.peers[0]?.certificateFile ?? '') },
    ];
    await layDesk(folder, { prod: { peers, roster: rosterOf(shares, { cluster: 'prod', threshold: 3 }) } });
    const ended = await unseal(given(0, 1, 2));
    expect(ended.status).toBe(3);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      why: expect.stringContaining('stranger: wants 2 of 5 shares, not 3 of 5') as string,
      next: expect.stringContaining('since stranger started, restart its server') as string,
    });
    expect(stranger.requests).not.toContain('POST sys/unseal');
    expect((await standings(shared())).slice(0, 2)).toEqual([OPEN, OPEN]);

    await layDesk(folder, { prod: { peers } });
    await sealAgain(shared());
    const blind = await unseal(given(0, 1, 2));
    expect([blind.status, errorCode(blind)]).toEqual([5, 'cluster-mismatch']);
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);
    await other.remove();
  });
});

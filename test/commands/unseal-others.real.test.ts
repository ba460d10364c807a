import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { callPeer, sharedCluster, temporaryFolder } from '../support/cluster.ts';
import { lastRecord, layDesk, rosterOf } from '../support/desk.ts';
import { errorCode, quorate, startQuorate } from '../support/quorate.ts';
import { OPEN, resetPeer, sealAgain, standings } from '../support/sealed.ts';
import { waitUntil } from '../support/wait.ts';

const shared = sharedCluster({ shares: 5, threshold: 3, voters: true });
const share = (index: number): string => shared().shares[index] ?? '';
let folder: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  const { cluster, shares } = shared();
  const peers = cluster.peers.map(({ name, address }) => ({ name, address }));
  const roster = rosterOf(shares, { cluster: 'prod', threshold: 3 });
  await layDesk(folder, { prod: { peers, ca: cluster.caFile, roster } });
});

beforeEach(() => sealAgain(shared()));

const unseal = (args: readonly string[], input = '') =>
  quorate(['unseal', '--cluster', 'prod', ...args], { cwd: folder, input });

const secretFile = (name: string, text: string) => writeFile(join(folder, name), text, { mode: 0o600 });

describe('an attempt that others have a hand in', () => {
  const give = (index: number, key: string) =>
    callPeer(shared().cluster, index, 'PUT', 'sys/unseal', { body: { key } });

  it('goes on with shares that were given before, and records it', async () => {
    await give(1, share(4));
    await secretFile('a', share(0));
    await secretFile('b', share(1));
    const ended = await unseal(['--share-file', 'a', '--share-file', 'b']);
    expect(ended.status).toBe(3);
    expect((await standings(shared())).map((one) => one?.sealed)).toEqual([true, false, true]);
    const { lines } = await lastRecord(folder);
    expect(lines.find((line) => line.event === 'exception')).toMatchObject({ decision: 'go on' });
  });

  it('drops them with --reset', async () => {
    await give(1, share(4));
    await secretFile('a', share(0));
    const ended = await unseal(['--reset', '--share-file', 'a']);
    expect(ended.status).toBe(3);
    expect((await standings(shared())).map((one) => one?.progress)).toEqual([1, 1, 1]);
    const { lines } = await lastRecord(folder);
    expect(lines.find((line) => line.event === 'exception')).toMatchObject({ decision: 'reset' });
  });

  it('counts from zero when somebody resets it in the middle, and still opens', async () => {
    const run = startQuorate(
      ['unseal', '--cluster', 'prod', ...[3, 4, 5, 6].flatMap((fd) => ['--share-fd', fd.toString()])],
      { cwd: folder, pipes: 4 },
    );
    run.give(3, share(0));
    await waitUntil('the first share is counted', async () =>
      (await standings(shared())).every((one) => one?.progress === 1),
    );
    await resetPeer(shared(), 1);
    await give(1, share(4));
    run.give(4, share(1));
    run.give(5, share(2));
    // What the second peer lacks now: it had the shares of Eli (from elsewhere), Bo and Cleo.
    run.give(6, share(3));
    const ended = await run.ended;
    expect(ended.status).toBe(0);
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
    const { lines } = await lastRecord(folder);
    expect(lines.filter((line) => line.event === 'exception')).toMatchObject([{ decision: 'counted from zero' }]);
  });

  it('counts equal shares once', async () => {
    await give(0, share(0));
    await secretFile('a', share(0));
    const ended = await unseal(['--share-file', 'a']);
    expect(ended.status).toBe(3);
    expect((await standings(shared())).map((one) => one?.progress)).toEqual([1, 1, 1]);
  });
});

describe('peers that are down', () => {
  it('one killed in the middle: the others open, and it is opened later by --peer', async () => {
    const { cluster } = shared();
    const run = startQuorate(
      ['unseal', '--cluster', 'prod', '--format', 'json', ...[3, 4, 5].flatMap((fd) => ['--share-fd', fd.toString()])],
      { cwd: folder, pipes: 3 },
    );
    run.give(3, share(0));
    await waitUntil('the first share is counted', async () =>
      (await standings(shared())).every((one) => one?.progress === 1),
    );
    await cluster.kill(2, 'SIGKILL');
    run.give(4, share(1));
    run.give(5, share(2));
    const ended = await run.ended;
    expect(ended.status).toBe(3);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      unsealed: 2,
      peers: [{}, {}, { name: 'peer-3', state: 'unreachable' }],
    });
    expect(JSON.parse(ended.stdout)).toMatchObject({ next: expect.stringContaining('--peer peer-3') as string });
    expect(await standings(shared())).toEqual([OPEN, OPEN, null]);

    await cluster.start(2);
    for (const [name, index] of [
      ['a', 0],
      ['b', 1],
      ['c', 2],
    ] as const)
      await secretFile(name, share(index));
    const later = await unseal(['--peer', 'peer-3', '--share-file', 'a', '--share-file', 'b', '--share-file', 'c']);
    expect(later.status).toBe(0);
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
  });

  it('one down from the beginning that comes back: it takes part from then on', async () => {
    const { cluster } = shared();
    await cluster.kill(2, 'SIGKILL');
    const run = startQuorate(
      ['unseal', '--cluster', 'prod', ...[3, 4, 5, 6, 7].flatMap((fd) => ['--share-fd', fd.toString()])],
      { cwd: folder, pipes: 5 },
    );
    run.give(3, share(0));
    await waitUntil('the first share is counted', async () =>
      (await standings(shared())).slice(0, 2).every((one) => one?.progress === 1),
    );
    await cluster.start(2);
    for (const [fd, index] of [
      [4, 1],
      [5, 2],
      [6, 3],
      [7, 0],
    ] as const)
      run.give(fd, share(index));
    const ended = await run.ended;
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
    expect(ended.status).toBe(0);
  });

  it('all down: nobody is asked for anything', async () => {
    await shared().cluster.stop();
    const ended = await unseal(['--share-fd', '0'], share(0));
    expect([ended.status, errorCode(ended)]).toEqual([2, 'preflight-failed']);
  });
});

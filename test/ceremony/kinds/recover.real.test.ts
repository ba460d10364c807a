import { appendFile, mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { acquireLock, readLock } from '../../../src/ceremony/lock.ts';
import { createRecord } from '../../../src/ceremony/record/recorder.ts';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import { QuorateError } from '../../../src/errors.ts';
import { Secret } from '../../../src/secret.ts';
import { peersOf } from '../../support/ceremony.ts';
import {
  callPeer,
  leaderIndex,
  type LiveCluster,
  sharedCluster,
  temporaryFolder,
  unsealAll,
} from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { at } from '../../support/http.ts';
import { codeOf, opensCold, prepareRotation, rosterOf, type RotationTest } from '../../support/rotation.ts';

const HOLDERS = ['Alice Example', 'Bo Example', 'Cleo Example'];
const ROTATION = '2027-03-01-rotate-root-key-1a2b3c4d';
const VALUE = 'quorate/data/witness';

/** A snapshot, and the record of a rotation that took it, as far as a recovery reads it. */
async function takeSnapshot(live: LiveCluster, folder: string): Promise<{ record: string; snapshot: string }> {
  const snapshot = join(folder, `${ROTATION}.snapshot-1`);
  const session = peersOf(live.cluster)[(await leaderIndex(live.cluster)) ?? 0]?.session(
    Secret.fromText(live.rootToken),
  );
  if (session === undefined) throw new Error('nobody leads');
  await acquireLock(session, { ceremony: ROTATION, kind: 'rotate-root-key', who: 'Erin Example', nonce: '' });
  const handle = await open(snapshot, 'wx', 0o600);
  const { sha256, size } = await session.download('sys/storage/raft/snapshot', async (chunk) => {
    await handle.writeFile(chunk);
  });
  await handle.close();
  const record = join(folder, ROTATION);
  await mkdir(record);
  const recorder = await createRecord(join(record, 'record.jsonl'));
  const digest = `sha256:${'0'.repeat(64)}`;
  await recorder.append({
    event: 'ceremony.opened',
    id: ROTATION,
    kind: 'rotate-root-key',
    title: 'The rotation that tore',
    cluster: 'test',
    script: digest,
    quorate: { version: '0.0.0', build: 'source' },
  });
  await recorder.append({
    event: 'share.proved',
    x: '01',
    salt: '0'.repeat(32),
    fingerprint: digest,
    generation: 2,
    how: 'in a test',
  });
  await recorder.append({ event: 'snapshot', file: snapshot, digest: `sha256:${sha256}`, size });
  await recorder.close();
  // The administrator's machine went down with the rest.
  await appendFile(join(record, 'record.jsonl'), '{"actual":{');
  return { record, snapshot };
}

/** New shares by the server's own calls, with nothing of quorate's. */
async function rotate(live: LiveCluster): Promise<readonly string[]> {
  const leader = (await leaderIndex(live.cluster)) ?? 0;
  const call = (path: string, body: unknown) =>
    callPeer(live.cluster, leader, 'PUT', `sys/rotate/root/${path}`, { token: live.rootToken, body });
  const started = await call('init', { secret_shares: 3, secret_threshold: 2 });
  const nonce = at(started.body, 'data', 'nonce') ?? at(started.body, 'nonce');
  let last: unknown;
  for (const key of live.shares.slice(0, live.threshold)) last = (await call('update', { key, nonce })).body;
  const keys = at(last, 'data', 'keys') ?? at(last, 'keys');
  if (!Array.isArray(keys)) throw new Error('the rotation issued nothing');
  return keys.map(String);
}

async function valueOf(live: LiveCluster): Promise<unknown> {
  const leader = (await leaderIndex(live.cluster)) ?? 0;
  const { body } = await callPeer(live.cluster, leader, 'GET', VALUE, { token: live.rootToken });
  return at(body, 'data', 'data', 'word');
}

async function writeValue(live: LiveCluster, word: string): Promise<void> {
  const leader = (await leaderIndex(live.cluster)) ?? 0;
  const body = { data: { word } };
  const { status } = await callPeer(live.cluster, leader, 'POST', VALUE, { token: live.rootToken, body });
  if (status !== 200) throw new Error(`the value was answered ${status.toString()}`);
}

describe('recover on openbao with 3 peers', () => {
  const shared = sharedCluster({ voters: true });
  let live: LiveCluster;
  let roster: Roster;
  let newShares: readonly string[];
  let torn: { record: string; snapshot: string };

  beforeAll(async () => {
    live = shared();
    roster = await rosterOf(live, HOLDERS);
    await writeValue(live, 'before');
    torn = await takeSnapshot(live, await temporaryFolder());
    newShares = await rotate(live);
    await writeValue(live, 'after');
  });

  const testOf = ({
    script = {},
    ...more
  }: Partial<Omit<RotationTest, 'script'>> & { readonly script?: object } = {}): RotationTest => ({
    live,
    roster,
    ...more,
    script: { ceremony: 'recover', record: torn.record, ...script },
  });

  /** What the people do who run the servers. */
  const hands =
    (before?: (say: string) => Promise<void>) =>
    async (say: string): Promise<void> => {
      await before?.(say);
      const { cluster } = live;
      if (say.startsWith('Stop the servers')) {
        await cluster.stop();
        for (const { dataFolder } of cluster.peers) {
          await rename(dataFolder, `${dataFolder}-aside`);
          await mkdir(dataFolder);
        }
      } else if (say.startsWith('Start the server of peer-1,')) {
        if (cluster.peers[0]?.pid !== undefined) await cluster.kill(0);
        await cluster.wipe(0);
        await cluster.start(0);
      } else if (say.startsWith('Restart the server of peer-1,')) {
        await cluster.restart(0);
      } else {
        throw new Error(`nobody knows how to: ${say}`);
      }
    };

  const refuses = async (test: RotationTest): Promise<string | undefined> => {
    const asked: string[] = [];
    const ceremony = await prepareRotation({ ...test, onAct: (say) => Promise.resolve(void asked.push(say)) });
    const code = await codeOf(ceremony.start());
    expect(asked).toEqual([]);
    return code;
  };

  it('is refused while a peer is unsealed', async () => {
    expect(await refuses(testOf())).toBe('preflight-failed');
  });

  describe('when all is sealed', () => {
    beforeAll(async () => {
      await live.cluster.stop();
    });

    it('refuses another file, another record and another roster before anybody acts', async () => {
      const other = join(await temporaryFolder(), 'other');
      await writeFile(other, 'x'.repeat(2000));
      expect(await refuses(testOf({ script: { snapshot: other } }))).toBe('record-invalid');
      expect(await refuses(testOf({ script: { snapshot: `${other}-gone` } }))).toBe('file-missing');
      expect(await refuses(testOf({ roster: { ...roster, generation: 2 } }))).toBe('roster-invalid');
      expect(await refuses(testOf({ roster: { ...roster, cluster: 'another' } }))).toBe('roster-invalid');
      expect(await refuses(testOf({ roster: { ...roster, seal: 'recovery' } }))).toBe('roster-invalid');
      expect(await refuses(testOf({ script: { record: join(other, '..') } }))).toBe('file-missing');
      expect(await refuses(testOf({ script: { peer: 'peer-9' } }))).toBe('preflight-failed');
    });

    it('brings the old shares back, over two interruptions, and the new ones open nothing', async () => {
      let interruption: 'file' | 'restart' | undefined = 'file';
      const before = async (say: string): Promise<void> => {
        if (interruption === 'file' && say.startsWith('Start')) await rename(torn.snapshot, `${torn.snapshot}-away`);
        if (interruption === 'restart' && say.startsWith('Restart')) throw new QuorateError('cancelled', 'a test');
      };
      const ceremony = await prepareRotation(testOf({ onAct: hands(before) }));
      // The peer is initialised by then, and its key is gone with the sitting.
      expect(await codeOf(ceremony.start())).toBe('file-missing');
      await rename(`${torn.snapshot}-away`, torn.snapshot);
      interruption = 'restart';
      expect(await codeOf(ceremony.resume())).toBe('cancelled');
      interruption = undefined;
      const { folder } = await ceremony.resume();

      expect(await valueOf(live)).toBe('before');
      expect(await faultsOf(folder)).toEqual([]);
      const events = await eventsOf(folder);
      const acts = events.flatMap((one) => (one.event === 'people' ? [one.say.split(' ')[0]] : []));
      expect(acts).toEqual(['Stop', 'Start', 'Start', 'Restart']);
      const uploads = events.filter((one) => one.event === 'request' && one.request.includes('snapshot-force'));
      expect(uploads).toHaveLength(1);
      expect(events.find((one) => one.event === 'check' && one.code === 'root-tokens')).toMatchObject({
        ok: false,
        facts: { count: 1 },
      });
      expect(ceremony.refused).toEqual([]);
      const session = peersOf(live.cluster)[0]?.session(Secret.fromText(live.rootToken));
      expect(session === undefined ? undefined : await readLock(session)).toMatchObject({ kind: 'free' });
      expect(JSON.stringify(events)).not.toContain(live.rootToken);

      // The others join with nothing, and the whole cluster opens cold with the old shares alone.
      await live.cluster.start(1);
      await live.cluster.start(2);
      await unsealAll(live);
      await opensCold(live, live, { shares: newShares });
      expect(await valueOf(live)).toBe('before');
    });
  });
});

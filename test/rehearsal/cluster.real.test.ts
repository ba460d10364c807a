import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { startCluster } from '../../src/rehearsal/cluster.ts';
import { baoBinary } from '../support/bao-binary.ts';
import {
  callPeer,
  copyData,
  freshCluster,
  initialise,
  leaderIndex,
  reseal,
  restoreData,
  sharedCluster,
  startOver,
  temporaryFolder,
  unsealAll,
  waitForVoters,
} from '../support/cluster.ts';
import { at } from '../support/http.ts';
import { isRunning, processesNaming } from '../support/processes.ts';
import { vaultBinary } from '../support/vault-binary.ts';
import { waitUntil } from '../support/wait.ts';

async function statuses(cluster: Awaited<ReturnType<typeof freshCluster>>): Promise<Record<string, unknown>[]> {
  const replies = await Promise.all(
    cluster.peers.map((_, index) => callPeer(cluster, index, 'GET', 'sys/seal-status')),
  );
  return replies.map((reply) => reply.body as Record<string, unknown>);
}

describe('a throwaway OpenBao cluster', () => {
  const shared = sharedCluster();

  it('has three peers with one cluster id, which become voters', async () => {
    const { cluster } = shared();
    const ids = (await statuses(cluster)).map((status) => status['cluster_id']);
    expect(new Set(ids).size).toBe(1);
    expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
    await waitForVoters(shared());
  });

  it('audits on every peer from the start', async () => {
    const { cluster, rootToken } = shared();
    const reply = await callPeer(cluster, 0, 'GET', 'sys/audit', { token: rootToken });
    expect(Object.keys(at(reply.body, 'data') as object)).toEqual(['main/']);
    for (const peer of cluster.peers) expect((await stat(peer.auditFile)).isFile()).toBe(true);
    expect(await readFile(cluster.peers[0]?.auditFile ?? '', 'utf8')).toContain('sys/audit');
  });

  it('keeps keys and data to their owner, and the key of its CA nowhere', async () => {
    const { cluster } = shared();
    for (const peer of cluster.peers) {
      expect((await stat(peer.keyFile)).mode & 0o777).toBe(0o600);
      expect((await stat(peer.logFile)).mode & 0o777).toBe(0o600);
    }
    expect((await stat(cluster.folder)).mode & 0o777).toBe(0o700);
    expect(await readFile(cluster.caFile, 'utf8')).not.toContain('PRIVATE');
  });

  it('describes itself in a quorate.yaml that quorate reads', async () => {
    const { cluster } = shared();
    const config = await loadConfig(cluster.configFile);
    const described = config.clusters['rehearsal'];
    expect(described?.ca).toBe(cluster.caFile);
    expect(described?.peers).toEqual(cluster.peers.map(({ name, address }) => ({ name, address })));
  });

  it('goes on with two peers, and takes the third back', async () => {
    const live = shared();
    await waitForVoters(live);
    const leader = (await leaderIndex(live.cluster)) ?? 0;
    await live.cluster.kill(leader);
    expect(live.cluster.peers[leader]?.pid).toBeUndefined();
    const next = await waitUntil('another peer leads', () => leaderIndex(live.cluster));
    expect(next).not.toBe(leader);
    await live.cluster.start(leader);
    await unsealAll(live);
    expect((await statuses(live.cluster)).map((status) => status['sealed'])).toEqual([false, false, false]);
  });

  it('freezes and thaws a peer', async () => {
    const { cluster } = shared();
    const pid = cluster.peers[2]?.pid ?? 0;
    await cluster.kill(2, 'SIGSTOP');
    expect(await readFile(`/proc/${pid.toString()}/stat`, 'utf8')).toContain(') T ');
    await cluster.kill(2, 'SIGCONT');
    expect((await callPeer(cluster, 2, 'GET', 'sys/seal-status')).status).toBe(200);
  });

  it('is sealed after a restart, and can start over', async () => {
    const live = shared();
    await reseal(live);
    expect((await statuses(live.cluster)).map((status) => status['sealed'])).toEqual([true, true, true]);
    await copyData(live.cluster, 'cold');
    await startOver(live.cluster);
    expect((await statuses(live.cluster)).map((status) => status['initialized'])).toEqual([false, false, false]);
    const second = await initialise(live.cluster, { shares: 2, threshold: 2 });
    expect(second.shares).toHaveLength(2);
    await restoreData(live.cluster, 'cold');
    await unsealAll(live);
    expect((await statuses(live.cluster)).map((status) => status['n'])).toEqual([3, 3, 3]);
  });
});

describe('starting a throwaway cluster', () => {
  it('takes under 3 seconds until all three listen', async () => {
    const start = performance.now();
    const cluster = await freshCluster();
    const took = performance.now() - start;
    expect((await statuses(cluster)).map((status) => status['initialized'])).toEqual([false, false, false]);
    expect(took).toBeLessThan(3_000);
    await cluster.remove();
  });

  it('leaves neither process nor folder after `remove`', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const pids = [cluster.watchdogPid ?? 0, cluster.peers[0]?.pid ?? 0];
    expect(pids.map(isRunning)).toEqual([true, true]);
    await cluster.remove();
    expect(pids.map(isRunning)).toEqual([false, false]);
    await expect(stat(cluster.folder)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('says what the log of a server says that does not start, and leaves nothing', async () => {
    const folder = join(await temporaryFolder(), 'broken');
    const start = startCluster({ folder, binary: await baoBinary(), flavour: 'openbao', extra: 'nonsense = [' });
    await expect(start).rejects.toMatchObject({
      code: 'program-failed',
      hint: expect.stringContaining('server.hcl') as string,
    });
    expect(processesNaming(folder)).toEqual([]);
    await expect(stat(folder)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('fails on a port that is taken, when it was told to use it', async () => {
    const first = await freshCluster({ peers: 1 });
    const folder = join(await temporaryFolder(), 'second');
    const ports = [first.peers[0]?.port ?? 0];
    const second = startCluster({ folder, binary: await baoBinary(), flavour: 'openbao', peers: 1, ports });
    await expect(second).rejects.toMatchObject({ code: 'program-failed' });
    await first.remove();
  });

  it('does not touch a folder that holds something', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'mine'), 'precious');
    const start = startCluster({ folder, binary: await baoBinary(), flavour: 'openbao' });
    await expect(start).rejects.toMatchObject({ code: 'file-exists' });
    expect(await readFile(join(folder, 'mine'), 'utf8')).toBe('precious');
  });

  it('stops when it is interrupted', async () => {
    const folder = join(await temporaryFolder(), 'interrupted');
    const signal = AbortSignal.abort();
    const start = startCluster({ folder, binary: await baoBinary(), flavour: 'openbao', signal });
    await expect(start).rejects.toMatchObject({ code: 'cancelled' });
    expect(processesNaming(folder)).toEqual([]);
  });
});

describe.skipIf(vaultBinary() === undefined)('a throwaway HashiCorp Vault cluster', () => {
  const shared = sharedCluster({ flavour: 'vault' });

  it('has three peers with one cluster id, which become voters', async () => {
    const all = await statuses(shared().cluster);
    expect(new Set(all.map((status) => status['cluster_id'])).size).toBe(1);
    expect(all.map((status) => typeof status['build_date'])).toEqual(['string', 'string', 'string']);
    await waitForVoters(shared());
  });

  it('takes an audit device by API, with the same path on every peer', async () => {
    const { cluster, rootToken: token } = shared();
    const body = { type: 'file', options: { file_path: 'audit.log' } };
    const index = (await leaderIndex(cluster)) ?? 0;
    expect((await callPeer(cluster, index, 'PUT', 'sys/audit/main', { token, body })).status).toBe(204);
    expect((await stat(cluster.peers[index]?.auditFile ?? '')).isFile()).toBe(true);
  });
});

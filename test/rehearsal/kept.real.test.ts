import { execFile, spawn } from 'node:child_process';
import { cp, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { programRunner } from '../../src/programs/run.ts';
import type { ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import { createCustodians } from '../../src/rehearsal/custodians.ts';
import { stopKept } from '../../src/rehearsal/kept.ts';
import { baoBinary } from '../support/bao-binary.ts';
import { callPeer, freshCluster, temporaryFolder } from '../support/cluster.ts';
import { isRunning, processesNaming } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';

const run = programRunner(process.env);

function pidsOf(cluster: ThrowawayCluster): number[] {
  return cluster.peers.map((peer) => peer.pid ?? 0);
}

describe('a kept cluster', () => {
  it('lives on without a watchdog, and is ended with its custodians and its folder', async () => {
    const cluster = await freshCluster();
    const custodians = await createCustodians({ folder: join(cluster.folder, 'people'), names: ['Alice', 'Bob'], run });
    const watchdog = cluster.watchdogPid ?? 0;
    const pids = pidsOf(cluster);
    const file = await cluster.keep({ gnupgHomes: custodians.gnupgHomes });
    await custodians.keep();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(isRunning(watchdog)).toBe(false);
    expect((await callPeer(cluster, 0, 'GET', 'sys/seal-status')).status).toBe(200);

    const { stopped } = await stopKept(cluster.folder, run);
    expect(stopped).toEqual(['peer-1', 'peer-2', 'peer-3']);
    expect(pids.map(isRunning)).toEqual([false, false, false]);
    await waitUntil('no agent runs', () => processesNaming(cluster.folder).length === 0, 5_000);
    await expect(stat(cluster.folder)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('outlives the process that started it', async () => {
    const folder = await temporaryFolder();
    const program = join(import.meta.dirname, 'programs', 'start-cluster.ts');
    const { stdout } = await promisify(execFile)(process.execPath, [program, folder, await baoBinary(), 'keep']);
    const { pids } = JSON.parse(stdout) as { pids: number[] };
    await sleep(300);
    expect(pids.map(isRunning)).toEqual([true, true, true]);
    expect((await stopKept(join(folder, 'cluster'), run)).stopped).toHaveLength(3);
    expect(pids.map(isRunning)).toEqual([false, false, false]);
  });

  it('never ends a process that is not its own', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    // One that knows the configuration's name, as an editor with the file open would, but is no server of it.
    const config = join(cluster.folder, 'peer-1', 'server.hcl');
    const reader = spawn('/bin/sh', ['-c', 'sleep 60; exit 0', `-config=${config}`], { stdio: 'ignore', cwd: '/' });
    try {
      const file = await cluster.keep();
      await cluster.stop();
      for (const { pid } of [stranger, reader]) {
        const kept = JSON.parse(await readFile(file, 'utf8')) as { peers: { pid: number }[] };
        for (const peer of kept.peers) peer.pid = pid ?? 0;
        await cp(cluster.folder, `${cluster.folder}.copy`, { recursive: true });
        await writeFile(file, JSON.stringify(kept));
        expect(await stopKept(cluster.folder, run)).toEqual({ stopped: [] });
        expect(isRunning(pid ?? 0)).toBe(true);
        await cp(`${cluster.folder}.copy`, cluster.folder, { recursive: true });
      }
    } finally {
      stranger.kill();
      reader.kill('SIGKILL');
    }
  });

  it('deletes nothing where no cluster was kept', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'mine'), 'precious');
    await expect(stopKept(folder, run)).rejects.toMatchObject({ code: 'file-missing' });
    await writeFile(join(folder, 'cluster.json'), '{}');
    await expect(stopKept(folder, run)).rejects.toMatchObject({ code: 'file-invalid' });
    await writeFile(join(folder, 'cluster.json'), 'no JSON');
    await expect(stopKept(folder, run)).rejects.toMatchObject({ code: 'file-invalid' });
    const elsewhere = { quorate: 'kept cluster', folder: '/nowhere', peers: [], gnupgHomes: [] };
    await writeFile(join(folder, 'cluster.json'), JSON.stringify(elsewhere));
    await expect(stopKept(folder, run)).rejects.toMatchObject({ code: 'file-invalid' });
    await expect(stopKept(join(folder, 'none'), run)).rejects.toMatchObject({ code: 'file-missing' });
    expect(await readFile(join(folder, 'mine'), 'utf8')).toBe('precious');
  });
});

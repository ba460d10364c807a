import { type ChildProcess, spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { Watchdog } from '../../src/rehearsal/watchdog.ts';
import { baoBinary } from '../support/bao-binary.ts';
import { temporaryFolder } from '../support/cluster.ts';
import { isRunning, processesNaming } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';

const PROGRAM = join(import.meta.dirname, 'programs', 'start-cluster.ts');

interface Started {
  readonly parent: ChildProcess;
  readonly folder: string;
  readonly pids: readonly number[];
  readonly watchdog: number;
  readonly gnupgHomes: readonly string[];
}

async function startParent(): Promise<Started> {
  const folder = await temporaryFolder();
  const parent = spawn(process.execPath, [PROGRAM, folder, await baoBinary()], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: parent.stdout });
  for await (const line of lines) {
    return { parent, folder, ...(JSON.parse(line) as Omit<Started, 'parent' | 'folder'>) };
  }
  throw new Error('the program ended without a word');
}

describe('the watchdog', () => {
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    it(`leaves no server, agent or home after ${signal} of the process that started them`, async () => {
      const { parent, folder, pids, watchdog, gnupgHomes } = await startParent();
      expect(pids.map(isRunning)).toEqual([true, true, true]);
      expect(processesNaming(folder).length).toBeGreaterThan(3);
      parent.kill(signal);
      await waitUntil('nothing runs', () => !pids.some(isRunning) && !isRunning(watchdog), 5_000);
      await waitUntil('no agent runs', () => processesNaming(folder).length === 0, 5_000);
      for (const home of gnupgHomes) await expect(stat(home)).rejects.toMatchObject({ code: 'ENOENT' });
    });
  }

  it('lets live what it guarded when it is released', async () => {
    const guarded = spawn('sleep', ['60'], { stdio: 'ignore' });
    try {
      const watchdog = await Watchdog.start();
      await watchdog.guard([guarded.pid ?? 0]);
      await watchdog.release();
      expect(isRunning(watchdog.pid ?? 0)).toBe(false);
      expect(isRunning(guarded.pid ?? 0)).toBe(true);
    } finally {
      guarded.kill();
    }
  });

  it('says so when it is gone itself', async () => {
    const watchdog = await Watchdog.start();
    process.kill(watchdog.pid ?? 0, 'SIGKILL');
    await waitUntil('it is gone', () => !isRunning(watchdog.pid ?? 0));
    const tell = async () => {
      for (let tries = 0; tries < 5; tries += 1) await watchdog.guard([]);
    };
    await expect(tell()).rejects.toMatchObject({ code: 'program-failed' });
    await watchdog.release();
  });
});

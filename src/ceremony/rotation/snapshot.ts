import { basename, dirname, join, resolve } from 'node:path';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { createExclusive } from '../../files.ts';
import type { Run, Step } from '../kind.ts';
import { Leadership } from '../leadership.ts';
import { currentAttempt } from './attempt.ts';
import { mustBeUnderWay, type Plan } from './plan.ts';

/** No Raft snapshot of a cluster with anything in it is smaller. */
const SMALLEST = 512;
const NAMES = 1000;

/** Right before the last call, a snapshot from which the old shares can open everything again. */
export function snapshotStep(plan: Plan): Step {
  return {
    id: 'snapshot',
    title: 'a snapshot, streamed to a new file; its hash is recorded',
    who: 'administrator',
    done: (run) => {
      const attempt = currentAttempt(run.events);
      const there = attempt?.events.some(({ event }) => event === 'snapshot') ?? false;
      return Promise.resolve(there || attempt?.lastCallSent === true);
    },
    run: async (run) => {
      mustBeUnderWay(run);
      await takeSnapshot(run, plan);
    },
  };
}

type SnapshotPlan = Pick<Plan, 'snapshot'>;

export async function takeSnapshot(run: Run, plan: SnapshotPlan): Promise<void> {
  const leadership = await Leadership.find(run);
  try {
    const { storageType } = await leadership.peer.sealStatus({ signal: run.signal });
    if (storageType !== '' && storageType !== 'raft') {
      await run.record({ event: 'note', text: `storage is ${storageType}: its own tools take the snapshot` });
      await run.people.act({
        say: `Take a snapshot of the storage (${storageType}) now, with its own tools.`,
        fields: ['where it is'],
      });
      return;
    }
    const { handle, path } = await newFile(run, plan);
    try {
      const { sha256, size } = await leadership.session
        .inNamespace('')
        .download('sys/storage/raft/snapshot', async (chunk) => {
          await handle.writeFile(chunk);
        });
      await handle.sync();
      if (size < SMALLEST) throw new QuorateError('server-response', 'the snapshot is too small to be one');
      await run.record({ event: 'snapshot', file: path, digest: `sha256:${sha256}`, size });
    } finally {
      await handle.close();
    }
    const kept =
      plan.snapshot === undefined ? '' : ` Kept: ${plan.snapshot.kept}. Destroyed: ${plan.snapshot.destroyed}.`;
    run.people.say(`  snapshot  ${path}${kept}`);
    if (kept !== '') await run.record({ event: 'note', text: `the snapshot${kept}`.slice(0, 390) });
  } finally {
    leadership.close();
  }
}

/** Beside the record, and not in its folder: the record is kept for ever, a snapshot must be destroyed one day. */
async function newFile(
  run: Run,
  plan: SnapshotPlan,
): Promise<{ handle: Awaited<ReturnType<typeof createExclusive>>; path: string }> {
  const folder = plan.snapshot?.folder;
  const place = folder === undefined ? dirname(run.folder) : resolve(run.scriptFolder, folder);
  for (let number = 1; ; number += 1) {
    const path = join(place, `${basename(run.folder)}.snapshot-${number.toString()}`);
    try {
      return { handle: await createExclusive(path), path };
    } catch (error) {
      // One of an earlier sitting, perhaps cut short: it stays what it is.
      if (!isQuorateError(error, 'file-exists') || number > NAMES) throw error;
    }
  }
}

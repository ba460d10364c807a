import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { QuorateError } from '../../../errors.ts';
import { fileError } from '../../../files.ts';
import type { Peer, UploadSource } from '../../../vault/peer.ts';
import type { Run, Step } from '../../kind.ts';
import type { RecordLine } from '../../record/events.ts';
import { locateRecord } from '../../record/folder.ts';
import { readRecord, unsound } from '../../record/read.ts';
import { foundNoLiveSet } from '../../rotation/attempt.ts';
import { loadRoster } from '../../roster/roster.ts';
import { type Roster, shareCount } from '../../roster/schema.ts';
import type { RecoverScript } from './script.ts';

const RESTORED = 'restored';

/** What the record of the torn rotation says. */
export interface TornRotation {
  readonly id: string;
  /** Where the snapshot is now. */
  readonly path: string;
  /** `sha256:` and hexadecimal. */
  readonly digest: string;
  /** RFC 3339, by the clock of the rotation's administrator. */
  readonly taken: string;
  readonly clusterId: string | undefined;
  /** The generation of the shares that the rotation issued. */
  readonly issued: number | undefined;
  /** It found that no set of shares opens any peer again, though one may still serve. */
  readonly hopeless: boolean;
}

/** Before anybody stops a server: the snapshot is the one that the rotation recorded, and the roster is that of the shares it brings back. */
export function checkStep(script: RecoverScript): Step {
  return {
    id: 'check',
    title: "the snapshot is the one in the rotation's record, by its hash; the roster is of the old shares",
    who: 'administrator',
    done: (run) => Promise.resolve(restored(run)),
    async run(run) {
      const torn = await tornRotation(run, script);
      const roster = await oldRoster(run, script, torn);
      const { size, digest } = await hashSnapshot(torn.path);
      const ok = digest === torn.digest;
      await run.record({
        event: 'check',
        code: 'snapshot',
        ok,
        finding: `${basename(torn.path)} is ${ok ? '' : 'NOT '}the snapshot that ${torn.id} recorded`,
        facts: { recorded: torn.digest, found: digest, size, taken: torn.taken },
      });
      if (!ok) {
        throw new QuorateError('record-invalid', `${torn.path} is not the snapshot that ${torn.id} recorded`, {
          hint: 'Its SHA-256 is another. Find the right file, or another copy of it, and name it with --snapshot FILE. Nothing was changed.',
        });
      }
      run.people.say(`  ${torn.path}: the hash is that of the record`);
      await run.record({
        event: 'check',
        code: 'old-roster',
        ok: true,
        finding: `the shares of generation ${roster.generation.toString()} will open the cluster again`,
        facts: { generation: roster.generation, threshold: roster.threshold, shares: shareCount(roster) },
      });
    },
  };
}

/**
 * Reads the rotation's record.
 * @throws QuorateError `record-invalid` when it is not sound (a torn last line apart, which a crash leaves), of another
 *   cluster, no root key rotation, or has no snapshot; `file-missing`.
 */
export async function tornRotation(
  run: Pick<Run, 'cluster' | 'scriptFolder'>,
  script: RecoverScript,
): Promise<TornRotation> {
  const place = await locateRecord(resolve(run.scriptFolder, script.record));
  const { lines, faults } = await readRecord(place.record);
  const real = faults.filter(({ kind }) => kind !== 'torn');
  if (real.length > 0) throw unsound(place.record, real);
  const opened = lines.find((one) => one.event === 'ceremony.opened');
  if (opened?.kind !== 'rotate-root-key') throw notOf(place.record, 'of a rotation of the root key');
  if (opened.cluster !== run.cluster.name) throw notOf(place.record, `of ${run.cluster.name}`);
  const snapshot = last(lines, 'snapshot');
  if (snapshot === undefined) throw notOf(place.record, 'of a rotation that took a snapshot');
  const peer = lines.findLast((one) => one.event === 'peer' && one.clusterId !== undefined);
  const path = script.snapshot === undefined ? snapshot.file : resolve(run.scriptFolder, script.snapshot);
  return {
    id: opened.id,
    path,
    digest: snapshot.digest,
    taken: snapshot.time,
    clusterId: peer?.event === 'peer' ? peer.clusterId : undefined,
    issued: last(lines, 'share.proved')?.generation,
    hopeless: foundNoLiveSet(lines),
  };
}

/** The roster of the shares that the snapshot brings back. @throws QuorateError `roster-invalid`, and as `loadRoster`. */
export async function oldRoster(
  run: Pick<Run, 'roster' | 'cluster' | 'scriptFolder'>,
  script: RecoverScript,
  torn: Pick<TornRotation, 'issued'>,
): Promise<Roster> {
  const roster = script.roster === undefined ? run.roster : await loadRoster(resolve(run.scriptFolder, script.roster));
  const hint = 'Name the roster from before the rotation with --roster FILE.';
  if (roster === undefined) {
    throw new QuorateError('roster-invalid', 'without a roster nobody can tell the old shares from the new ones', {
      hint,
    });
  }
  if (roster.cluster !== run.cluster.name) {
    throw new QuorateError('roster-invalid', `the roster is of ${roster.cluster}, not of ${run.cluster.name}`, {
      hint,
    });
  }
  if (roster.seal === 'recovery') {
    throw new QuorateError('roster-invalid', 'the roster is of recovery shares, which unseal nothing', { hint });
  }
  // A rotation without a roster (an accepted exception) counts from 1: then nothing tells which is the one before.
  if (torn.issued !== undefined && torn.issued > 1 && roster.generation !== torn.issued - 1) {
    throw new QuorateError(
      'roster-invalid',
      `the roster is of generation ${roster.generation.toString()}; the snapshot holds generation ${(torn.issued - 1).toString()}`,
      { hint },
    );
  }
  return roster;
}

/** The peer that starts anew. @throws QuorateError `usage` when the cluster has no such peer. */
export function chosenPeer(run: Pick<Run, 'cluster'>, script: RecoverScript): Peer {
  const { peers, name } = run.cluster;
  const peer = script.peer === undefined ? peers[0] : peers.find((one) => one.name === script.peer);
  if (peer !== undefined) return peer;
  throw new QuorateError('usage', `${name} has no peer of that name`, {
    hint: `Peers: ${peers.map((one) => one.name).join(', ')}.`,
  });
}

/** A file for an upload. @throws QuorateError `file-missing`, `file-invalid`. */
export async function snapshotSource(path: string): Promise<UploadSource> {
  const found = await stat(path).catch((error: unknown) => {
    throw fileError(path, error);
  });
  return { size: found.size, chunks: () => chunksOf(path) };
}

async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(path)) yield chunk as Uint8Array;
  } catch (error) {
    throw fileError(path, error);
  }
}

async function hashSnapshot(path: string): Promise<{ readonly size: number; readonly digest: string }> {
  const hash = createHash('sha256');
  const source = await snapshotSource(path);
  for await (const chunk of source.chunks()) hash.update(chunk);
  return { size: source.size, digest: `sha256:${hash.digest('hex')}` };
}

/** Whether the record says that the server took the snapshot: from then on the old shares are the shares. */
export function restored(run: Pick<Run, 'events'>): boolean {
  return run.events.some((one) => one.event === 'check' && one.code === RESTORED && one.ok);
}

export function recordRestored(run: Run, finding: string): Promise<void> {
  return run.record({ event: 'check', code: RESTORED, ok: true, finding });
}

function last<N extends RecordLine['event']>(
  lines: readonly RecordLine[],
  name: N,
): Extract<RecordLine, { event: N }> | undefined {
  return lines.findLast((one): one is Extract<RecordLine, { event: N }> => one.event === name);
}

function notOf(path: string, what: string): QuorateError {
  return new QuorateError('record-invalid', `${path} is not the record ${what}`, {
    hint: 'Name the folder of the rotation that tore with --record FOLDER.',
  });
}

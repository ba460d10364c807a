import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { RecordLine } from '../../src/ceremony/record/events.ts';
import { locateRecord } from '../../src/ceremony/record/folder.ts';
import { readSoundRecord } from '../../src/ceremony/record/read.ts';
import { verifyFolder } from '../../src/ceremony/record/verify.ts';
import { loadPrograms } from '../../src/programs/programs.ts';
import type { ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import type { Crew } from './ceremony.ts';
import { callPeer, leaderIndex } from './cluster.ts';
import { at } from './http.ts';

/** The events of a ceremony, from its sound record. */
export async function eventsOf(folder: string): Promise<readonly RecordLine[]> {
  return (await readSoundRecord(join(folder, 'record.jsonl'))).lines;
}

/** What is wrong with a ceremony's folder; signatures apart, which nobody makes in these tests. */
export async function faultsOf(folder: string): Promise<readonly string[]> {
  const { sshKeygen } = await loadPrograms(process.env);
  const { findings } = await verifyFolder({ place: await locateRecord(folder), sshKeygen });
  return findings.flatMap(({ outcome, text }) => (outcome === 'fail' ? [text] : []));
}

/** The first root token of a ceremony, as its holder can read it; also after it was revoked. */
export async function rootTokenOf(folder: string, crew: Crew): Promise<string> {
  const { gpg } = await loadPrograms(process.env);
  const holder = crew.at(-1);
  if (holder === undefined) throw new Error('nobody holds the key of the root token');
  const message = await readFile(join(folder, 'issued', 'root-token.pgp'));
  const token = await gpg.decrypt(message, { home: holder.gnupgHome, signal: new AbortController().signal });
  return token.exposeText();
}

/**
 * What must be so after a complete init, asked of the servers themselves: unsealed peers of one cluster, a root token
 * that nobody takes any more, and a record that verifies. Returns the record's events.
 */
export async function expectComplete(
  cluster: ThrowawayCluster,
  crew: Crew,
  folder: string,
): Promise<readonly RecordLine[]> {
  const ids = new Set<unknown>();
  for (const index of cluster.peers.keys()) {
    const { body } = await callPeer(cluster, index, 'GET', 'sys/seal-status');
    expect(at(body, 'sealed')).toBe(false);
    ids.add(at(body, 'cluster_id'));
  }
  expect(ids.size).toBe(1);
  const token = await rootTokenOf(folder, crew);
  const leader = (await leaderIndex(cluster)) ?? 0;
  expect((await callPeer(cluster, leader, 'GET', 'auth/token/lookup-self', { token })).status).toBe(403);
  expect(await faultsOf(folder)).toEqual([]);
  const events = await eventsOf(folder);
  expect(events.at(-1)).toMatchObject({ event: 'ceremony.closed', result: 'complete' });
  for (const path of ['rotat', 'root token']) {
    const proved = events.some((one) => one.event === 'capability.proved' && one.what.includes(path) && one.started);
    expect(proved, `the way back by ${path}`).toBe(true);
  }
  return events;
}

import { execFile } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ThrowawayCluster } from '../../../../src/rehearsal/cluster.ts';
import { type Crew, initScriptText, peersOf, prepareCeremony } from '../../../support/ceremony.ts';
import { eventsOf, expectComplete } from '../../../support/completion.ts';
import { callPeer, freshCluster, startOver, temporaryFolder } from '../../../support/cluster.ts';
import { madeUpCustodians } from '../../../support/custodians.ts';
import { codeOf } from '../../../support/errors.ts';
import { at } from '../../../support/http.ts';
import type { InitOrder } from '../../../support/programs/run-init.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', '..', 'support', 'programs', 'run-init.ts');

let crew: Crew;

beforeAll(async () => {
  crew = await madeUpCustodians('Alice', 'Bo', 'Erin');
});

type Kill = Pick<InitOrder, 'killBeforeLine' | 'killAfterReply'>;

/** Runs an init in a process of its own that is killed; the folder of the ceremony. */
async function killedInit(cluster: ThrowawayCluster, folder: string, kill: Kill): Promise<string> {
  const peers = cluster.peers.map(({ name, address }) => ({ name, address, ca: cluster.caFile }));
  const order: InitOrder = { folder, script: initScriptText(crew), crew, peers, ...kill };
  const signal = await new Promise<unknown>((resolve, reject) => {
    execFile(process.execPath, [PROGRAM, JSON.stringify(order)], (error, _, stderr) => {
      if (error === null || error.signal !== 'SIGKILL') reject(new Error(`it was not killed: ${stderr}`));
      else resolve(error.signal);
    });
  });
  expect(signal).toBe('SIGKILL');
  const [name] = await readdir(join(folder, 'records'));
  return join(folder, 'records', name ?? '');
}

async function resume(cluster: ThrowawayCluster, folder: string, record: string): Promise<string> {
  const ceremony = await prepareCeremony({ folder, peers: peersOf(cluster), crew, script: '' });
  return codeOf(ceremony.resume(record));
}

const KINDS = new Set([
  'participant',
  'check',
  'share.issued',
  'share.proved',
  'roster',
  'write',
  'capability.proved',
  'token.revoked',
  'ceremony.closed',
]);

describe('an init that is killed', () => {
  /** What a whole one writes, so that every place in it is struck. */
  let names: readonly string[];

  beforeAll(async () => {
    const cluster = await freshCluster({ peers: 1 });
    const script = initScriptText(crew);
    const ceremony = await prepareCeremony({ folder: await temporaryFolder(), peers: peersOf(cluster), crew, script });
    const { folder } = await ceremony.start();
    names = (await eventsOf(folder)).map(({ event }) => event);
  });

  /** Between any two steps, and once before each kind of line; all lines would take minutes and find no more. */
  const places = (): readonly number[] =>
    names.flatMap((name, index) =>
      name === 'step.done' || (KINDS.has(name) && names.indexOf(name) === index) ? [index + 1] : [],
    );

  // One cluster for all places, wiped in between.
  it('between any two steps, and within them, goes on to a complete and true record', async () => {
    const cluster = await freshCluster({ peers: 1 });
    for (const line of places()) {
      const place = `line ${line.toString()}, ${names[line - 1] ?? ''}`;
      const folder = await temporaryFolder();
      const record = await killedInit(cluster, folder, { killBeforeLine: line });
      expect((await eventsOf(record)).length, place).toBe(line - 1);
      expect(await resume(cluster, folder, record), place).toBe('nothing was thrown');
      const events = await expectComplete(cluster, crew, record);
      const people = events.filter(({ event }) => event === 'participant');
      expect(people, place).toHaveLength(2);
      for (const once of ['share.issued', 'share.proved', 'roster', 'token.revoked', 'ceremony.closed']) {
        const count = (all: readonly string[]): number => all.filter((one) => one === once).length;
        expect(count(events.map(({ event }) => event)), `${place}: ${once}`).toBe(count(names));
      }
      await startOver(cluster);
    }
  }, 300_000);

  const REPLIES = [
    'POST sys/unseal',
    'POST sys/auth/approle',
    'POST auth/approle/role/ceremony/secret-id',
    'PUT sys/rotate/root/init',
    'DELETE sys/rotate/root/init',
    'PUT sys/generate-root-token/attempt',
    'POST auth/token/revoke-self',
  ];

  it.each(REPLIES)('right after the reply to %s is resumed', async (request) => {
    const cluster = await freshCluster({ peers: 1 });
    const folder = await temporaryFolder();
    const record = await killedInit(cluster, folder, { killAfterReply: request });
    expect(await resume(cluster, folder, record)).toBe('nothing was thrown');
    await expectComplete(cluster, crew, record);
    if (!request.endsWith('secret-id')) return;
    const events = await eventsOf(record);
    expect(events.filter((one) => one.event === 'write' && one.request.includes('/role/'))).toHaveLength(1);
  });

  it('with the only copy of its shares in hand says that they are lost', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const folder = await temporaryFolder();
    const record = await killedInit(cluster, folder, { killAfterReply: 'POST sys/init' });
    expect(at((await callPeer(cluster, 0, 'GET', 'sys/init')).body, 'initialized')).toBe(true);
    expect(await resume(cluster, folder, record)).toBe('init-reply-lost');
  });

  it('between closing its record and listing its files is finished', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const folder = await temporaryFolder();
    const script = initScriptText(crew);
    const ceremony = await prepareCeremony({ folder, peers: peersOf(cluster), crew, script });
    const outcome = await ceremony.start();
    expect(await codeOf(ceremony.resume())).toBe('usage');
    await rm(join(outcome.folder, 'SHA256SUMS'));
    await rm(join(outcome.folder, 'CHECK.txt'));
    expect(await ceremony.resume()).toEqual(outcome);
    await expectComplete(cluster, crew, outcome.folder);
  });

  it('is resumed on three peers that were all restarted meanwhile, after the roster was written', async () => {
    const cluster = await freshCluster();
    const folder = await temporaryFolder();
    const record = await killedInit(cluster, folder, { killAfterReply: 'POST auth/approle/role/ceremony/secret-id' });
    await cluster.stop();
    await Promise.all(cluster.peers.map((_, index) => cluster.start(index)));
    expect(await resume(cluster, folder, record)).toBe('nothing was thrown');
    const events = await expectComplete(cluster, crew, record);
    expect(events.filter(({ event }) => event === 'roster')).toHaveLength(1);
  });
});

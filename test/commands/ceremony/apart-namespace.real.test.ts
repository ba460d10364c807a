import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openTicket } from '../../../src/ceremony/apart/joining/ticket.ts';
import { connectPeer } from '../../../src/vault/connect.ts';
import {
  administrate,
  type Apart,
  type Custodian,
  expectNothingOf,
  handIn,
  type Invited,
  invitationTo,
  joins,
  joinWith,
  layApart,
  writeScript,
} from '../../support/apart.ts';
import { callPeer, sharedCluster } from '../../support/cluster.ts';
import { lastRecord } from '../../support/desk.ts';
import { callSeal, type LiveNamespace, makeNamespace, sealedOn } from '../../support/namespaces.ts';
import { quorate } from '../../support/quorate.ts';
import { ticketFor } from '../../support/tickets.ts';

/** A namespace's custodians at home: their tickets are for its seal too, which tells nobody anything without a token. */

const shared = sharedCluster({ peers: 1 });
let team: LiveNamespace;
let apart: Apart;
const seen = new Set<string>();

beforeAll(async () => {
  await callSeal(shared(), 'team', 'POST', '', { body: {} });
  team = await makeNamespace(shared(), 'team/a', false);
  apart = await layApart(team, { inside: team });
});

const inside = () => ({ token: shared().rootToken, namespace: 'team/a' });

async function tickets(...people: readonly Custodian[]): Promise<ReadonlyMap<Custodian, string>> {
  const made = new Map<Custodian, string>();
  for (const person of people) made.set(person, await ticketFor(apart, person));
  return made;
}

/** A ticket gives a share to this seal, and does nothing else. */
async function expectConfined(ticket: string, { invitation }: Invited): Promise<void> {
  const { name = '', address = '' } = shared().cluster.peers[0] ?? {};
  const peer = connectPeer({ name, address, ca: shared().cluster.caFile });
  const secret = await openTicket(peer, ticket, { ceremony: invitation.ceremony, custodian: 'Alice' });
  peer.close();
  const token = secret.exposeText();
  const calls: readonly (readonly [string, string, number, unknown?])[] = [
    ['GET', 'team/sys/namespaces/a/seal-status', 200],
    ['PUT', 'team/sys/namespaces/a/unseal', 403, { reset: true }],
    ['PUT', 'team/sys/namespaces/a/unseal', 403, { key: team.shares[2], reset: true }],
    ['PUT', 'team/sys/namespaces/a/seal', 403, {}],
    ['DELETE', 'team/sys/namespaces/a', 403],
    ['GET', 'team/sys/namespaces/b/seal-status', 403],
    ['GET', 'sys/namespaces/team', 403],
  ];
  for (const [method, path, expected, body] of calls) {
    const { status } = await callPeer(shared().cluster, 0, method, path, {
      token,
      ...(body === undefined ? {} : { body }),
    });
    expect({ method, path, status }).toEqual({ method, path, status: expected });
  }
}

describe('a namespace with a seal of its own', () => {
  it('is unsealed by custodians with tickets; without one nobody is told anything', async () => {
    const [alice, bo, cleo] = apart.people;
    const desk = administrate(apart, 'unseal', '--namespace', 'team/a');
    const collect = await invitationTo(apart, 'collect', seen);
    const own = await tickets(alice, bo);
    const mute = joins(cleo, collect.file, '--words', collect.words, '--share-file', cleo.shareFile);
    expect((await mute.exit).code).toBe(4);
    expect(mute.screen()).toContain('token-missing');
    for (const person of [alice, bo]) {
      await handIn(apart, await joinWith(person, collect, '--ticket', own.get(person) ?? ''));
      if (person === alice) await expectConfined(own.get(alice) ?? '', collect);
    }
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expect(desk.screen()).toContain('The tickets of this ceremony are ended.');
    expectNothingOf(desk, ...team.shares);
    expect(await sealedOn(team)).toEqual([false]);
    const { lines } = await lastRecord(apart.desk);
    expect(lines.flatMap((one) => (one.event === 'receipt' ? [`${one.who} ${one.answer}`] : []))).toEqual([
      'Alice team/a: counted 1',
      'Bo team/a: complete',
    ]);
  });

  it('gets a root token of its own, which is gone afterwards', async () => {
    const [alice, bo] = apart.people;
    await writeScript(apart, 'root.yaml', {
      ceremony: 'root-token',
      namespace: 'team/a',
      plan: [{ action: 'write', path: 'sys/mounts/kv', data: { type: 'kv' } }],
    });
    const desk = administrate(apart, 'root-token', 'root.yaml');
    const use = await invitationTo(apart, 'use');
    const own = await tickets(alice, bo);
    await Promise.all(
      [alice, bo].map(async (one) => handIn(apart, await joinWith(one, use, '--ticket', own.get(one) ?? ''))),
    );
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expect((await callPeer(shared().cluster, 0, 'GET', 'sys/mounts/kv', inside())).status).toBe(200);
    const { lines } = await lastRecord(apart.desk);
    expect(lines.filter(({ event }) => event === 'token.revoked')).toHaveLength(1);
  });

  it('gets new shares, proved by sealing it and unsealing it from afar', async () => {
    const [alice, bo] = apart.people;
    const fresh = new Map([alice, bo].map((person) => [person, join(person.home, 'new.pgp')]));
    await writeScript(apart, 'rotate.yaml', {
      ceremony: 'rotate-root-key',
      namespace: 'team/a',
      shares: 2,
      threshold: 2,
      custodians: apart.crew.slice(0, 2).map(({ name, pgpFile, fingerprint, sshFingerprint }) => ({
        name,
        pgp: { file: pgpFile, fingerprint },
        ssh: { fingerprint: sshFingerprint },
      })),
    });
    const refused = await quorate(['ceremony', 'check', 'rotate.yaml', '--live'], { cwd: apart.desk });
    expect(`${refused.stdout}${refused.stderr}`).toContain('namespace-rotation');
    const accept = ['--accept', 'namespace-rotation', '--reason', 'nothing restarts in this test'];
    const desk = administrate(apart, 'ceremony', 'run', 'rotate.yaml', ...accept);
    let step = await invitationTo(apart, 'collect', seen);
    const own = await tickets(alice, bo);
    const both = (work: (person: Custodian) => readonly string[]): Promise<unknown> =>
      Promise.all(
        [alice, bo].map(async (one) =>
          handIn(apart, await joinWith(one, step, '--ticket', own.get(one) ?? '', ...work(one))),
        ),
      );
    const withNew = (one: Custodian): readonly string[] => ['--share-file', fresh.get(one) ?? ''];
    await both(() => []);
    step = await invitationTo(apart, 'prove', seen);
    await both((one) => ['--keep', fresh.get(one) ?? '']);
    step = await invitationTo(apart, 'verify', seen);
    await both(withNew);
    // They are shown to be live, and then it is sealed.
    step = await invitationTo(apart, 'cold', seen);
    expect(step.invitation.task).toMatchObject({ give: 'rotation', use: 'drill' });
    await both(withNew);
    step = await invitationTo(apart, 'cold', seen);
    expect(step.invitation.task).toMatchObject({ give: 'unseal' });
    await both(withNew);
    step = await invitationTo(apart, 'retire', seen);
    await both(() => []);
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expect(desk.screen().replaceAll(/\s+/g, ' ')).toContain("cluster's own root key must be rotated now");
    expectNothingOf(desk, ...team.shares);
    expect(await sealedOn(team)).toEqual([false]);
    const { lines } = await lastRecord(apart.desk);
    expect(lines.some((one) => one.event === 'check' && one.code === 'cold' && one.ok)).toBe(true);
    expect(lines.some((one) => one.event === 'check' && one.code === 'old-shares' && one.ok)).toBe(true);
    expect(await readFile(join(apart.desk, 'prod.team.a.roster.yaml'), 'utf8')).toContain('generation: 2');
  });
});

import { cp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { openTicket } from '../../../src/ceremony/apart/joining/ticket.ts';
import { loadPrograms } from '../../../src/programs/programs.ts';
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
  receiptOf,
  writeScript,
} from '../../support/apart.ts';
import { killBetween, restartAsAsked, rotationTo } from '../../support/apart-rotation.ts';
import { callPeer, leaderIndex, sharedCluster } from '../../support/cluster.ts';
import { lastRecord } from '../../support/desk.ts';
import { errorCode, quorate } from '../../support/quorate.ts';
import { rootAccessors } from '../../support/quorum.ts';
import { ticketFor } from '../../support/tickets.ts';

/** Operations that want a login: custodians apart have tickets, and their machines are killed at the worst moments. */

const shared = sharedCluster({ shares: 3, threshold: 2, voters: true });
let apart: Apart;

beforeAll(async () => {
  apart = await layApart(shared());
});

async function lines(): Promise<Awaited<ReturnType<typeof lastRecord>>['lines']> {
  return (await lastRecord(apart.desk)).lines;
}

/** They join at the same time, and hand in their receipts. */
async function together(people: readonly Custodian[], work: (person: Custodian) => Promise<string>): Promise<void> {
  await Promise.all(people.map(async (person) => handIn(apart, await work(person))));
}

describe('a root token', () => {
  it('comes with the last receipt; one whose receipt is lost is found and revoked', async () => {
    const [alice, bo, cleo] = apart.people;
    const seen = new Set<string>();
    await writeScript(apart, 'root.yaml', {
      ceremony: 'root-token',
      plan: [
        { action: 'write', path: 'sys/policies/acl/made', data: { policy: 'path "x" { capabilities = ["read"] }' } },
      ],
    });
    const desk = administrate(apart, 'root-token', 'root.yaml');
    const first = await invitationTo(apart, 'use', seen);
    const [hers, his, elsewhere] = [
      await ticketFor(apart, alice),
      await ticketFor(apart, bo),
      await ticketFor(apart, cleo, '10.9.9.9/32'),
    ];
    const stolen = join(alice.home, 'copy.ticket');
    await cp(hers, stolen);

    // Refused outside of its network, and when somebody else has opened it.
    const outside = joins(
      cleo,
      first.file,
      '--words',
      first.words,
      '--share-file',
      cleo.shareFile,
      '--ticket',
      elsewhere,
    );
    expect((await outside.exit).code, outside.screen()).toBe(4);
    await handIn(apart, await joinWith(alice, first, '--ticket', hers));
    await desk.waitFor(/receipt of Alice/);
    const thief = joins(alice, first.file, '--words', first.words, '--ticket', stolen, '--receipt', 'thief.receipt');
    expect((await thief.exit).code).toBe(4);
    expect(thief.screen()).toContain('ticket-opened');
    await expectConfined(hers, first);

    // The machine of the last giver dies with the encoded token on the wire.
    await killBetween(apart, bo, first, /generate-root-token\/update$/, '--share-file', bo.shareFile, '--ticket', his);
    await desk.waitFor('one receipt is missing', 30_000);
    const lost = await joinWith(bo, first, '--ticket', his);
    await handIn(apart, lost);
    const second = await invitationTo(apart, 'use', seen);
    expect(second.invitation.task.nonce).not.toBe(first.invitation.task.nonce);
    await handIn(apart, lost, 'again.receipt');
    await desk.waitFor("Bo's receipt is for another nonce");
    await together([alice, bo], (person) => joinWith(person, second, '--ticket', person === bo ? his : hers));
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expectNothingOf(desk, ...shared().shares);

    expect(await rootAccessors(shared())).toHaveLength(1);
    const leader = (await leaderIndex(shared().cluster)) ?? 0;
    const { rootToken: token } = shared();
    expect((await callPeer(shared().cluster, leader, 'GET', 'sys/policies/acl/made', { token })).status).toBe(200);
    const record = await lines();
    expect(record.filter(({ event }) => event === 'token.revoked')).toHaveLength(2);
    expect(record.flatMap((one) => (one.event === 'share.refused' ? [one.reason] : []))).toEqual(['receipt-mismatch']);
    // The tickets went with the ceremony.
    expect(desk.screen()).toContain('The tickets of this ceremony are ended.');
    const policies = await callPeer(shared().cluster, leader, 'LIST', 'sys/policies/acl', { token });
    expect(JSON.stringify(policies.body)).not.toContain('quorate-ticket-');
  });
});

/** A ticket gives to its own operation, by its nonce, and does nothing else. */
async function expectConfined(ticket: string, { invitation }: Invited): Promise<void> {
  const { cluster } = shared();
  const leader = (await leaderIndex(cluster)) ?? 0;
  const { name = '', address = '' } = cluster.peers[leader] ?? {};
  const peer = connectPeer({ name, address, ca: cluster.caFile });
  const secret = await openTicket(peer, ticket, { ceremony: invitation.ceremony, custodian: 'Alice' });
  const token = secret.exposeText();
  peer.close();
  const update = 'sys/generate-root-token/update';
  const share = shared().shares[2];
  const calls: readonly (readonly [string, string, number, unknown?])[] = [
    ['GET', 'sys/generate-root-token/attempt', 200],
    ['PUT', update, 403, { key: share, nonce: '00000000-0000-0000-0000-000000000000' }],
    ['PUT', update, 403, { key: share }],
    ['DELETE', 'sys/generate-root-token/attempt', 403],
    ['GET', 'auth/token/lookup-self', 403],
    ['PUT', 'sys/rotate/root/update', 403, { key: share, nonce: invitation.task.nonce }],
    ['GET', 'sys/policies/acl/ceremony', 403],
  ];
  for (const [method, path, expected, body] of calls) {
    const { status } = await callPeer(cluster, leader, method, path, {
      token,
      ...(body === undefined ? {} : { body }),
    });
    expect({ method, path, status }).toEqual({ method, path, status: expected });
  }
}

describe('a rotation of the root key', () => {
  it('goes through all its phases with nobody in the room', async () => {
    const [alice, bo, cleo] = apart.people;
    const seen = new Set<string>();
    await writeScript(apart, 'rotate.yaml', rotationTo(apart));
    const desk = administrate(apart, 'ceremony', 'run', 'rotate.yaml');
    const collect = await invitationTo(apart, 'collect', seen);
    const tickets = new Map([
      [alice, await ticketFor(apart, alice)],
      [bo, await ticketFor(apart, bo)],
    ]);
    const ticketed = (person: Custodian, to: Invited, ...args: readonly string[]): Promise<string> =>
      joinWith(person, to, '--ticket', tickets.get(person) ?? '', ...args);
    const first = await ticketed(alice, collect);
    await handIn(apart, first);
    await together([bo], (person) => ticketed(person, collect));

    const prove = await invitationTo(apart, 'prove', seen);
    const fresh = new Map<Custodian, string>();
    await together([cleo, bo, alice], (person) => {
      const kept = join(person.home, 'new.pgp');
      fresh.set(person, kept);
      return joinWith(person, prove, '--keep', kept);
    });

    const verify = await invitationTo(apart, 'verify', seen);
    const own = (person: Custodian): readonly string[] => ['--share-file', fresh.get(person) ?? ''];
    await handIn(apart, first, 'replayed.receipt');
    await desk.waitFor("Alice's receipt is for another step");
    // Counted, and the machine dies before it hears of it: the share is not given again, which would count twice.
    const ticket = ['--ticket', tickets.get(alice) ?? ''];
    await killBetween(apart, alice, verify, /rotate\/root\/verify$/, ...own(alice), ...ticket);
    await handIn(apart, await ticketed(alice, verify, ...own(alice)));
    await desk.waitFor(/receipt of Alice: peer-\d: unclear/);
    await handIn(apart, await ticketed(bo, verify, ...own(bo)));

    await restartAsAsked(desk, shared());
    const cold = await invitationTo(apart, 'cold', seen);
    await together([alice, cleo], (person) => joinWith(person, cold, ...own(person)));

    const retire = await invitationTo(apart, 'retire', seen);
    await together([alice, bo], (person) => ticketed(person, retire));
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expectNothingOf(desk, ...shared().shares);

    const record = await lines();
    const live = record.find((one) => one.event === 'check' && one.code === 'live-set');
    expect(live).toMatchObject({ facts: { set: 'new', by: 'the reply' } });
    const dead = record.find((one) => one.event === 'check' && one.code === 'old-shares');
    expect(dead).toMatchObject({ ok: true, finding: 'the servers refuse the old shares' });
    await expectSigned();
    await expectFreshOpens(fresh);
  });
});

/** Each receipt beside the record is one that stock tools find signed. */
async function expectSigned(): Promise<void> {
  const { folder } = await lastRecord(apart.desk);
  const { run } = await loadPrograms(process.env);
  const names = (await readdir(join(folder, 'receipts'))).filter((name) => name.endsWith('.json'));
  expect(names.length).toBe(2 + 3 + 2 + 2 + 2);
  for (const name of names) {
    const { status } = await run({
      program: 'ssh-keygen',
      args: ['-Y', 'check-novalidate', '-n', 'quorate-receipt', '-s', join(folder, 'receipts', `${name}.sig`)],
      stdin: await readFile(join(folder, 'receipts', name)),
      statuses: 'any',
    });
    expect(status, name).toBe(0);
  }
}

/** The shares that custodians kept are those of the roster that was written. */
async function expectFreshOpens(fresh: ReadonlyMap<Custodian, string>): Promise<void> {
  const [alice] = apart.people;
  const args = ['unseal', '--share-file', fresh.get(alice) ?? ''];
  const ended = await quorate(args, { cwd: apart.desk, env: { GNUPGHOME: alice.gnupgHome } });
  expect(errorCode(ended)).toBeUndefined();
  expect(await readFile(join(apart.desk, 'prod.roster.yaml'), 'utf8')).toContain('generation: 2');
  expect(await receiptOf(alice, (await invitationTo(apart, 'retire')).invitation)).toBeDefined();
}

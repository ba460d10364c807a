import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  administrate,
  type Apart,
  type Custodian,
  expectNothingOf,
  handIn,
  type Invited,
  invitationTo,
  joinWith,
  layApart,
  writeScript,
} from '../../support/apart.ts';
import { autoUnsealed } from '../../support/auto-unseal.ts';
import { callPeer } from '../../support/cluster.ts';
import { lastRecord } from '../../support/desk.ts';
import { at } from '../../support/http.ts';
import { underWay } from '../../support/rotation.ts';
import type { TestTerminal } from '../../support/terminal.ts';
import { ticketFor } from '../../support/tickets.ts';
import { waitUntil } from '../../support/wait.ts';

/** Recovery shares from afar, and an administrator's machine that dies while receipts are on their way. */

const INIT = 'sys/rotate/recovery/init';
let apart: Apart;

beforeAll(async () => {
  apart = await layApart(await autoUnsealed(1), { seal: 'recovery' });
});

/** One call of a test that is no custodian. */
function ask(method: string, path: string, body?: unknown): ReturnType<typeof callPeer> {
  const { cluster, rootToken: token } = apart.live;
  return callPeer(cluster, 0, method, path, { token, ...(body === undefined ? {} : { body }) });
}

async function events<E extends string>(event: E) {
  const { lines } = await lastRecord(apart.desk);
  return lines.filter((one): one is Extract<(typeof lines)[number], { event: E }> => one.event === event);
}

/** Custodians who have a login of their own need no ticket. */
const loggedIn = (people: readonly Custodian[]): Promise<unknown> =>
  Promise.all(people.map(({ home }) => writeToken(home)));

async function writeToken(home: string): Promise<void> {
  await writeFile(join(home, 'token'), apart.live.rootToken, { mode: 0o600 });
  const file = join(home, 'quorate.yaml');
  const text = await readFile(file, 'utf8');
  if (!text.includes('token-file')) {
    await writeFile(file, `${text.trimEnd()}\n    auth: { method: token-file, file: token }\n`);
  }
}

/** The machine of the administrator stops, at once. */
async function dies(desk: TestTerminal): Promise<void> {
  desk.kill('SIGKILL');
  await desk.exit;
}

async function resumed(): Promise<TestTerminal> {
  const { folder } = await lastRecord(apart.desk);
  return administrate(apart, 'ceremony', 'resume', folder);
}

const taken = (desk: TestTerminal, { name }: Custodian): Promise<unknown> =>
  desk.waitFor(new RegExp(`receipt of ${name}: `));

describe('a drill of recovery shares', () => {
  it('is cancelled on the servers when nobody hands in another receipt for too long', async () => {
    const desk = administrate(apart, 'drill', '--longest-wait', '0.1');
    const { invitation } = await invitationTo(apart, 'drill');
    const body = { key: apart.people[0].share, nonce: invitation.task.nonce };
    // A share counts there, and its receipt never comes.
    expect(at((await ask('PUT', 'sys/rotate/recovery/update', body)).body, 'data', 'progress')).toBe(1);
    expect((await desk.exit).code, desk.screen()).toBe(2);
    expect(desk.screen()).toContain('deadline-passed');
    expect(await underWay(apart.live, INIT)).toEqual([]);
    expect((await events('exception')).at(-1)).toMatchObject({
      happened: expect.stringContaining('none came') as string,
    });
    const lock = await ask('GET', 'quorate/data/ceremony-lock');
    expect(at(lock.body, 'data', 'data', 'ceremony')).toBe('');
  });

  it('is resumed, and goes on by what the servers say when a receipt is lost', async () => {
    const [alice, bo] = apart.people;
    const seen = new Set<string>([(await invitationTo(apart, 'drill')).file]);
    const desk = await resumed();
    const drill = await invitationTo(apart, 'drill', seen);
    await loggedIn([bo]);
    await handIn(apart, await joinWith(alice, drill, '--ticket', await ticketFor(apart, alice)));
    await joinWith(bo, drill);
    await desk.waitFor('Type "lost"');
    desk.enter('lost');
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expectNothingOf(desk, ...apart.live.shares);
    expect(await underWay(apart.live, INIT)).toEqual([]);
    expect((await events('exception')).at(-1)).toMatchObject({ happened: '1 did not come' });
    // Only who has signed is named.
    const proved = (await events('check')).find(({ code }) => code === 'drill');
    expect(proved).toMatchObject({ ok: true, facts: { givers: 'Alice' } });
  });
});

describe('a rotation of the recovery key', () => {
  it('survives the death of its administrator, who takes what was handed in meanwhile', async () => {
    const [alice, bo, cleo] = apart.people;
    const fresh = new Map([alice, bo].map((person) => [person, join(person.home, 'new.pgp')]));
    const own = (person: Custodian): readonly string[] => ['--share-file', fresh.get(person) ?? ''];
    const seen = new Set<string>();
    const give = async (to: Invited, people: readonly Custodian[], work = own): Promise<void> => {
      await Promise.all(people.map(async (person) => handIn(apart, await joinWith(person, to, ...work(person)))));
    };
    await loggedIn(apart.people);
    await writeScript(apart, 'rotate.yaml', {
      ceremony: 'rotate-recovery-key',
      shares: 2,
      threshold: 2,
      custodians: apart.crew.slice(0, 2).map(({ name, pgpFile, fingerprint, sshFingerprint }) => ({
        name,
        pgp: { file: pgpFile, fingerprint },
        ssh: { fingerprint: sshFingerprint },
      })),
    });
    let desk = administrate(apart, 'ceremony', 'run', 'rotate.yaml');
    const collect = await invitationTo(apart, 'collect', seen);
    await handIn(apart, await joinWith(alice, collect));
    await taken(desk, alice);
    await dies(desk);
    // The last old share comes while nobody runs the ceremony: the server makes the new ones.
    await handIn(apart, await joinWith(cleo, collect));

    desk = await resumed();
    const prove = await invitationTo(apart, 'prove', seen);
    await desk.waitFor('receipt of Cleo, for an invitation that is over');
    await handIn(apart, await joinWith(alice, prove, '--keep', fresh.get(alice) ?? ''));
    await waitUntil('Alice has proved', async () => (await events('share.proved')).length === 1);
    await dies(desk);
    await handIn(apart, await joinWith(bo, prove, '--keep', fresh.get(bo) ?? ''));

    desk = await resumed();
    const verify = await invitationTo(apart, 'verify', seen);
    await give(verify, [alice]);
    await taken(desk, alice);
    await dies(desk);
    // From before the interruption, and for a step that asks for the same.
    desk = await resumed();
    await invitationTo(apart, 'settle', seen);
    await give(verify, [bo]);

    await give(await invitationTo(apart, 'live', seen), [alice, bo]);
    await give(await invitationTo(apart, 'retire', seen), [alice, cleo], () => []);
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expectNothingOf(desk, ...apart.live.shares);

    const checks = await events('check');
    expect(checks.find(({ code }) => code === 'live-set')).toMatchObject({ facts: { set: 'new' } });
    expect(checks.find(({ code }) => code === 'old-shares')).toMatchObject({ ok: true });
    // Nothing but the old shares, which are dead.
    expect((await events('share.refused')).map(({ step, reason }) => [step, reason])).toEqual([['9', 'shares-wrong']]);
    const receipts = await events('receipt');
    expect(receipts.map(({ who }) => who)).toHaveLength(2 + 2 + 2 + 2 + 2);
    expect(receipts.filter(({ answer }) => answer.startsWith('late; '))).toMatchObject([{ who: 'Cleo' }]);
    for (const { file } of receipts) await access(join((await lastRecord(apart.desk)).folder, file));
    expect(await readFile(join(apart.desk, 'prod.roster.yaml'), 'utf8')).toContain('generation: 2');
    expect(await underWay(apart.live, INIT)).toEqual([]);
  });
});

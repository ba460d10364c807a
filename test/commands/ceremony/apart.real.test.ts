import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  administrate,
  type Apart,
  asks,
  type Custodian,
  expectNothingOf,
  handIn,
  invitationTo,
  joins,
  joinWith,
  layApart,
  receiptOf,
} from '../../support/apart.ts';
import { initScriptText } from '../../support/ceremony.ts';
import { freshCluster, sharedCluster, temporaryFolder, unsealAll } from '../../support/cluster.ts';
import { madeUpCustodians } from '../../support/custodians.ts';
import { lastRecord, layDesk } from '../../support/desk.ts';
import { quorate } from '../../support/quorate.ts';
import { OPEN, SEALED, sealAgain, standings } from '../../support/sealed.ts';

/** Custodians in processes and terminals of their own, and an administrator who never sees a share. */

const shared = sharedCluster({ shares: 3, threshold: 2, voters: true });
let apart: Apart;

beforeAll(async () => {
  apart = await layApart(shared());
});

/** Codes of receipts that were refused, in the newest record. */
async function refusals(): Promise<readonly string[]> {
  const { lines } = await lastRecord(apart.desk);
  return lines.flatMap((one) => (one.event === 'share.refused' ? [one.reason] : []));
}

describe('an unseal', () => {
  beforeEach(() => sealAgain(shared()));

  it('is done by custodians at their own terminals; receipts that are not right change nothing', async () => {
    const [alice, bo, cleo] = apart.people;
    const desk = administrate(apart, 'unseal');
    const { file, words, invitation } = await invitationTo(apart, 'collect');
    await desk.waitFor('compare them on the telephone');

    const first = joins(alice, file);
    await first.waitFor(asks('Does the administrator read the same words'));
    expect(first.screen().replaceAll(/\s+/g, ' ')).toContain(words);
    first.enter('y');
    await first.waitFor(asks('Alice, your share'));
    first.enter(alice.share);
    expect((await first.exit).code, first.screen()).toBe(0);
    expect((await standings(shared())).map((one) => one?.progress)).toEqual([1, 1, 1]);
    expectNothingOf(first, ...shared().shares);

    // In Alice's name, by Cleo's key; then Alice's own twice.
    const own = (await readFile(await receiptOf(alice, invitation), 'utf8')).trim();
    const { parseReceipt, RECEIPT_NAMESPACE, renderReceipt } = await import('../../../src/ceremony/apart/receipt.ts');
    const { sshKeygen } = await (await import('../../../src/programs/programs.ts')).loadPrograms(process.env);
    const { bytes } = parseReceipt(own);
    const signature = await sshKeygen.sign({ key: cleo.sshKeyFile, namespace: RECEIPT_NAMESPACE, bytes });
    desk.enter(renderReceipt({ bytes, signature }));
    await desk.waitFor('in the name of Alice, and was signed by Cleo');
    desk.enter(own.slice(0, -40));
    await desk.waitFor('that is not a receipt');
    desk.enter(own);
    await desk.waitFor(/receipt of Alice/);
    desk.enter(own);
    await desk.waitFor("Alice's receipt is here already");

    await handIn(apart, await joinWith(bo, { file, words, invitation }));
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
    expectNothingOf(desk, ...shared().shares);
    expect(await refusals()).toEqual(['signature-invalid', 'receipt-invalid', 'receipt-duplicate']);
    const { lines, folder } = await lastRecord(apart.desk);
    expect(lines.flatMap((one) => (one.event === 'receipt' ? [one.who] : []))).toEqual(['Alice', 'Bo']);
    expect(lines.at(-1)).toMatchObject({ event: 'ceremony.closed', result: 'complete' });
    const verified = await quorate(['ceremony', 'verify', folder], { cwd: apart.desk });
    expect(verified.stderr).not.toContain('record-invalid');
  });
});

describe('a seal', () => {
  it('comes after custodians have shown at home that they could unseal again', async () => {
    const [alice, bo, cleo] = apart.people;
    await unsealAll(shared());
    const desk = administrate(apart, 'seal');
    const quorum = await invitationTo(apart, 'quorum');
    const wrong = joins(alice, quorum.file, '--words', quorum.words, '--share-file', cleo.shareFile);
    expect((await wrong.exit).code).toBe(5);
    expect(wrong.screen()).toContain("Cleo's share, not Alice's");
    const others = joins(bo, quorum.file, '--words', quorum.words.replace(/^\S+/, 'aardvark'));
    expect((await others.exit).code).toBe(5);
    expect(others.screen()).toContain('invitation-invalid');
    for (const person of [alice, bo]) await handIn(apart, await joinWith(person, quorum));
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);
    expectNothingOf(desk, ...shared().shares);
  });
});

describe('an init', () => {
  it('has every custodian prove their share at home, and unseals with them', async () => {
    const [cluster, crew, base] = await Promise.all([
      freshCluster({ peers: 1 }),
      madeUpCustodians('Alice', 'Bo', 'Erin'),
      temporaryFolder(),
    ]);
    const desk = { desk: base, handover: join(base, 'handover'), env: { GNUPGHOME: crew[2]?.gnupgHome ?? '' } };
    await mkdir(desk.handover);
    const described = {
      prod: { peers: cluster.peers.map(({ name, address }) => ({ name, address })), ca: cluster.caFile },
    };
    await layDesk(base, described);
    const custodians = crew.slice(0, 2).map(({ name, pgpFile, fingerprint, sshFingerprint }) => ({
      name,
      pgp: { file: pgpFile, fingerprint },
      ssh: { fingerprint: sshFingerprint },
    }));
    const script = initScriptText(crew, { cluster: 'prod', shares: 2, custodians, audit: 'none' });
    await writeFile(join(base, 'init.yaml'), script);
    const config = await readFile(join(base, 'quorate.yaml'), 'utf8');
    await writeFile(join(base, 'quorate.yaml'), `${config}policy: { shortest-key-validity-days: 0 }\n`);
    const people: Custodian[] = [];
    for (const { name, gnupgHome, sshKeyFile } of crew.slice(0, 2)) {
      const home = join(base, `at-${name}`);
      await mkdir(home);
      await layDesk(home, described);
      people.push({ name, gnupgHome, sshKeyFile, home, share: '', shareFile: join(home, 'issued.pgp') });
    }
    const terminal = administrate(desk, 'ceremony', 'run', 'init.yaml');
    const prove = await invitationTo(desk, 'prove');
    await Promise.all(
      people.map(async (one) => {
        await handIn(desk, await joinWith(one, prove, '--keep', one.shareFile));
      }),
    );
    const unseal = await invitationTo(desk, 'unseal');
    for (const person of people) await handIn(desk, await joinWith(person, unseal));
    expect((await terminal.exit).code, terminal.screen()).toBe(0);
    expect(await standings({ cluster })).toEqual([OPEN]);
  });
});

import { readFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  administrate,
  type Apart,
  asks,
  expectNothingOf,
  handIn,
  invitationTo,
  joins,
  joinWith,
  layApart,
  receiptOf,
} from '../../support/apart.ts';
import { sharedCluster } from '../../support/cluster.ts';
import { lastRecord } from '../../support/desk.ts';
import { quorate } from '../../support/quorate.ts';
import { OPEN, sealAgain, standings } from '../../support/sealed.ts';

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

import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  administrate,
  type Apart,
  asks,
  handIn,
  invitationTo,
  joins,
  layApart,
  receiptIn,
} from '../../support/apart.ts';
import { sharedCluster } from '../../support/cluster.ts';
import { formsOf, lastRecord } from '../../support/desk.ts';
import { OPEN, sealAgain, standings } from '../../support/sealed.ts';
import type { TestTerminal } from '../../support/terminal.ts';

/** Custodians in processes and terminals of their own, and an administrator who never sees a share. */

const shared = sharedCluster({ shares: 3, threshold: 2, voters: true });
let apart: Apart;

beforeAll(async () => {
  apart = await layApart(shared());
});

/** No share was on a screen, or reached the administrator. */
function expectNoShare(...terminals: readonly TestTerminal[]): void {
  for (const terminal of terminals) {
    const seen = terminal.raw().toString('latin1');
    for (const hex of shared().shares) for (const form of formsOf(hex)) expect(seen).not.toContain(form);
  }
}

describe('an unseal', () => {
  beforeEach(() => sealAgain(shared()));

  it('is done by custodians at their own terminals, one receipt pasted, one as a file', async () => {
    const [alice, bo] = apart.custodians;
    const desk = administrate(apart, 'unseal', '--apart', 'handover');
    const { file, words } = await invitationTo(apart, 'collect');
    await desk.waitFor('compare them on the telephone');

    const first = joins(alice!, file);
    await first.waitFor(asks('Does the administrator read the same words'));
    expect(first.screen().replaceAll(/\s+/g, ' ')).toContain(words);
    first.enter('y');
    await first.waitFor(asks('Alice Example, your share'));
    first.enter(alice!.share);
    expect((await first.exit).code, first.screen()).toBe(0);
    expect((await standings(shared())).map((one) => one?.progress)).toEqual([1, 1, 1]);
    desk.enter((await receiptIn(alice!)).line);
    await desk.waitFor('receipt of Alice Example');

    const second = joins(bo!, file, '--words', words, '--share-file', bo!.shareFile);
    expect((await second.exit).code, second.screen()).toBe(0);
    await handIn(apart, (await receiptIn(bo!)).file);
    await desk.waitFor('receipt of Bo Example');
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
    expectNoShare(desk, first, second);
    const { lines } = await lastRecord(apart.desk);
    expect(lines.flatMap((one) => (one.event === 'receipt' ? [one.who] : []))).toEqual([alice!.name, bo!.name]);
    expect(lines.at(-1)).toMatchObject({ event: 'ceremony.closed', result: 'complete' });
  });
});

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sharedCluster, temporaryFolder } from '../support/cluster.ts';
import { formsOf, lastRecord, layDesk, rosterOf } from '../support/desk.ts';
import { MAIN } from '../support/quorate.ts';
import { OPEN, SEALED, sealAgain, standings } from '../support/sealed.ts';
import { openTerminal, type TestTerminal } from '../support/terminal.ts';

const shared = sharedCluster({ shares: 5, threshold: 3, voters: true });
const share = (index: number): string => shared().shares[index] ?? '';
const mistyped = (hex: string): string => hex.replace(/^../, hex.startsWith('aa') ? 'bb' : 'aa');
let folder: string;

beforeAll(async () => {
  folder = await temporaryFolder();
});

async function desk(roster: boolean): Promise<void> {
  const { cluster, shares } = shared();
  await layDesk(folder, {
    prod: {
      peers: cluster.peers.map(({ name, address }) => ({ name, address })),
      ca: cluster.caFile,
      ...(roster ? { roster: rosterOf(shares, { cluster: 'prod', threshold: 3 }) } : {}),
    },
  });
}

beforeEach(async () => {
  await sealAgain(shared());
  await desk(true);
});

const open = (...args: readonly string[]): TestTerminal =>
  openTerminal(process.execPath, [MAIN, ...args], { cwd: folder, columns: 80, rows: 200 });

/** A question that waits for its answer; those that have theirs begin with a tick. */
const asks = (question: string): RegExp => new RegExp(`^\\? ${question}`, 'm');

/** Chooses the custodian who is so many lines down, and types their share. */
async function give(terminal: TestTerminal, number: number, down: number, text: string): Promise<void> {
  await terminal.waitFor(asks(`Share ${number.toString()} of 3: who gives it\\?`));
  for (let line = 0; line < down; line += 1) terminal.press('down');
  terminal.press('enter');
  await terminal.waitFor(asks('.*\\(hidden'));
  terminal.enter(text);
}

function expectNothingOf(terminal: TestTerminal, ...secrets: readonly string[]): void {
  const seen = terminal.raw().toString('latin1');
  for (const hex of secrets) for (const form of formsOf(hex)) expect(seen).not.toContain(form);
}

describe('quorate unseal at a terminal', () => {
  it('gives up when people leave, says who gave, and leaves no share in any server', async () => {
    const terminal = open('unseal', '--longest-wait', '0.08');
    await give(terminal, 1, 0, share(0));
    await terminal.waitFor(/accepted from Alice Example/);
    expect((await standings(shared())).map((one) => one?.progress)).toEqual([1, 1, 1]);
    const { code } = await terminal.exit;
    expect(code).toBe(2);
    expect(terminal.screen()).toContain('deadline-passed');
    expect(terminal.screen()).toContain('given by Alice Example');
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);
  });

  it('takes hidden shares, calls wrong ones by their owner, and shows every peer', async () => {
    const terminal = open('unseal');
    await give(terminal, 1, 0, share(1));
    await terminal.waitFor("Bo Example's share, not Alice Example's. Not sent.");
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);
    await give(terminal, 1, 0, mistyped(share(0)));
    await terminal.waitFor(/fingerprint is in no\s+generation/);
    await give(terminal, 1, 0, share(0));
    await terminal.waitFor(/accepted from Alice Example \(share [0-9a-f]{2}, generation 1\)/);
    // Too early: nobody has asked yet. It is neither shown nor taken.
    terminal.type('zqxjzqxjzqxj');
    await terminal.waitFor('Share 2 of 3');
    expect(terminal.screen()).toContain('1/3');
    // Alice is no longer in the list.
    await give(terminal, 2, 0, `  ${share(1).slice(0, 30)} ${share(1).slice(30)} `);
    await terminal.waitFor('accepted from Bo Example');
    // From a file, with an empty answer first, and one that is not there.
    await terminal.waitFor(asks('Share 3 of 3'));
    terminal.press('enter');
    await terminal.waitFor(asks('.*\\(hidden'));
    terminal.press('enter');
    await terminal.waitFor(asks('File with the share'));
    terminal.enter('nowhere');
    await terminal.waitFor('does not exist');
    await writeFile(join(folder, 'cleo.share'), share(2), { mode: 0o600 });
    await terminal.waitFor(asks('Share 3 of 3'));
    terminal.press('enter');
    await terminal.waitFor(asks('.*\\(hidden'));
    terminal.press('enter');
    await terminal.waitFor(asks('File with the share'));
    terminal.enter('cleo.share');
    const screen = await terminal.waitFor('3 of 3 peers unsealed.');
    expect((await terminal.exit).code).toBe(0);
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
    expectNothingOf(terminal, ...shared().shares, mistyped(share(0)));
    expect(terminal.raw().includes('zqxj')).toBe(false);
    // All but the stars of a share fit the terminal.
    for (const line of screen.split('\n')) if (!line.includes('***')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('reveals nothing on Ctrl-T, ends with 130 on Ctrl-C, and is resumed', async () => {
    const terminal = open('unseal');
    await give(terminal, 1, 0, share(0));
    await terminal.waitFor(asks('Share 2 of 3'));
    terminal.press('enter');
    await terminal.waitFor(asks('.*\\(hidden'));
    terminal.type(share(1));
    terminal.press('ctrl-t');
    await terminal.waitFor('****');
    terminal.press('ctrl-c');
    expect((await terminal.exit).code).toBe(130);
    expectNothingOf(terminal, share(0), share(1));
    expect(terminal.screen()).toContain('ceremony resume');

    const { folder: record } = await lastRecord(folder);
    const again = open('ceremony', 'resume', record);
    // The peers have kept Alice's share, and the record says that it was hers.
    await give(again, 2, 0, share(1));
    await again.waitFor('accepted from Bo');
    await give(again, 3, 0, share(2));
    expect((await again.exit).code).toBe(0);
    expect(await standings(shared())).toEqual([OPEN, OPEN, OPEN]);
    expectNothingOf(again, share(1), share(2));
  });

  it('lets an unlisted share through after a typed confirmation, which the record keeps', async () => {
    const { cluster, shares } = shared();
    // The roster knows Alice's share otherwise: someone has rotated with another tool.
    await layDesk(folder, {
      prod: {
        peers: cluster.peers.map(({ name, address }) => ({ name, address })),
        ca: cluster.caFile,
        roster: rosterOf([mistyped(share(0)), ...shares.slice(1)], { cluster: 'prod', threshold: 3 }),
      },
    });
    const terminal = open('unseal', '--unlisted-share');
    await give(terminal, 1, 0, share(0));
    await terminal.waitFor(asks('[^\\n]*Type unlisted'));
    terminal.press('enter');
    await terminal.waitFor(asks('Share 1 of 3: who gives it'));
    expect(await standings(shared())).toEqual([SEALED, SEALED, SEALED]);
    terminal.press('enter');
    await terminal.waitFor(asks('.*\\(hidden'));
    terminal.enter(share(0));
    await terminal.waitFor(asks('[^\\n]*Type unlisted'));
    terminal.enter('unlisted');
    await terminal.waitFor('Share 2 of 3');
    expect((await standings(shared())).map((one) => one?.progress)).toEqual([1, 1, 1]);
    terminal.press('ctrl-c');
    expect((await terminal.exit).code).toBe(130);
    const { lines } = await lastRecord(folder);
    expect(lines.find((line) => line.event === 'exception')).toMatchObject({
      decision: 'given to the peers after a typed confirmation',
    });
    expectNothingOf(terminal, share(0));
  });

  it('without a roster, tells a wrong set and starts again', async () => {
    await desk(false);
    const terminal = open('unseal', '--peer', 'peer-1');
    for (const [text, shown] of [
      [share(0), 'Share 2 of 3'],
      [mistyped(share(1)), 'Share 3 of 3'],
      [share(2), 'do not open peer-1 together'],
      [share(0), 'Share 2 of 3'],
      [share(1), 'Share 3 of 3'],
    ] as const) {
      await terminal.waitFor(asks('.*\\(hidden'));
      terminal.enter(text);
      await terminal.waitFor(shown.startsWith('Share') ? asks(shown) : shown);
    }
    terminal.enter(share(2));
    expect((await terminal.exit).code).toBe(0);
    expect((await standings(shared()))[0]).toEqual(OPEN);
    expectNothingOf(terminal, ...shared().shares);
  });
});

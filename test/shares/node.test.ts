import { describe, expect, it } from 'vitest';
import { bootNode } from '../../src/shares/boot.ts';
import { abandon, advance, stage } from '../../src/shares/node.ts';
import { copyOf, Crash, makeWorld, relay, type WorldNode } from './world.ts';

const NAMES = ['north', 'south'];

function setUp(crash?: () => boolean) {
  const { wallet, nodes } = makeWorld(NAMES, 2, crash);
  const north = nodes.get('north');
  const south = nodes.get('south');
  if (north === undefined || south === undefined) throw new Error('two nodes were asked for');
  const both = [north, south];
  const stageOne = (node: WorldNode, epoch: number, text = `share ${epoch.toString()}`, commitment: string[] = []) =>
    stage(wallet, node.over(), {
      epoch,
      scheme: 'opaque',
      index: both.indexOf(node) + 1,
      commitment,
      share: new TextEncoder().encode(text),
    });
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 4; round += 1) {
      relay(north.disk, south.disk);
      relay(south.disk, north.disk);
      for (const node of both) await advance(wallet, node.over());
    }
  };
  const move = async (epoch: number): Promise<void> => {
    for (const node of both) await stageOne(node, epoch);
    await settle();
  };
  return { wallet, north, south, stageOne, settle, move };
}

describe('a node', () => {
  it('stages the same share twice without a change, and refuses another for the same epoch', async () => {
    const { north, stageOne } = setUp();
    await stageOne(north, 1);
    const before = copyOf(north.disk);
    await stageOne(north, 1);
    expect(north.disk).toEqual(before);
    await expect(stageOne(north, 1, 'another')).rejects.toMatchObject({ code: 'epoch-conflict' });
    expect(north.disk).toEqual(before);
  });

  it('cannot abandon what it has signed, even if it died before it knew that it had', async () => {
    let writes = Infinity;
    const { wallet, north, south, stageOne } = setUp(() => (writes -= 1) < 0);
    await stageOne(north, 1);
    await stageOne(south, 1);
    relay(south.disk, north.disk);
    writes = 3; // the state before and after, and the publication before; dead after it
    await expect(advance(wallet, north.over())).rejects.toBeInstanceOf(Crash);
    writes = Infinity;
    expect(north.disk.statements.some(({ kind, node }) => kind === 'commit' && node === 'north')).toBe(true);
    await expect(abandon(wallet, north.over(), 1)).rejects.toMatchObject({ code: 'epoch-conflict' });
  });

  it('never signs an epoch that it abandoned, and the next number is free', async () => {
    const { wallet, north, south, stageOne, move } = setUp();
    await stageOne(north, 1);
    await stageOne(south, 1);
    await abandon(wallet, south.over(), 1);
    relay(north.disk, south.disk);
    expect(await advance(wallet, south.over())).toEqual({ did: 'nothing', waitsFor: undefined });
    await expect(stageOne(south, 1)).rejects.toMatchObject({ code: 'epoch-conflict' });
    await move(2);
    expect((await bootNode(wallet, north.over())).shares.map(({ epoch }) => epoch)).toEqual([2]);
  });

  it('signs no set whose members do not fit together', async () => {
    const { wallet, north, south, stageOne } = setUp();
    await stageOne(north, 1, 'a', ['02']);
    await stageOne(south, 1, 'b', ['03']);
    relay(south.disk, north.disk);
    await expect(advance(wallet, north.over())).rejects.toMatchObject({ code: 'epoch-conflict' });
  });

  it('boots nothing before a commit record exists', async () => {
    const { wallet, north, stageOne } = setUp();
    await stageOne(north, 1);
    await expect(bootNode(wallet, north.over())).rejects.toMatchObject({ code: 'epoch-uncommitted' });
  });

  it('refuses a store that was rolled back', async () => {
    const { wallet, north, move } = setUp();
    await move(1);
    const old = copyOf(north.disk);
    await move(2);
    const rolledBack = { ...copyOf(old), state: north.disk.state };
    await expect(bootNode(wallet, north.over(rolledBack))).rejects.toMatchObject({ code: 'epoch-stale' });
    await expect(advance(wallet, north.over(rolledBack))).rejects.toMatchObject({ code: 'epoch-stale' });
  });

  it('does not believe its own store when its state is gone', async () => {
    const { wallet, north, south, move } = setUp();
    await move(1);
    const old = { ...copyOf(north.disk), state: undefined };
    await move(2);
    const stateless = { ...copyOf(north.disk), state: undefined };
    const code = (promise: Promise<unknown>, expected: string) =>
      expect(promise).rejects.toMatchObject({ code: expected });
    await code(bootNode(wallet, north.over(copyOf(stateless))), 'state-missing');
    const elsewhere = south.disk.statements;
    const { shares } = await bootNode(wallet, north.over(stateless), { elsewhere });
    expect(shares[0].epoch).toBe(2);
    expect(stateless.state).toEqual({ committed: 2 });
    await code(bootNode(wallet, north.over(copyOf(old)), { elsewhere }), 'epoch-stale');
    expect((await bootNode(wallet, north.over(old), { firstBoot: true })).shares[0].epoch).toBe(1);
  });

  it('does not start on a share that another signed, or that was exchanged', async () => {
    const { wallet, north, south, move } = setUp();
    await move(1);
    const forged = copyOf(north.disk);
    forged.envelopes = south.disk.envelopes.map((one) => ({ ...one, node: 'north' }));
    await expect(bootNode(wallet, north.over(forged))).rejects.toMatchObject({ code: 'statement-invalid' });
    const without = { ...copyOf(north.disk), envelopes: [] };
    await expect(bootNode(wallet, north.over(without))).rejects.toMatchObject({ code: 'share-undecryptable' });
  });

  it('counts statements of strangers and of other wallets for nothing', async () => {
    const { wallet, north, move } = setUp();
    const strangers = setUp();
    await strangers.move(1);
    relay(strangers.north.disk, north.disk);
    await expect(bootNode(wallet, north.over())).rejects.toMatchObject({ code: 'epoch-uncommitted' });
    await move(1);
    expect((await bootNode(wallet, north.over())).shares[0].epoch).toBe(1);
  });
});

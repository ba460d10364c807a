import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isQuorateError } from '../../src/errors.ts';
import { bootNode } from '../../src/shares/boot.ts';
import { viewOf, type Wallet } from '../../src/shares/epochs.ts';
import { abandon, advance, stage } from '../../src/shares/node.ts';
import { copyOf, Crash, makeWorld, relay, type WorldNode } from './world.ts';

const NAMES = ['north', 'south', 'west'];

/** Epochs are counted from the next one that can be committed as far as the node knows. */
type Action =
  | { readonly do: 'stage'; readonly nodes: readonly number[]; readonly ahead: number }
  | { readonly do: 'abandon'; readonly nodes: readonly number[]; readonly ahead: number }
  | { readonly do: 'advance'; readonly nodes: readonly number[] }
  | { readonly do: 'boot'; readonly nodes: readonly number[] }
  /** One bit for each pair of stores: a partition lets some pass. */
  | { readonly do: 'relay'; readonly pairs: number };

const some = fc.shuffledSubarray([...NAMES.keys()], { minLength: 1 });
const one = some.map((nodes) => nodes.slice(0, 1));
const ahead = fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 16, arbitrary: fc.record({ do: fc.constant('stage' as const), nodes: some, ahead }) },
  { weight: 24, arbitrary: fc.record({ do: fc.constant('advance' as const), nodes: some }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('boot' as const), nodes: one }) },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('relay' as const), pairs: fc.nat(511) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abandon' as const), nodes: one, ahead }) },
);

const shareOf = (node: string, number: number): Uint8Array => new TextEncoder().encode(`${node} ${number.toString()}`);

function nextEpoch(wallet: Wallet, { disk }: WorldNode): number {
  const view = viewOf(wallet, disk.statements);
  let epoch = view.committed + 1;
  while ((view.epochs.get(epoch)?.abandoned.size ?? 0) > 0) epoch += 1;
  return epoch;
}

async function perform(wallet: Wallet, worlds: readonly WorldNode[], action: Action): Promise<void> {
  if (action.do === 'relay') {
    for (const [from, source] of worlds.entries()) {
      for (const [to, target] of worlds.entries()) {
        if ((action.pairs & (1 << (NAMES.length * from + to))) !== 0) relay(source.disk, target.disk);
      }
    }
    return;
  }
  for (const index of action.nodes) {
    const world = worlds[index];
    if (world === undefined) continue;
    try {
      await act(wallet, world, index, action);
    } catch (error) {
      if (!(error instanceof Crash) && !isQuorateError(error)) throw error;
    }
  }
}

async function act(wallet: Wallet, world: WorldNode, index: number, action: Exclude<Action, { do: 'relay' }>) {
  const node = world.over();
  if (action.do === 'advance') return advance(wallet, node);
  if (action.do === 'boot') return bootNode(wallet, node);
  const epoch = nextEpoch(wallet, world) + action.ahead;
  if (action.do === 'abandon') return abandon(wallet, node, epoch);
  const share = shareOf(node.name, epoch);
  return stage(wallet, node, { epoch, scheme: 'opaque', index: index + 1, commitment: [], share });
}

/** What each node would start with now, if it did: epochs by name. Nothing is changed by looking. */
async function bootedEpochs(
  wallet: Wallet,
  nodes: readonly WorldNode[],
): Promise<ReadonlyMap<string, readonly number[]>> {
  const booted = new Map<string, readonly number[]>();
  for (const [index, world] of nodes.entries()) {
    const name = NAMES[index] ?? '';
    const disk = copyOf(world.disk);
    try {
      const { shares } = await bootNode(wallet, world.over(disk));
      booted.set(
        name,
        shares.map((one) => one.epoch),
      );
      const view = viewOf(wallet, disk.statements);
      for (const one of shares) {
        expect(view.epochs.get(one.epoch)?.commit, 'a commit record for what is started').toBeDefined();
        expect(one.share).toEqual(shareOf(name, one.epoch));
      }
    } catch (error) {
      if (!isQuorateError(error)) throw error; // it does not start
    }
  }
  return booted;
}

describe('a wallet whose nodes crash and whose operators carry what they like', () => {
  it('never starts nodes that share no epoch, and reaches the end once all are well', async () => {
    let moves = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { minLength: 30, maxLength: 36 }),
        fc.infiniteStream(fc.nat(24)),
        async (actions, dice) => {
          let calm = true;
          const world = makeWorld(NAMES, 2, () => !calm && dice.next().value === 0);
          const nodes = NAMES.map((name) => world.nodes.get(name)).filter((one) => one !== undefined);
          await perform(world.wallet, nodes, { do: 'stage', nodes: [...nodes.keys()], ahead: 0 });
          await settleAll(world.wallet, nodes);
          let seen = '';
          for (const one of actions) {
            calm = false;
            await perform(world.wallet, nodes, one);
            calm = true;
            const now = JSON.stringify(nodes.map(({ disk }) => [disk.statements, disk.state, [...disk.keys.keys()]]));
            if (now === seen) continue;
            seen = now;
            const booted = [...(await bootedEpochs(world.wallet, nodes)).values()];
            expect(booted).toHaveLength(NAMES.length);
            const common = (booted[0] ?? []).filter((number) => booted.every((epochs) => epochs.includes(number)));
            expect(common, `common to ${JSON.stringify(booted)}`).not.toEqual([]);
          }
          await settleAll(world.wallet, nodes);
          const ends = nodes.map(({ disk }) => viewOf(world.wallet, disk.statements).committed);
          expect(new Set(ends).size, 'all at the same epoch').toBe(1);
          moves += [...viewOf(world.wallet, nodes[0]?.disk.statements ?? []).epochs.values()].filter(
            ({ commit }) => commit !== undefined,
          ).length;
        },
      ),
      { numRuns: 6 },
    );
    // A property over worlds in which nothing happens would hold as well: each begins with one committed epoch.
    expect(moves).toBeGreaterThan(6);
  }, 120_000);

  it('commits, acknowledges and retires when nobody crashes', async () => {
    const world = makeWorld(NAMES, 2);
    const nodes = NAMES.map((name) => world.nodes.get(name)).filter((one) => one !== undefined);
    for (let epochs = 0; epochs < 2; epochs += 1) {
      await perform(world.wallet, nodes, { do: 'stage', nodes: [...nodes.keys()], ahead: 0 });
      await settleAll(world.wallet, nodes);
    }
    for (const { disk } of nodes) {
      const view = viewOf(world.wallet, disk.statements);
      expect(view.committed).toBe(2);
      expect(view.epochs.get(1)?.retired.size).toBe(3);
      expect([...disk.keys.keys()]).toEqual([2]);
      expect(disk.envelopes).toHaveLength(1);
      expect(disk.state).toEqual({ committed: 2 });
    }
  });
});

async function settleAll(wallet: Wallet, nodes: readonly WorldNode[]): Promise<void> {
  for (let round = 0; round < 6; round += 1) {
    await perform(wallet, nodes, { do: 'relay', pairs: 511 });
    await perform(wallet, nodes, { do: 'advance', nodes: [...nodes.keys()] });
  }
}

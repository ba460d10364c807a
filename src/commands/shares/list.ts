import { EXIT, QuorateError } from '../../errors.ts';
import { tableLines } from '../../layout.ts';
import { gather, statusOf, type WalletStatus } from '../../shares/relay.ts';
import { defineCommand } from '../command.ts';
import { openStores } from './stores.ts';
import { type SharedRoot, sharedRootLines } from './topology.ts';
import { knownWallet, walletOptions } from './wallet.ts';

interface Line {
  readonly wallet: string;
  readonly threshold: number;
  readonly nodes: readonly string[];
  readonly committed: number;
  readonly next?: number;
  readonly settled: boolean;
  /** Nodes whose store was not reached. */
  readonly away: readonly string[];
  readonly sharedRoot: SharedRoot;
}

/** `quorate shares list`: the wallets of quorate.yaml, and the epoch of each. */
export const command = defineCommand({
  options: walletOptions,
  examples: [{ command: 'quorate shares list', text: 'exit 2 while a store cannot be reached' }],
  async run(context, values) {
    const wallets = Object.keys((await context.config())?.wallets ?? {}).sort();
    if (wallets.length === 0) {
      throw new QuorateError('usage', 'quorate.yaml describes no wallet', { hint: 'Describe it under "wallets:".' });
    }
    const lines: Line[] = [];
    for (const name of wallets) {
      const known = await knownWallet(context, name, values);
      const { reached, shared, close } = await openStores(context, known);
      try {
        const { statements, faults } = await gather(reached);
        const { committed, next, settled } = statusOf(known.wallet, statements);
        const { threshold, nodes } = known.wallet;
        const away = [...faults.keys()];
        const which = { wallet: name, threshold, nodes: [...nodes.keys()].sort() };
        const where = { committed, settled, ...(next === undefined ? {} : { next }) };
        lines.push({ ...which, ...where, away, sharedRoot: shared });
      } finally {
        close();
      }
    }
    context.output.result(lines, () => [
      ...tableLines(lines.map(row), ['wallet', 'nodes', 'threshold', 'epoch', 'state']),
      ...lines.flatMap(({ wallet, sharedRoot }) => sharedRootLines(sharedRoot).map((line) => `${wallet}: ${line}`)),
    ]);
    return lines.every(({ away }) => away.length === 0) ? EXIT.done : EXIT.refused;
  },
});

function row(line: Line): string[] {
  const epoch = line.committed === 0 ? '-' : line.committed.toString();
  return [line.wallet, line.nodes.join(' '), line.threshold.toString(), epoch, stateWords(line)];
}

function stateWords({ away, next, settled, committed }: Line & Pick<WalletStatus, 'settled'>): string {
  const state =
    next !== undefined
      ? `epoch ${next.toString()} is on its way`
      : settled
        ? 'all nodes agree'
        : committed === 0
          ? 'nothing is committed'
          : 'not all nodes have moved';
  return away.length === 0 ? state : `${state}; not reached: ${away.join(', ')}`;
}

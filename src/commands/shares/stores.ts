import type { Context } from '../../context.ts';
import { isQuorateError } from '../../errors.ts';
import type { Reached } from '../../shares/relay.ts';
import { type KnownWallet, openStore } from './wallet.ts';

/** All nodes' stores as an operator reaches them; those that cannot be reached carry their fault. Close them. */
export async function openStores(
  context: Context,
  known: KnownWallet,
): Promise<{ readonly reached: readonly Reached[]; readonly close: () => void }> {
  const closing: (() => void)[] = [];
  const reached = await Promise.all(
    [...known.wallet.nodes.keys()].sort().map(async (node): Promise<Reached> => {
      try {
        const { store, close } = await openStore(context, known, node, 'operator');
        closing.push(close);
        return { node, store };
      } catch (error) {
        if (isQuorateError(error) && error.code !== 'cancelled') return { node, fault: error };
        throw error;
      }
    }),
  );
  return {
    reached,
    close: () => {
      for (const close of closing) close();
    },
  };
}

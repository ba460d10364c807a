import type { Context } from '../../context.ts';
import { isQuorateError } from '../../errors.ts';
import type { Reached } from '../../shares/relay.ts';
import type { SharedRoot } from './topology.ts';
import { type KnownWallet, openStore } from './wallet.ts';

/** All nodes' stores. Close them. */
export interface OpenStores {
  readonly reached: readonly Reached[];
  /** Nodes that share a cluster, by quorate.yaml and by what the clusters say of themselves. */
  readonly shared: SharedRoot;
  readonly close: () => void;
}

/**
 * All nodes' stores as an operator reaches them; those that cannot be reached carry their fault.
 * @throws QuorateError `policy` when nodes turn out to share a cluster, and nobody accepts that.
 */
export async function openStores(context: Context, known: KnownWallet): Promise<OpenStores> {
  const closing: (() => void)[] = [];
  const close = (): void => {
    for (const one of closing) one();
  };
  const ids = new Map<string, string>();
  const reached = await Promise.all(
    [...known.wallet.nodes.keys()].sort().map(async (node): Promise<Reached> => {
      try {
        const opened = await openStore(context, known, node, 'operator');
        closing.push(opened.close);
        if (opened.clusterId !== undefined) ids.set(node, opened.clusterId);
        return { node, store: opened.store };
      } catch (error) {
        if (isQuorateError(error) && error.code !== 'cancelled') return { node, fault: error };
        throw error;
      }
    }),
  );
  try {
    return { reached, shared: known.sharedBy(ids), close };
  } catch (error) {
    close();
    throw error;
  }
}

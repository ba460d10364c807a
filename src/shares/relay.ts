import { type EpochView, type Published, viewOf, type Wallet } from './epochs.ts';
import { unionOf } from './kv-store.ts';
import { allAcknowledged } from './node.ts';
import type { NodeStore } from './ports.ts';

/** One node's store, as an operator reaches it; the fault where it cannot be reached. */
export interface Reached {
  readonly node: string;
  readonly store?: Pick<NodeStore, 'statements' | 'publish' | 'envelopes'>;
  readonly fault?: Error;
}

/** What the stores that were reached know together. */
export interface Gathered {
  readonly statements: readonly Published[];
  /** How many of them each store lacks; undefined for one that was not reached. */
  readonly lacks: ReadonlyMap<string, number | undefined>;
  readonly faults: ReadonlyMap<string, Error>;
}

/** Reads all stores. Nothing secret is in them. */
export async function gather(reached: readonly Reached[]): Promise<Gathered> {
  const faults = new Map<string, Error>();
  const lists = new Map<string, readonly Published[]>();
  await Promise.all(
    reached.map(async ({ node, store, fault }) => {
      if (store === undefined) {
        faults.set(node, fault ?? new Error('not reached'));
        return;
      }
      try {
        lists.set(node, await store.statements());
      } catch (error) {
        faults.set(node, error instanceof Error ? error : new Error('not read'));
      }
    }),
  );
  const statements = unionOf(...lists.values());
  const lacks = new Map(reached.map(({ node }) => [node, missingFrom(lists.get(node), statements)]));
  return { statements, lacks, faults };
}

/** Carries to each store what the others know. @returns what is known, and how many statements were carried. */
export async function relay(reached: readonly Reached[]): Promise<Gathered & { readonly carried: number }> {
  const gathered = await gather(reached);
  const faults = new Map(gathered.faults);
  let carried = 0;
  await Promise.all(
    reached.map(async ({ node, store }) => {
      const lacks = gathered.lacks.get(node) ?? 0;
      if (store === undefined || faults.has(node) || lacks === 0) return;
      try {
        await store.publish(gathered.statements);
        carried += lacks;
      } catch (error) {
        faults.set(node, error instanceof Error ? error : new Error('not written'));
      }
    }),
  );
  return { ...gathered, faults, carried };
}

/** Where a wallet stands, in words for people and programs. */
export interface WalletStatus {
  /** The last epoch with a commit record; 0 for none. */
  readonly committed: number;
  /** Whether every node has acknowledged it, and given up the one before. */
  readonly settled: boolean;
  /** The epoch that is being staged or signed, if there is one. */
  readonly next?: number;
  readonly nodes: readonly {
    readonly node: string;
    readonly staged: readonly number[];
    readonly signed: readonly number[];
    readonly acknowledged: readonly number[];
    readonly retired: readonly number[];
    readonly abandoned: readonly number[];
  }[];
}

/** @throws QuorateError `epoch-conflict`, `statement-invalid`. */
export function statusOf(wallet: Wallet, statements: readonly Published[]): WalletStatus {
  const view = viewOf(wallet, statements);
  const epochs = [...view.epochs.values()].toSorted((a, b) => a.epoch - b.epoch);
  const current = view.epochs.get(view.committed);
  const next = epochs.find(
    ({ epoch, abandoned, staged }) => epoch > view.committed && abandoned.size === 0 && staged.size > 0,
  );
  const where = (has: (epoch: EpochView) => boolean): readonly number[] => epochs.filter(has).map(({ epoch }) => epoch);
  return {
    committed: view.committed,
    settled:
      current !== undefined &&
      allAcknowledged(wallet, current) &&
      next === undefined &&
      allRetired(wallet, epochs, view.committed),
    ...(next === undefined ? {} : { next: next.epoch }),
    nodes: [...wallet.nodes.keys()].sort().map((node) => ({
      node,
      staged: where(({ staged }) => staged.has(node)),
      signed: where(({ votes }) => votes.has(node)),
      acknowledged: where(({ acknowledged }) => acknowledged.has(node)),
      retired: where(({ retired }) => retired.has(node)),
      abandoned: where(({ abandoned }) => abandoned.has(node)),
    })),
  };
}

function allRetired(wallet: Wallet, epochs: readonly EpochView[], committed: number): boolean {
  const before = epochs.filter(({ epoch, commit }) => commit !== undefined && epoch < committed);
  return before.every(({ retired }) => [...wallet.nodes.keys()].every((node) => retired.has(node)));
}

function missingFrom(list: readonly Published[] | undefined, all: readonly Published[]): number | undefined {
  return list === undefined ? undefined : unionOf(list, all).length - unionOf(list).length;
}

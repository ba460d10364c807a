import * as v from 'valibot';
import { QuorateError } from '../errors.ts';
import { hashOf, headerSchema, type Header } from './envelope.ts';
import type { PinnedKey } from './signing.ts';
import {
  epochSchema,
  hashSchema,
  isSignedBy,
  nameSchema,
  readStatement,
  type Signed,
  signedSchema,
  type StatementKind,
} from './statement.ts';

/** "My share of this epoch is stored under this hash, and I can read it." */
export const STAGED = {
  format: 'quorate-staged/1',
  schema: v.strictObject({ header: headerSchema, envelope: hashSchema }),
} as const;

/**
 * The commit record of an epoch: all nodes sign this same text. It exists, and decides, once every node has: a node
 * that signed it for an epoch signs nothing else for that epoch, and a node that abandoned the epoch never signs it.
 */
export const COMMIT = {
  format: 'quorate-commit/1',
  schema: v.strictObject({
    wallet: nameSchema,
    epoch: epochSchema,
    previous: v.pipe(v.number(), v.integer(), v.minValue(0)),
    /** The hashes of all staged envelopes, by node in alphabetical order. */
    staged: v.array(v.strictObject({ node: nameSchema, envelope: hashSchema })),
  }),
} as const;

/** "I have not signed the commit record of this epoch, and never will." */
export const ABANDONED = {
  format: 'quorate-abandoned/1',
  schema: v.strictObject({ wallet: nameSchema, epoch: epochSchema }),
} as const;

/** "I hold the commit record of this epoch, and a share of it that I can read." */
export const ACKNOWLEDGED = {
  format: 'quorate-acknowledged/1',
  schema: v.strictObject({ wallet: nameSchema, epoch: epochSchema, commit: hashSchema }),
} as const;

/** "I have destroyed my private key of this epoch." */
export const RETIRED = {
  format: 'quorate-retired/1',
  schema: v.strictObject({ wallet: nameSchema, epoch: epochSchema }),
} as const;

const KINDS = { staged: STAGED, commit: COMMIT, abandoned: ABANDONED, acknowledged: ACKNOWLEDGED, retired: RETIRED };
export type Kind = keyof typeof KINDS;

/** A signed statement as the stores hold it; every store's list grows towards the union of all. */
export const publishedSchema = v.strictObject({
  kind: v.picklist(['staged', 'commit', 'abandoned', 'acknowledged', 'retired']),
  ...signedSchema.entries,
});
export type Published = v.InferOutput<typeof publishedSchema>;

/** The wallet as it is pinned: who its nodes are, and the threshold of its scheme. */
export interface Wallet {
  readonly name: string;
  readonly threshold: number;
  /** The nodes' signing keys, by name. */
  readonly nodes: ReadonlyMap<string, PinnedKey>;
}

/** What is known of one epoch. */
export interface EpochView {
  readonly epoch: number;
  readonly staged: ReadonlyMap<string, { readonly header: Header; readonly envelope: string }>;
  /** The commit record that each node signed, as text. */
  readonly votes: ReadonlyMap<string, string>;
  readonly abandoned: ReadonlySet<string>;
  readonly acknowledged: ReadonlySet<string>;
  readonly retired: ReadonlySet<string>;
  /** The commit record that all nodes signed, where it exists. */
  readonly commit?: string;
}

export interface WalletView {
  readonly epochs: ReadonlyMap<number, EpochView>;
  /** The last epoch with a commit record; 0 when there is none. */
  readonly committed: number;
  /** How many statements were signed by nobody who is pinned, or are of another wallet. */
  readonly rejected: number;
}

/**
 * What the statements say together. What nobody pinned has signed counts for nothing.
 * @throws QuorateError `epoch-conflict` when a node signed what excludes what it also signed: its key is stolen, or its
 * state was rolled back.
 */
export function viewOf(wallet: Wallet, statements: readonly Published[]): WalletView {
  const epochs = new Map<number, Draft>();
  let rejected = 0;
  for (const one of statements) {
    if (!accept(wallet, one, epochs)) rejected += 1;
  }
  for (const draft of epochs.values()) settle(wallet, draft);
  const committed = Math.max(0, ...[...epochs.values()].filter((one) => one.commit !== undefined).map((e) => e.epoch));
  return { epochs, committed, rejected };
}

/** An epoch of which nothing is known yet. */
export function emptyEpoch(epoch: number): EpochView {
  return newDraft(epoch);
}

/**
 * The commit record that is to be signed, once every node has staged.
 * @returns undefined while a node is missing.
 * @throws QuorateError `epoch-conflict` when the nodes' shares are not of one set: other previous epoch, scheme,
 * threshold or commitment, or one index twice.
 */
export function commitOf(wallet: Wallet, view: EpochView): v.InferOutput<typeof COMMIT.schema> | undefined {
  const names = [...wallet.nodes.keys()].sort();
  const staged = names.map((node) => ({ node, found: view.staged.get(node) }));
  const [first] = staged;
  if (first?.found === undefined) return undefined;
  const set = ({ previous, scheme, threshold, commitment }: Header): string =>
    JSON.stringify([previous, scheme, threshold, commitment]);
  const indices = new Set<number>();
  const envelopes: { node: string; envelope: string }[] = [];
  for (const { node, found } of staged) {
    if (found === undefined) return undefined;
    if (set(found.header) !== set(first.found.header) || found.header.threshold !== wallet.threshold) {
      throw conflict(wallet, view.epoch, `${node} and ${first.node} staged shares of different sets`);
    }
    if (indices.has(found.header.index))
      throw conflict(wallet, view.epoch, `two nodes staged a share of the same index`);
    indices.add(found.header.index);
    envelopes.push({ node, envelope: found.envelope });
  }
  return { wallet: wallet.name, epoch: view.epoch, previous: first.found.header.previous, staged: envelopes };
}

interface Draft extends EpochView {
  readonly staged: Map<string, { header: Header; envelope: string }>;
  readonly votes: Map<string, string>;
  readonly abandoned: Set<string>;
  readonly acknowledged: Set<string>;
  readonly retired: Set<string>;
  /** The hash of the commit record that each acknowledgement names. */
  readonly acknowledges: Map<string, string>;
  commit?: string;
}

function newDraft(epoch: number): Draft {
  return {
    epoch,
    staged: new Map(),
    votes: new Map(),
    abandoned: new Set(),
    acknowledged: new Set(),
    retired: new Set(),
    acknowledges: new Map(),
  };
}

function accept(wallet: Wallet, one: Published, epochs: Map<number, Draft>): boolean {
  const kind: StatementKind<v.GenericSchema> = KINDS[one.kind];
  if (!isSignedBy(kind.format, one, wallet.nodes)) return false;
  const draftOf = (epoch: number): Draft => {
    const draft = epochs.get(epoch) ?? newDraft(epoch);
    epochs.set(epoch, draft);
    return draft;
  };
  const of = (statement: { readonly wallet: string }): boolean => statement.wallet === wallet.name;
  const { node, text } = one as Signed;
  switch (one.kind) {
    case 'staged': {
      const { header, envelope } = readStatement(STAGED, text);
      if (!of(header) || header.node !== node) return false;
      const draft = draftOf(header.epoch);
      const before = draft.staged.get(node);
      if (before !== undefined && before.envelope !== envelope) throw twice(wallet, header.epoch, node);
      draft.staged.set(node, { header, envelope });
      return true;
    }
    case 'commit': {
      const statement = readStatement(COMMIT, text);
      if (!of(statement)) return false;
      const draft = draftOf(statement.epoch);
      const before = draft.votes.get(node);
      if (before !== undefined && before !== text) throw twice(wallet, statement.epoch, node);
      draft.votes.set(node, text);
      return true;
    }
    case 'acknowledged': {
      const statement = readStatement(ACKNOWLEDGED, text);
      if (!of(statement)) return false;
      draftOf(statement.epoch).acknowledges.set(node, statement.commit);
      return true;
    }
    case 'abandoned':
    case 'retired': {
      const statement = readStatement(KINDS[one.kind], text);
      if (!of(statement)) return false;
      draftOf(statement.epoch)[one.kind].add(node);
      return true;
    }
  }
}

function settle(wallet: Wallet, draft: Draft): void {
  for (const node of draft.abandoned) if (draft.votes.has(node)) throw twice(wallet, draft.epoch, node);
  const nodes = [...wallet.nodes.keys()];
  const [text] = draft.votes.values();
  if (text === undefined || !nodes.every((node) => draft.votes.get(node) === text)) return;
  const names = readStatement(COMMIT, text).staged.map(({ node }) => node);
  if (JSON.stringify(names) !== JSON.stringify(nodes.sort())) return; // of another set of nodes
  draft.commit = text;
  const hash = hashOf(text);
  for (const [node, commit] of draft.acknowledges) if (commit === hash) draft.acknowledged.add(node);
}

function twice(wallet: Wallet, epoch: number, node: string): QuorateError {
  return conflict(wallet, epoch, `${node} has signed two statements that exclude each other`);
}

function conflict(wallet: Wallet, epoch: number, what: string): QuorateError {
  return new QuorateError('epoch-conflict', `${wallet.name}, epoch ${epoch.toString()}: ${what}`, {
    hint: 'Nothing was committed by this. Find out which node is wrong, abandon the epoch, and stage a new one.',
  });
}

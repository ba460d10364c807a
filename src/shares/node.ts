import { timingSafeEqual } from 'node:crypto';
import { QuorateError } from '../errors.ts';
import { verifyCommitment } from './commitment.ts';
import { hashOf, type Header, openShare, sealShare, SHARE } from './envelope.ts';
import {
  ABANDONED,
  ACKNOWLEDGED,
  COMMIT,
  commitOf,
  emptyEpoch,
  type EpochView,
  type Kind,
  type Published,
  RETIRED,
  STAGED,
  viewOf,
  type Wallet,
  type WalletView,
} from './epochs.ts';
import type { Node, NodeState } from './ports.ts';
import { isSignedBy, readStatement, type Signed, signStatement, statementText } from './statement.ts';

/**
 * The steps of one node in a move to the next epoch. The invariant that they keep, whatever is lost, killed or repeated:
 * any set of nodes that boots at any moment holds a common epoch that all of them can read, and none starts an epoch
 * for which no commit record exists. It holds because
 *   - a commit record exists only when every node signed the same text, which each does only after it has stored a
 *     share of that epoch and read it back;
 *   - what a node decides for an epoch is on its own disk before anybody can see it, and never changes;
 *   - a node gives up the epoch before only when every node has acknowledged the commit record.
 */

/** What a node is given to stage. */
export interface NewShare {
  readonly share: Uint8Array;
  readonly epoch: number;
  readonly scheme: string;
  readonly index: number;
  readonly commitment: readonly string[];
}

/**
 * Seals, stores and reads back this node's share of an epoch, and says so.
 * Done again with the same share it changes nothing; with another one it is refused.
 * @throws QuorateError `epoch-conflict`, `epoch-stale`, `commitment-mismatch`, `share-invalid`, as the store does.
 */
export async function stage(wallet: Wallet, node: Node, given: NewShare): Promise<void> {
  const state = await stateOf(node);
  const view = viewOf(wallet, await node.store.statements());
  refuseRolledBack(wallet, state, view);
  if (view.committed > state.committed) {
    throw conflict(wallet, given.epoch, `this node has not acknowledged epoch ${view.committed.toString()} yet`);
  }
  if (given.epoch <= state.committed || (state.decided?.epoch ?? 0) > given.epoch) {
    throw conflict(wallet, given.epoch, `the wallet is past it: epoch ${state.committed.toString()} is committed`);
  }
  if (state.decided?.epoch === given.epoch && state.decided.decision === 'abandoned') {
    throw conflict(wallet, given.epoch, 'this node abandoned it; take the next number');
  }
  const header: Omit<Header, 'hash'> = {
    wallet: wallet.name,
    node: node.name,
    epoch: given.epoch,
    previous: state.committed,
    scheme: given.scheme,
    threshold: wallet.threshold,
    index: given.index,
    commitment: [...given.commitment],
  };
  await verifyCommitment(header, given.share);
  if ((await ownEnvelope(wallet, node, given.epoch)) === undefined) {
    const text = await sealShare(given.share, header, await node.keys.make(given.epoch));
    await node.store.addEnvelope(given.epoch, await signStatement(SHARE.format, text, node.name, node.keys.signer));
  }
  const { share, header: stored, hash } = await readOwn(wallet, node, given.epoch);
  try {
    if (!sameBytes(share, given.share) || !sameHeader(stored, header)) {
      throw conflict(wallet, given.epoch, 'this node has staged another share of it already');
    }
  } finally {
    share.fill(0);
  }
  await publish(node, 'staged', statementText(STAGED, { header: stored, envelope: hash }));
}

/** What a node did, or waits for. */
export type Advance =
  | { readonly did: 'signed' | 'acknowledged' | 'retired'; readonly epoch: number }
  | { readonly did: 'nothing'; readonly waitsFor: 'staging' | 'signatures' | 'acknowledgements' | undefined };

/**
 * Takes the node's next step, if there is one: signs the commit record, acknowledges it, or gives up the epoch before.
 * @throws QuorateError `epoch-stale`, `epoch-conflict`, and as the store and the keys do.
 */
export async function advance(wallet: Wallet, node: Node): Promise<Advance> {
  const state = await stateOf(node);
  const view = viewOf(wallet, await node.store.statements());
  refuseRolledBack(wallet, state, view);
  const current = view.epochs.get(view.committed);
  if (current?.commit !== undefined && !current.acknowledged.has(node.name)) {
    await acknowledge(wallet, node, current, state);
    return { did: 'acknowledged', epoch: current.epoch };
  }
  if (current !== undefined && (await retire(wallet, node, current))) {
    return { did: 'retired', epoch: readStatement(COMMIT, current.commit ?? '').previous };
  }
  if (current !== undefined && !allAcknowledged(wallet, current)) {
    return { did: 'nothing', waitsFor: 'acknowledgements' };
  }
  const next = [...view.epochs.values()]
    .filter(({ epoch, abandoned, staged }) => epoch > view.committed && abandoned.size === 0 && staged.has(node.name))
    .toSorted((a, b) => a.epoch - b.epoch)[0];
  if (next === undefined) return { did: 'nothing', waitsFor: undefined };
  const commit = commitOf(wallet, next);
  if (commit === undefined) return { did: 'nothing', waitsFor: 'staging' };
  if (next.votes.has(node.name)) return { did: 'nothing', waitsFor: 'signatures' };
  await signCommit(wallet, node, state, statementText(COMMIT, commit), next.epoch);
  return { did: 'signed', epoch: next.epoch };
}

/**
 * Gives an epoch up, for all nodes: without this node's signature its commit record can never exist.
 * @throws QuorateError `epoch-conflict` when this node has signed the commit record already.
 */
export async function abandon(wallet: Wallet, node: Node, epoch: number): Promise<void> {
  const state = await stateOf(node);
  const decided = state.decided;
  if (epoch <= state.committed || (decided?.epoch === epoch && decided.decision !== 'abandoned')) {
    throw conflict(wallet, epoch, 'this node has signed its commit record, which cannot be taken back');
  }
  if (decided !== undefined && decided.epoch > epoch) throw conflict(wallet, epoch, 'a later epoch is under way');
  await node.state.write({ ...state, decided: { epoch, decision: 'abandoned' } });
  await publish(node, 'abandoned', statementText(ABANDONED, { wallet: wallet.name, epoch }));
}

/**
 * Acknowledges the commit record of `current`, unless this node cannot read its share.
 * The state is written first: from then on an older epoch is refused.
 */
export async function acknowledge(wallet: Wallet, node: Node, current: EpochView, state: NodeState): Promise<void> {
  const { share } = await readOwn(wallet, node, current.epoch, current);
  share.fill(0);
  if (state.committed < current.epoch) await node.state.write({ committed: current.epoch });
  const commit = hashOf(current.commit ?? '');
  await publish(
    node,
    'acknowledged',
    statementText(ACKNOWLEDGED, { wallet: wallet.name, epoch: current.epoch, commit }),
  );
}

/**
 * The node's share of an epoch, out of its store: signed by itself, and the one that the commit record names.
 * @returns the share, which the caller wipes.
 * @throws QuorateError `share-undecryptable`, `statement-invalid`, `epoch-conflict`.
 */
export async function readOwn(
  wallet: Wallet,
  node: Node,
  epoch: number,
  committed?: EpochView,
): Promise<{ readonly share: Uint8Array; readonly header: Header; readonly hash: string }> {
  const envelope = await ownEnvelope(wallet, node, epoch);
  const opener = await node.keys.opener(epoch);
  if (envelope === undefined || opener === undefined) {
    const what = envelope === undefined ? 'share in the store' : 'private key of it';
    throw new QuorateError('share-undecryptable', `${node.name} has no ${what} for epoch ${epoch.toString()}`, {
      hint: 'Do not start the node. Refresh the wallet’s shares from the nodes that are well.',
    });
  }
  const hash = hashOf(envelope.text);
  const named = committed?.commit === undefined ? undefined : readStatement(COMMIT, committed.commit).staged;
  if (named !== undefined && named.find((one) => one.node === node.name)?.envelope !== hash) {
    throw conflict(wallet, epoch, `the stored share of ${node.name} is not the one that was committed`);
  }
  return { share: await openShare(envelope.text, opener), header: readStatement(SHARE, envelope.text).header, hash };
}

/** @throws QuorateError `epoch-stale` when the store knows less than this node: it was rolled back, or cut off. */
export function refuseRolledBack(wallet: Wallet, state: NodeState, view: WalletView): void {
  if (view.committed >= state.committed) return;
  throw new QuorateError(
    'epoch-stale',
    `${wallet.name}: the store knows epoch ${view.committed.toString()}, this node was at ${state.committed.toString()}`,
    {
      hint: 'The store was rolled back. Bring the commit record back (quorate shares refresh), and find out who did it.',
    },
  );
}

async function signCommit(wallet: Wallet, node: Node, state: NodeState, text: string, epoch: number): Promise<void> {
  const decision = hashOf(text);
  const { decided } = state;
  if (decided !== undefined && (decided.epoch > epoch || (decided.epoch === epoch && decided.decision !== decision))) {
    throw conflict(wallet, epoch, 'this node has decided otherwise');
  }
  if (readStatement(COMMIT, text).previous !== state.committed) {
    throw conflict(wallet, epoch, `it follows another epoch than ${state.committed.toString()}, which this node is at`);
  }
  const { share } = await readOwn(wallet, node, epoch);
  share.fill(0);
  await node.state.write({ ...state, decided: { epoch, decision } });
  await publish(node, 'commit', text);
}

/** Destroys what is left of the epoch before `current`, once every node has acknowledged that. */
async function retire(wallet: Wallet, node: Node, current: EpochView): Promise<boolean> {
  if (!allAcknowledged(wallet, current)) return false;
  const { previous } = readStatement(COMMIT, current.commit ?? '');
  if (previous === 0) return false;
  const statements = await node.store.statements();
  if (viewOf(wallet, statements).epochs.get(previous)?.retired.has(node.name) === true) return false;
  await node.keys.destroy(previous);
  await node.store.dropEnvelope(previous);
  await publish(node, 'retired', statementText(RETIRED, { wallet: wallet.name, epoch: previous }));
  return true;
}

/** Whether every node holds the commit record and can read its share of the epoch. */
export function allAcknowledged(wallet: Wallet, epoch: EpochView = emptyEpoch(0)): boolean {
  return [...wallet.nodes.keys()].every((name) => epoch.acknowledged.has(name));
}

async function ownEnvelope(wallet: Wallet, node: Node, epoch: number): Promise<Signed | undefined> {
  for (const one of await node.store.envelopes()) {
    const { header } = readStatement(SHARE, one.text);
    if (header.epoch !== epoch) continue;
    if (one.node === node.name && header.node === node.name && header.wallet === wallet.name) {
      if (isSignedBy(SHARE.format, one, wallet.nodes)) return one;
    }
    throw new QuorateError(
      'statement-invalid',
      `the share of ${node.name} in the store was not signed by ${node.name}`,
      {
        hint: 'Somebody else wrote it. Do not start the node; find out who can write there.',
      },
    );
  }
  return undefined;
}

async function stateOf(node: Node): Promise<NodeState> {
  const state = await node.state.read();
  if (state !== undefined) return state;
  throw new QuorateError(
    'state-missing',
    `${node.name} has no state: it cannot tell whether the store was rolled back`,
    {
      hint: 'On a new node say --first-boot. On an old one find its state file, or bring the other nodes’ acknowledgements.',
    },
  );
}

async function publish(node: Node, kind: Kind, text: string): Promise<void> {
  const { format } = {
    staged: STAGED,
    commit: COMMIT,
    abandoned: ABANDONED,
    acknowledged: ACKNOWLEDGED,
    retired: RETIRED,
  }[kind];
  const signed: Published = { kind, ...(await signStatement(format, text, node.name, node.keys.signer)) };
  await node.store.publish([signed]);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function sameHeader({ hash: _, ...stored }: Header, given: Omit<Header, 'hash'>): boolean {
  return JSON.stringify(stored) === JSON.stringify(given);
}

function conflict(wallet: Wallet, epoch: number, what: string): QuorateError {
  return new QuorateError('epoch-conflict', `${wallet.name}, epoch ${epoch.toString()}: ${what}`, {
    hint: 'quorate shares status shows what each node has stated.',
  });
}

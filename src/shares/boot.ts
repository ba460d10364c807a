import { isQuorateError, QuorateError } from '../errors.ts';
import { type CommitmentCheck, verifyCommitment } from './commitment.ts';
import type { Header } from './envelope.ts';
import { COMMIT, type EpochView, type Published, viewOf, type Wallet, type WalletView } from './epochs.ts';
import { acknowledge, allAcknowledged, readOwn, refuseRolledBack } from './node.ts';
import type { Node, NodeState } from './ports.ts';
import { readStatement } from './statement.ts';

/** One share as it is handed over. The receiver wipes it. */
export interface BootedShare {
  readonly epoch: number;
  readonly header: Header;
  readonly share: Uint8Array;
  readonly commitment: CommitmentCheck;
}

export interface Boot {
  /** The committed epoch first; the one before it too while not every node has acknowledged the move. */
  readonly shares: readonly [BootedShare, ...BootedShare[]];
  /** Why the acknowledgement could not be published; the next boot or `shares refresh` tries again. */
  readonly unacknowledged?: QuorateError;
}

/** What stands in for a node's state where that is missing. */
export interface MissingState {
  /** Believe the store: there was no epoch before that this node could be rolled back to. */
  readonly firstBoot?: boolean;
  /** Statements from the other nodes' stores, not from this one's, which a thief may have rolled back as a whole. */
  readonly elsewhere?: readonly Published[];
}

/**
 * What a node starts with: checks signatures, commit record, epoch and commitment, decrypts, and acknowledges.
 * @throws QuorateError `state-missing`, `epoch-stale`, `epoch-uncommitted`, `epoch-conflict`, `statement-invalid`,
 * `share-undecryptable`, `share-invalid`, `commitment-mismatch`; as the store does while it is read.
 */
export async function bootNode(wallet: Wallet, node: Node, missing: MissingState = {}): Promise<Boot> {
  const view = viewOf(wallet, await node.store.statements());
  const remembered = await node.state.read();
  const state = remembered ?? assumedState(wallet, node.name, view, missing);
  refuseRolledBack(wallet, state, view);
  const current = view.epochs.get(view.committed);
  if (current?.commit === undefined) {
    throw new QuorateError('epoch-uncommitted', `${wallet.name} has no committed epoch yet`, {
      hint: 'Every node stages its share (quorate shares put), then quorate shares refresh brings them together.',
    });
  }
  const shares: [BootedShare, ...BootedShare[]] = [await boot(wallet, node, current)];
  try {
    const { previous } = readStatement(COMMIT, current.commit);
    const before = view.epochs.get(previous);
    if (!allAcknowledged(wallet, current) && before?.commit !== undefined) {
      shares.push(await boot(wallet, node, before));
    }
    // Durable before a share is handed over: from then on an older epoch is refused.
    if (remembered?.committed !== current.epoch) await node.state.write({ committed: current.epoch });
    const unacknowledged = await acknowledgeLate(wallet, node, current);
    return { shares, ...(unacknowledged === undefined ? {} : { unacknowledged }) };
  } catch (error) {
    for (const { share } of shares) share.fill(0);
    throw error;
  }
}

async function boot(wallet: Wallet, node: Node, epoch: EpochView): Promise<BootedShare> {
  const { share, header } = await readOwn(wallet, node, epoch.epoch, epoch);
  try {
    return { epoch: epoch.epoch, header, share, commitment: await verifyCommitment(header, share) };
  } catch (error) {
    share.fill(0);
    throw error;
  }
}

/** The acknowledgement may come later: a store that takes no writes is no reason not to start. */
async function acknowledgeLate(wallet: Wallet, node: Node, current: EpochView): Promise<QuorateError | undefined> {
  if (current.acknowledged.has(node.name)) return undefined;
  try {
    await acknowledge(wallet, node, current, { committed: current.epoch });
    return undefined;
  } catch (error) {
    if (isQuorateError(error)) return error;
    throw error;
  }
}

function assumedState(wallet: Wallet, node: string, view: WalletView, missing: MissingState): NodeState {
  if (missing.firstBoot === true) return { committed: 0 };
  if (missing.elsewhere !== undefined) {
    const seen = viewOf(wallet, missing.elsewhere);
    const others = [...wallet.nodes.keys()].filter((name) => name !== node);
    const known = seen.epochs.get(seen.committed);
    const agreed = known !== undefined && others.every((name) => known.acknowledged.has(name));
    if (agreed && known.commit === view.epochs.get(view.committed)?.commit) return { committed: seen.committed };
    if (agreed && seen.committed > view.committed) return { committed: seen.committed }; // refused as rolled back
  }
  throw new QuorateError('state-missing', `${node} has no state: it cannot tell whether the store was rolled back`, {
    hint:
      'On a new node say --first-boot. On an old one find its state file, or bring the other nodes’ acknowledgements ' +
      '(quorate shares status --export), as long as every one of them has acknowledged the same epoch.',
  });
}

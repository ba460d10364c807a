import type { Published } from './epochs.ts';
import type { Opener } from './hpke.ts';
import type { Signer } from './signing.ts';
import type { Signed } from './statement.ts';

/** A node's own place in the store: its envelopes, and what all nodes of the wallet have stated. */
export interface NodeStore {
  /** The signed envelopes, oldest epoch first. */
  envelopes(): Promise<readonly Signed[]>;
  /**
   * Stores an envelope beside those that are there, by check-and-set; a lost reply is settled by reading back.
   * @throws QuorateError `epoch-conflict` when another envelope of that epoch is stored.
   */
  addEnvelope(epoch: number, envelope: Signed): Promise<void>;
  /** Takes an epoch's envelope out of the current version. */
  dropEnvelope(epoch: number): Promise<void>;
  statements(): Promise<readonly Published[]>;
  /** Adds statements to the list; those that are there already change nothing. Check-and-set, as above. */
  publish(statements: readonly Published[]): Promise<void>;
}

/** What a node must not forget, and what no store can tell it: kept on the node, durable before it is published. */
export interface NodeState {
  /** The last epoch whose commit record this node has seen; 0 for none. */
  readonly committed: number;
  /** What this node decided for the epoch under way. */
  readonly decided?: {
    readonly epoch: number;
    /** SHA-256 of the commit record that it signs, or `abandoned`. */
    readonly decision: string;
  };
}

export interface NodeStateFile {
  /** undefined where there is none. @throws QuorateError `file-invalid` for one that cannot be read. */
  read(): Promise<NodeState | undefined>;
  /** On disk when it returns: the old state or the new one after a crash, never half of either. */
  write(state: NodeState): Promise<void>;
}

/** The node's private keys, in files, credentials or a token. */
export interface NodeKeys {
  readonly signer: Signer;
  /** The public key of an epoch, made when there is none yet. */
  make(epoch: number): Promise<string>;
  /** undefined when there is none (any more). */
  opener(epoch: number): Promise<Opener | undefined>;
  /** Destroys the private key; done already is done. */
  destroy(epoch: number): Promise<void>;
}

/** One node, as the steps of a move work on it. */
export interface Node {
  readonly name: string;
  readonly store: NodeStore;
  readonly state: NodeStateFile;
  readonly keys: NodeKeys;
}

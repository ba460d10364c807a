import type { NodeRef } from '../topology.ts';
import type { Power } from './targets.ts';

/** What breaks the separation. Codes are a public contract: never renamed or reused. */
export type BreachCode = 'read-threshold' | 'destroy-threshold' | 'shared-cluster' | 'custodians-overlap';

/** What keeps a proof from being one: somebody has to look, or to read more. */
export type DoubtCode =
  | 'export-missing'
  | 'export-partial'
  | 'export-unsigned'
  | 'namespace-missing'
  | 'mount-missing'
  | 'policy-strange'
  | 'custodians-unknown'
  | 'custodians-mismatch'
  | 'engines-disagree';

/** What is shown, and breaks nothing. */
export type NoteCode = 'shared-root-accepted' | 'no-spare' | 'root-token' | 'sudo' | 'signature-unchecked';

/** A link of the chain to a share, for people and programs. */
export interface ShownStep {
  readonly text: string;
  readonly policy?: string;
  readonly rule?: string;
  readonly line?: number;
}

export interface ShownWay {
  readonly cluster: string;
  readonly principal: string;
  readonly node: string;
  readonly power: Power;
  readonly steps: readonly ShownStep[];
}

export interface Breach {
  readonly code: BreachCode;
  readonly wallet?: string;
  readonly who: string;
  /** One sentence. */
  readonly what: string;
  readonly nodes: readonly NodeRef[];
  /** For each node, one way there. */
  readonly ways: readonly ShownWay[];
  readonly mend: string;
}

export interface Doubt {
  readonly code: DoubtCode;
  readonly cluster: string;
  readonly what: string;
  readonly mend: string;
}

export interface Note {
  readonly code: NoteCode;
  readonly cluster?: string;
  readonly what: string;
}

/** A line of the table: what somebody can do to each node's share. */
export interface Row {
  readonly who: string;
  readonly clusters: readonly string[];
  readonly breach: boolean;
  readonly reach: readonly (NodeRef & { readonly powers: readonly Power[]; readonly direct: boolean })[];
}

export interface Proof {
  readonly breaches: readonly Breach[];
  readonly doubts: readonly Doubt[];
  readonly notes: readonly Note[];
  readonly rows: readonly Row[];
  /** How many were looked at. */
  readonly principals: number;
}

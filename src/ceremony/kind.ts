import type { ErrorCode } from '../errors.ts';
import type { Policy } from '../config.ts';
import type { Peer, Session } from '../vault/peer.ts';
import type { Apart } from './apart/apart.ts';
import type { CeremonyTools } from './tools.ts';
import type { People } from './people.ts';
import type { RecordEvent, RecordLine } from './record/events.ts';
import type { CommonScript } from './script.ts';
import type { ScriptKeys } from './keys.ts';
import type { Roster } from './roster/schema.ts';

/** One thing that was looked at before anybody acts. A finding that is not `ok` stops the ceremony unless accepted. */
export interface Finding {
  readonly code: string;
  readonly ok: boolean;
  readonly finding: string;
  readonly mend?: string;
  /** A code that says more than `preflight-failed`, where it is what stops the ceremony; others follow from it. */
  readonly error?: ErrorCode;
}

export interface Cluster {
  /** As quorate.yaml calls it; in a namespace with that behind it: `prod-eu/team/a`. */
  readonly name: string;
  /** The servers, or what they are in the namespace. */
  readonly peers: readonly Peer[];
  /** The namespace with a seal of its own in which the ceremony works. */
  readonly namespace?: string;
  /** The namespace in which quorate.yaml has people log in, from the root on; the root where there is none. */
  readonly home?: string;
  /** The namespaces with seals of their own that quorate.yaml names. */
  readonly namespaces?: readonly string[];
}

/** A login of the administrator, and what the server says of its token. */
export interface PeerLogin {
  readonly session: Session;
  /** Undefined for tokens that have none (batch tokens). */
  readonly accessor: string | undefined;
  readonly policies: readonly string[];
}

/** What a step runs with. Kinds know nothing of terminals, files outside the folder, or other programs. */
export interface Run {
  readonly cluster: Cluster;
  readonly people: People;
  /** The way to custodians who take part from their own machines; without one all are in the room. */
  readonly apart?: Apart;
  readonly policy: Policy;
  readonly tools: CeremonyTools;
  /** The ceremony's folder; all outputs go there. */
  readonly folder: string;
  /** What files that the script names are relative to. */
  readonly scriptFolder: string;
  /** Who holds which share now, where a roster is kept. */
  readonly roster?: Roster;
  /** Rosters of other clusters, so that their shares are called by their name. */
  readonly otherRosters?: readonly Roster[];
  /** The record so far, and one more event for it, on disk when this resolves. `step` is filled in. */
  readonly events: readonly RecordLine[];
  record(event: RecordEvent): Promise<void>;
  readonly signal: AbortSignal;
  /** Logs in on a peer as quorate.yaml says; the caller closes the session. @throws QuorateError `token-missing`, `denied`. */
  login(peer: Peer): Promise<PeerLogin>;
  /** The same cluster in a namespace with a seal of its own, and who holds the shares of that. */
  enter?(namespace: string): Promise<Pick<Run, 'cluster' | 'login' | 'roster' | 'otherRosters'>>;
}

/** What a preflight looks with. */
export type PreflightRun = Pick<
  Run,
  'cluster' | 'policy' | 'tools' | 'signal' | 'login' | 'roster' | 'enter' | 'apart' | 'scriptFolder'
>;

/** A numbered step of the printed script. `check` prints the list, `run` executes it, `resume` asks `done`. */
export interface Step {
  readonly id: string;
  readonly title: string;
  readonly who: string;
  /** Whether the servers (and the outputs on disk) say that nothing is left to do here. Changes nothing. */
  done(run: Run): Promise<boolean>;
  run(run: Run): Promise<void>;
}

/** A kind of ceremony, for scripts of type `S`. */
export interface Kind<S extends CommonScript = CommonScript> {
  readonly name: string;
  readonly summary: string;
  /** Checks that a schema cannot express; every fault at once. */
  faults(script: S): readonly string[];
  /** Reads the live cluster and the keys; changes nothing. */
  preflight(script: S, run: PreflightRun, keys: ScriptKeys): Promise<readonly Finding[]>;
  steps(script: S, keys: ScriptKeys): readonly Step[];
}

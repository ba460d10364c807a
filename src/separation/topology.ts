/** Where the shares of wallets are, and who opens the seals before them: what a proof is about. */
export interface Topology {
  readonly wallets: readonly TopologyWallet[];
  readonly custodians: readonly Custodians[];
}

export interface TopologyWallet {
  readonly name: string;
  readonly threshold: number;
  /** Two nodes may keep their shares on one cluster: shown, and no breach. */
  readonly acceptSharedRoot: boolean;
  readonly nodes: readonly TopologyNode[];
}

export interface TopologyNode {
  readonly name: string;
  /** As `quorate.yaml` calls it, and exports with it. */
  readonly cluster: string;
  /** `team/a/`, empty for the root. */
  readonly namespace: string;
  readonly mount: string;
  /** The node's own login, where it is described: it is nobody else's, whatever it is called. */
  readonly login?: { readonly mount: string; readonly role: string };
}

/** Who holds the shares of one seal. */
export interface Custodians {
  readonly cluster: string;
  /** Of a namespace with a seal of its own; empty for the cluster's. */
  readonly namespace: string;
  readonly clusterId?: string;
  readonly threshold: number;
  readonly holders: readonly { readonly name: string; readonly keys: readonly string[] }[];
}

/** Which node of which wallet. */
export interface NodeRef {
  readonly wallet: string;
  readonly node: string;
}

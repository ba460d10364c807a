/** What a unit file or a manifest is filled in with for one node of a wallet. Nothing secret is in it. */
export interface NodeDeployment {
  readonly wallet: string;
  readonly node: string;
  readonly threshold: number;
  /** Every node's pinned signing key, by name. */
  readonly signingKeys: ReadonlyMap<string, string>;
  readonly address: string;
  readonly mount: string;
  readonly namespace?: string;
  readonly clusterId?: string;
  /** The node's program and its arguments. */
  readonly program: readonly string[];
  /** How long it waits for its server, in seconds. */
  readonly wait: number;
}

/** What `quorate node boot` reads from its environment, but for how it logs in. */
export function nodeEnvironment(deployment: NodeDeployment): Readonly<Record<string, string>> {
  const { node, threshold, signingKeys, address, mount, namespace, clusterId } = deployment;
  return {
    QUORATE_NODE_NAME: node,
    QUORATE_THRESHOLD: threshold.toString(),
    QUORATE_SIGNING_KEYS: [...signingKeys].map(([name, key]) => `${name}=${key}`).join(' '),
    QUORATE_MOUNT: mount,
    ...(clusterId === undefined ? {} : { QUORATE_CLUSTER_ID: clusterId }),
    BAO_ADDR: address,
    ...(namespace === undefined ? {} : { BAO_NAMESPACE: namespace }),
  };
}

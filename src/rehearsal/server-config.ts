import type { Flavour } from '../vault/flavour.ts';

export interface PeerPlace {
  readonly name: string;
  readonly port: number;
  readonly clusterPort: number;
}

export interface ServerConfigOptions {
  readonly flavour: Flavour;
  /** An audit device from the start (OpenBao; HashiCorp Vault takes audit devices by API only). */
  readonly audit: boolean;
  /** HCL put at the top level (`extra`, `seal`), and inside the listener stanza (`listener`). */
  readonly seal: string;
  readonly extra: string;
  readonly listener: string;
}

/** Names of files in a peer's own folder, which is its server's working directory. */
export const PEER_FILES = {
  config: 'server.hcl',
  certificate: 'tls.crt',
  key: 'tls.key',
  data: 'data',
  log: 'server.log',
  audit: 'audit.log',
} as const;

/**
 * The configuration of one peer. Paths are relative to the peer's folder, so that the audit stanza is the same text on
 * all peers: OpenBao's standbys refuse to serve when theirs differs from the active node's (observed on 2.7.2).
 * The autopilot settings make a peer a voter seconds after it joined (`autopilot_*` in the raft stanza: both servers).
 */
export function serverConfig(own: PeerPlace, all: readonly PeerPlace[], options: ServerConfigOptions): string {
  const others = all.filter((peer) => peer.name !== own.name);
  return `cluster_name = "rehearsal"
api_addr = "https://127.0.0.1:${own.port.toString()}"
cluster_addr = "https://127.0.0.1:${own.clusterPort.toString()}"
log_level = "info"
${options.flavour === 'vault' ? 'disable_mlock = true\n' : ''}
listener "tcp" {
  address = "127.0.0.1:${own.port.toString()}"
  cluster_address = "127.0.0.1:${own.clusterPort.toString()}"
  tls_cert_file = "${PEER_FILES.certificate}"
  tls_key_file = "${PEER_FILES.key}"
  ${options.listener}
}

storage "raft" {
  path = "${PEER_FILES.data}"
  node_id = "${own.name}"
  performance_multiplier = "1"
  autopilot_reconcile_interval = "1s"
  autopilot_update_interval = "500ms"
${others.map(retryJoin).join('')}}
${options.audit && options.flavour === 'openbao' ? audit() : ''}
${options.seal}
${options.extra}
`;
}

function retryJoin(peer: PeerPlace): string {
  return `  retry_join {
    leader_api_addr = "https://127.0.0.1:${peer.port.toString()}"
    leader_ca_cert_file = "../ca.pem"
  }
`;
}

function audit(): string {
  return `
audit "file" "main" {
  options {
    file_path = "${PEER_FILES.audit}"
  }
}
`;
}

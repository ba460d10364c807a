import type { Secret } from '../secret.ts';
import type { Flavour, Purpose } from './flavour.ts';

/** What a call may be told beside its arguments. */
export interface CallOptions {
  /** Milliseconds until the call is given up (default: the client's). The server may still act on it. */
  readonly timeout?: number;
  /** Cancels the call; it then throws QuorateError `cancelled`. */
  readonly signal?: AbortSignal;
  /** Has the answer wrapped: it comes as a token, good for one opening within so many seconds. */
  readonly wrapTtl?: number;
  /** Query parameters, encoded by the client. */
  readonly query?: Readonly<Record<string, string>>;
  /**
   * Whether sending it twice does no harm; then it is sent again when a connection breaks. Default: GET and LIST may be,
   * nothing else. A GET that makes something (a database credential) may not.
   */
  readonly repeatable?: boolean;
  /** Called right before the first byte goes out: without it, the server has not seen the request. */
  readonly onSent?: () => void;
}

/** `sys/seal-status`, which an unsealed, a sealed and an uninitialised server all answer without a token. */
export interface SealStatus {
  readonly flavour: Flavour;
  readonly version: string;
  /** `shamir`, or the name of the auto-unseal seal. */
  readonly type: string;
  readonly initialised: boolean;
  readonly sealed: boolean;
  /** Key shares in all and needed, as this peer last cached them (0 before init). */
  readonly shares: number;
  readonly threshold: number;
  /** Shares given in the unseal attempt under way, and its id (empty when none is). */
  readonly progress: number;
  readonly nonce: string;
  readonly migration: boolean;
  readonly recoverySeal: boolean;
  readonly storageType: string;
  /** Only while unsealed. */
  readonly clusterName?: string;
  readonly clusterId?: string;
}

export interface Health {
  /** The HTTP status: 200 active, 429 standby, 501 not initialised, 503 sealed, others as the server documents. */
  readonly status: number;
  readonly initialised: boolean;
  readonly sealed: boolean;
  readonly standby: boolean;
  /** The server's clock, milliseconds since 1970 UTC (whole seconds), and the local clock at half of the round trip. */
  readonly serverTime: number;
  readonly localTime: number;
}

export interface Leader {
  readonly haEnabled: boolean;
  /** It leads, and serves as the leader. */
  readonly isSelf: boolean;
  /** Absent while there is no leader. */
  readonly leaderAddress?: string;
  /** When this peer became active (RFC 3339); a new value is a new leadership. Absent on standbys. */
  readonly activeTime?: string;
  readonly appliedIndex?: number;
  readonly committedIndex?: number;
}

export interface InitRequest {
  readonly shares: number;
  readonly threshold: number;
  /** Base64 of binary OpenPGP public keys, one a share, in order. Without them the server answers in clear. */
  readonly pgpKeys?: readonly string[];
  readonly rootTokenPgpKey?: string;
  /** Auto-unseal seals issue recovery shares instead of unseal shares; the fields above then mean these. */
  readonly recovery: boolean;
}

/** The reply to init, as the server sent it. It is the only copy there will ever be. */
export interface InitReply {
  /**
   * The body's bytes, to be put on disk before anything else happens. With PGP keys it holds ciphertext only.
   * Should the server answer in an unknown shape, this is still what it sent, `shares` is empty and `rootToken` too.
   */
  readonly raw: Secret;
  /** Base64, one a share: an OpenPGP message, or with `pgpKeys` absent the share itself. */
  readonly shares: readonly Secret[];
  /** Base64 of an OpenPGP message, or the root token itself. */
  readonly rootToken: Secret;
}

/**
 * A reply to a request that needs no type of its own. Any HTTP status; `body` is parsed JSON or null.
 * Whole numbers beyond 2^53 in it are strings of their digits.
 */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
  /** The server's own error lines, shortened, with what looks like a token or share struck out. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/** Bytes that may be too many for memory. `size` is what the server is told; other than so many is a fault. */
export interface UploadSource {
  readonly size: number;
  chunks(): AsyncIterable<Uint8Array>;
}

/** What came of a download, or was sent by an upload. */
export interface Download {
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

export type Method = 'GET' | 'LIST' | 'POST' | 'PUT' | 'DELETE' | 'PATCH';

/**
 * A login on one server. Paths are API paths without `/v1/` and without a leading slash; each segment is
 * percent-encoded by the client; segments `.` and `..` and empty ones are refused (`usage`), so nothing in a name
 * changes what is called. A body may hold a `Secret` anywhere: it is sent as a JSON string.
 * A sealed server or namespace throws `sealed`.
 */
export interface Session {
  readonly peer: Peer;
  /** Sends one request with the session's token. Resolves for every HTTP status; throws when there was no reply. */
  request(method: Method, path: string, body?: unknown, options?: CallOptions): Promise<Reply>;
  /** `.data` of a GET; throws `denied` (403), `server-error` otherwise. `null` for 404. */
  read(path: string, options?: CallOptions): Promise<unknown>;
  /** The keys below a path (GET with `list=true`), empty for 404. */
  list(path: string, options?: CallOptions): Promise<readonly string[]>;
  /** POST: `.data` of the reply or null (204); throws `denied` or `server-error`. */
  write(path: string, body: unknown, options?: CallOptions): Promise<unknown>;
  delete(path: string, options?: CallOptions): Promise<void>;
  /**
   * GET of something that is no JSON and may be large (a snapshot), piece by piece into `sink`, which must keep no
   * piece. Sent once, with an hour's time where `options` name none. Whatever `sink` throws ends it.
   * @throws `denied`, `server-error`; `server-unreachable` when the reply was cut off.
   */
  download(path: string, sink: (chunk: Uint8Array) => Promise<void>, options?: CallOptions): Promise<Download>;
  /**
   * POST of something that is no JSON and may be large (a snapshot), piece by piece. Sent once, with an hour's time
   * where `options` name none. Whatever `source` throws ends it.
   * @returns the hash and size of what was sent, once the server has taken it.
   * @throws `denied`, `server-error`; `file-invalid` when `source` has not `size` bytes. Without a reply nobody knows
   *   whether it was taken.
   */
  upload(path: string, source: UploadSource, options?: CallOptions): Promise<Download>;
  /**
   * The same login in another namespace, named from the root; `''` is the root itself, where Raft, health, audit and the
   * ceremony lock are (OpenBao, or Vault Enterprise; elsewhere its requests
   * throw `server-unsupported`). It shares the token: closing one session closes the other.
   */
  inNamespace(namespace: string): Session;
  /** The same login on another server of the same cluster. It has a copy of the token: close both. */
  at(peer: Peer): Session;
  /** Wipes the token held here; it does not revoke it on the server. */
  close(): void;
}

/**
 * One server of a cluster, spoken to directly and never through a load balancer.
 * All methods throw QuorateError: `server-unreachable`, `server-timeout`, `server-identity` (TLS or pin),
 * `server-redirect`, `server-response` (not what this API answers), `cancelled`; more where said.
 * Reads are retried on connection faults; nothing that gives a share or initialises ever is.
 */
export interface Peer {
  readonly name: string;
  readonly address: string;
  /** Whose seal it speaks of: empty for the server's own, else a namespace from the root on (`enterNamespace`). */
  readonly namespace: string;
  /** Where that seal is made, is closed, and takes shares: API paths from the root. */
  readonly initPath: string;
  readonly sealPath: string;
  readonly unsealPath: string;
  /** SHA-256 of the peer's leaf certificate (hex), once a TLS connection has been made. */
  readonly certificate: string | undefined;
  sealStatus(options?: CallOptions): Promise<SealStatus>;
  health(options?: CallOptions): Promise<Health>;
  /** @throws `sealed` while sealed. */
  leader(options?: CallOptions): Promise<Leader>;
  /**
   * `sys/init`. Sent once. @throws `already-initialised`; `server-error` when the server refused;
   * `init-reply-lost` when the request left and no whole reply came: the server may be initialised.
   */
  initialise(request: InitRequest, options?: CallOptions): Promise<InitReply>;
  /**
   * Gives one share (its hexadecimal or base64 text's bytes). Sent once, never retried: after a fault read `sealStatus`.
   * @throws `shares-wrong` when the share completed the threshold and the set did not open the seal (progress is 0 again);
   * `share-invalid` when the server refused it as no share (nothing counted); `not-initialised`; `server-error`.
   */
  unseal(share: Secret, options?: CallOptions & { readonly migrate?: boolean }): Promise<SealStatus>;
  /** Drops the shares given so far. */
  resetUnseal(options?: CallOptions): Promise<SealStatus>;
  /** The path that serves `purpose` on this flavour. @throws `server-unsupported` when none does. */
  endpoint(purpose: Purpose): Promise<string>;
  /** A session with a token that the caller has; the token is copied. Without one, requests go without. */
  session(token?: Secret): Session;
  /** Ends idle connections. */
  close(): void;
}

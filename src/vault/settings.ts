/** How to reach one peer, and how to know that it is the right one. Files are named, not held. */
export interface PeerSettings {
  /** What people call the peer; it appears in every message about it. */
  readonly name: string;
  /** `https://host[:port]`, `http://host[:port]`, `unix:///path`; without a scheme https is meant. */
  readonly address: string;
  /** A PEM file, or a folder of PEM files, that replaces the system's certificate authorities. */
  readonly ca?: string;
  /**
   * SHA-256 of the peer's leaf certificate (DER) in hexadecimal; `sha256:` before it, colons and case do not
   * matter. Without `ca` the pin replaces the check of authority, host name and dates; with `ca` both must hold.
   */
  readonly pin?: string;
  /** The name that the certificate must carry and that is asked for (SNI), where it is not the address's host. */
  readonly serverName?: string;
  /** PEM files for mutual TLS; the key's file must be its owner's alone (mode 0600). */
  readonly clientCertificate?: string;
  readonly clientKey?: string;
  /** The namespace that sessions start in (OpenBao). */
  readonly namespace?: string;
  /** Milliseconds until a call is given up, all its tries together. Default 60,000. */
  readonly timeout?: number;
}

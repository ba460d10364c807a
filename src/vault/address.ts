import { isIP } from 'node:net';
import { QuorateError } from '../errors.ts';

/** Where a peer listens. `base` is what every request's path starts with (empty, or `/prefix`). */
export interface Address {
  readonly kind: 'https' | 'http' | 'unix';
  readonly host: string;
  readonly port: number;
  /** Only for `unix`. */
  readonly socket: string;
  /** The Host header. */
  readonly authority: string;
  /** Scheme and authority, to compare redirects with. */
  readonly origin: string;
  readonly base: string;
}

const LONGEST_SOCKET_PATH = 107;

/**
 * Reads an address. Without a scheme it is https, as for the servers' own command lines.
 * @throws QuorateError `usage` for what is no address, or one that holds a user, a query or a fragment.
 */
export function parseAddress(text: string): Address {
  if (text.startsWith('unix://')) return unixAddress(text.slice('unix://'.length));
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.hostname === '') {
    throw bad('is none of https://host:port, http://host:port and unix:///path');
  }
  if (url.username !== '' || url.password !== '') throw bad('holds a user name or password');
  if (url.search !== '' || url.hash !== '') throw bad('holds a query or a fragment');
  const secure = url.protocol === 'https:';
  return {
    kind: secure ? 'https' : 'http',
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    socket: '',
    authority: url.host,
    origin: url.origin,
    base: url.pathname.replace(/\/+$/, ''),
  };
}

/** Whether `host` is an IP address, for which TLS sends no server name. */
export function isAddressLiteral(host: string): boolean {
  return isIP(host) !== 0;
}

function unixAddress(path: string): Address {
  if (!path.startsWith('/') || path.includes('\0')) throw bad('names no absolute path after unix://');
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) throw bad('names a socket path of more than 107 bytes');
  return {
    kind: 'unix',
    host: 'localhost',
    port: 0,
    socket: path,
    authority: 'localhost',
    origin: 'http://localhost',
    base: '',
  };
}

// The address itself is not repeated: one with a password in it must not reach a screen.
function bad(what: string): QuorateError {
  return new QuorateError('usage', `the server's address ${what}`, {
    hint: 'Write it like https://vault-1.example:8200.',
  });
}

import { Agent, type ClientRequestArgs } from 'node:http';
import { connect as connectPlain, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Address } from './address.ts';
import { QuorateError } from '../errors.ts';
import { leafFingerprint, openTls, refusal, type TlsIdentity } from './tls.ts';

/** An idle connection is dropped after this, so that a request seldom meets one the server has just closed. */
const IDLE = 15_000;
/** As many as a process that asks for many nodes or jobs at once has use for; a command has one or two. */
const MOST_IDLE = 32;

/**
 * A request option of ours: ends a connection that is still being made. Node's own `signal` does not reach an agent,
 * and its request would wait for the connection before it ends.
 */
export interface Abandonable {
  readonly abandon?: AbortSignal;
}

type Created = (error: Error | null, socket: Duplex) => void;

export interface ConnectionSettings {
  /** The peer's name, for messages. */
  readonly name: string;
  readonly address: Address;
  /** Needed for https. */
  readonly identity: TlsIdentity | undefined;
  /** Milliseconds for TCP and TLS together. */
  readonly timeout: number;
  /** Told the leaf certificate's SHA-256 of each TLS connection that may be used. */
  readonly onCertificate: (fingerprint: string) => void;
}

/**
 * Keep-alive connections to one peer and nowhere else: whatever a request says, its host and port are the peer's.
 * A connection is handed out only after TLS, authority and pin are settled, so that no byte of a request leaves
 * before. Proxy variables (HTTP_PROXY, HTTPS_PROXY, NODE_USE_ENV_PROXY, BAO_PROXY_ADDR) mean nothing here.
 */
export class PeerAgent extends Agent {
  readonly #settings: ConnectionSettings;

  constructor(settings: ConnectionSettings) {
    super({ keepAlive: true, maxFreeSockets: MOST_IDLE, timeout: IDLE });
    this.#settings = settings;
  }

  override createConnection(options: ClientRequestArgs & Abandonable, created?: Created): undefined {
    this.#open(options.abandon).then(
      (socket) => created?.(null, socket),
      // Node's own type wants a socket with an error too; its code does not look at it.
      (error: unknown) => created?.(error as Error, undefined as unknown as Duplex),
    );
    return undefined;
  }

  #open(signal: AbortSignal | undefined): Promise<Socket> {
    const { address, identity, name, timeout, onCertificate } = this.#settings;
    return new Promise((resolve, reject) => {
      const socket = start(address, identity);
      const settle = (error?: QuorateError): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        socket.off('error', onError).off('close', onClose);
        // Until the request listens itself, and after a refusal, an error must not end the process.
        socket.on('error', () => undefined);
        if (error === undefined) {
          resolve(socket);
        } else {
          socket.destroy();
          reject(error);
        }
      };
      const onAbort = (): void => {
        settle(new QuorateError('cancelled', `connecting to ${name} was cancelled`));
      };
      const onError = (error: Error): void => {
        settle(connectionError(name, error));
      };
      const onClose = (): void => {
        settle(new QuorateError('server-unreachable', `${name} closed the connection`, UNREACHABLE));
      };
      const timer = setTimeout(() => {
        settle(new QuorateError('server-timeout', `${name} did not take the connection in time`, UNREACHABLE));
      }, timeout);
      signal?.addEventListener('abort', onAbort);
      socket.on('error', onError).on('close', onClose);
      socket.once(identity === undefined ? 'connect' : 'secureConnect', () => {
        socket.setNoDelay(true);
        if (identity === undefined) {
          settle();
          return;
        }
        const reason = socket instanceof TLSSocket ? refusal(socket, identity) : 'the connection is not TLS';
        const fingerprint = socket instanceof TLSSocket ? leafFingerprint(socket) : undefined;
        if (reason === undefined && fingerprint !== undefined) onCertificate(fingerprint);
        settle(reason === undefined ? undefined : identityError(name, reason));
      });
      if (signal?.aborted === true) onAbort();
    });
  }
}

const UNREACHABLE = { hint: 'Is the server running, and is the address right?' };

/** What a fault of the network or of TLS means, in a fresh error that carries nothing of the old one. */
export function connectionError(name: string, error: unknown): QuorateError {
  if (error instanceof QuorateError) return error;
  const code = ((error as NodeJS.ErrnoException).code ?? 'UNKNOWN').replace(/[^A-Z0-9_]/g, '');
  switch (code) {
    case 'ECONNREFUSED':
      return new QuorateError('server-unreachable', `${name} refused the connection`, UNREACHABLE);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new QuorateError('server-unreachable', `the host of ${name} was not found`, UNREACHABLE);
    case 'ETIMEDOUT':
      return new QuorateError('server-timeout', `${name} did not answer in time`, UNREACHABLE);
  }
  if (code.startsWith('HPE_')) {
    return new QuorateError('server-response', `${name} does not speak HTTP (${code})`, {
      hint: 'Is the address that of an OpenBao or HashiCorp Vault server, and is it https there?',
    });
  }
  return isTlsCode(code)
    ? identityError(name, `TLS failed (${code})`)
    : new QuorateError('server-unreachable', `the connection to ${name} failed (${code})`, UNREACHABLE);
}

// Node's TLS codes are OpenSSL's verification names (CERT_HAS_EXPIRED, DEPTH_ZERO_SELF_SIGNED_CERT...), ERR_TLS_*,
// ERR_SSL_*, and EPROTO where the other side does not speak TLS; system calls and the HTTP parser have E..., HPE_....
function isTlsCode(code: string): boolean {
  return /CERT|^ERR_(TLS|SSL)|^EPROTO$|SIGNATURE|ISSUER|CRL|CHAIN|HOSTNAME_MISMATCH/.test(code);
}

function identityError(name: string, reason: string): QuorateError {
  return new QuorateError('server-identity', `${name} is not proved to be the right server: ${reason}`, {
    hint: 'Give the CA that issued its certificate, or pin the certificate; and ask whether somebody is in between.',
  });
}

function start(address: Address, identity: TlsIdentity | undefined): Socket {
  if (address.kind === 'unix') return connectPlain({ path: address.socket });
  if (address.kind === 'http') return connectPlain({ host: address.host, port: address.port });
  if (identity === undefined) throw new QuorateError('bug', 'a TLS connection without its settings');
  return openTls(address, identity);
}

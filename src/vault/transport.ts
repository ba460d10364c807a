import { type ClientRequest, type IncomingMessage, request as httpRequest, type RequestOptions } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { type Address, parseAddress } from './address.ts';
import { type Abandonable, connectionError, PeerAgent } from './connection.ts';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { UploadSource } from './peer.ts';
import type { PeerSettings } from './settings.ts';
import { loadIdentity } from './tls.ts';
import { sendSource } from './upload.ts';

export interface TransportRequest {
  readonly method: string;
  /** What follows the origin: `/v1/sys/health?a=b`, encoded already. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as it is; the caller wipes it when the promise has settled. */
  readonly body?: Uint8Array;
  /** Sent piece by piece in place of `body`, with its size as Content-Length. Never with `repeatable`. */
  readonly source?: UploadSource;
  /** Whether sending it twice does no harm. Only then a broken connection is tried again, or a redirect followed. */
  readonly repeatable: boolean;
  /** Milliseconds for everything: connecting, both tries, a redirect, the whole reply. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  /** Called right before the first byte goes out on a connection that is proved. */
  readonly onSent?: () => void;
  /** Takes the body of a success piece by piece, however large; the reply's `body` is then empty. Never with `repeatable`. */
  readonly sink?: (chunk: Uint8Array) => Promise<void>;
}

export interface TransportReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The caller wipes it. */
  readonly body: Uint8Array;
  /** Local clock, milliseconds: when the request left, when the reply's head came. */
  readonly sentAt: number;
  readonly receivedAt: number;
}

const TIMEOUT = 60_000;
const CONNECT_TIMEOUT = 10_000;
const LARGEST_REPLY = 32 << 20;
const TRIES = 2;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * HTTP to one peer. Every fault is a fresh QuorateError: `server-unreachable`, `server-timeout`, `server-identity`,
 * `server-redirect`, `server-response` (too large, no HTTP), `cancelled`; before the first connection also what
 * `loadIdentity` throws. Any HTTP status but a redirect is a reply.
 *
 * A redirect is followed once, only for a repeatable request, and only within the peer's own origin: a token never
 * goes to another server, nor from https to http. Proxies are never used (see PeerAgent).
 *
 * NODE_DEBUG=http prints headers from inside Node, which no code can prevent: the launcher clears that variable.
 */
export class Transport {
  readonly address: Address;
  readonly #settings: PeerSettings;
  #agent: Promise<PeerAgent> | undefined;
  #certificate: string | undefined;

  /** @throws QuorateError `usage` for a bad address. Files are read at the first request. */
  constructor(settings: PeerSettings) {
    this.#settings = settings;
    this.address = parseAddress(settings.address);
  }

  /** SHA-256 of the leaf certificate of the newest connection. */
  get certificate(): string | undefined {
    return this.#certificate;
  }

  async request(request: TransportRequest): Promise<TransportReply> {
    const { name } = this.#settings;
    const controller = new AbortController();
    const stop = (error: QuorateError): void => {
      controller.abort(error);
    };
    const onAbort = (): void => {
      stop(new QuorateError('cancelled', `the call to ${name} was cancelled`));
    };
    const timer = setTimeout(
      () => {
        stop(
          new QuorateError('server-timeout', `${name} did not answer in time`, {
            hint: 'It may still have done what was asked: look at its state before trying again.',
          }),
        );
      },
      request.timeout ?? this.#settings.timeout ?? TIMEOUT,
    );
    request.signal?.addEventListener('abort', onAbort);
    try {
      if (request.signal?.aborted === true) onAbort();
      return await this.#tries(request, controller.signal);
    } finally {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Ends idle connections. The transport can be used again. */
  close(): void {
    const agent = this.#agent;
    this.#agent = undefined;
    agent?.then(
      (it) => {
        it.destroy();
      },
      () => undefined,
    );
  }

  async #tries(request: TransportRequest, signal: AbortSignal): Promise<TransportReply> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#following(request, signal);
      } catch (error) {
        throwIfStopped(signal);
        const again = request.repeatable && attempt < TRIES && isQuorateError(error, 'server-unreachable');
        if (!again) throw error;
        await pause(100 + Math.random() * 200, undefined, { signal }).catch(() => undefined);
        throwIfStopped(signal);
      }
    }
  }

  async #following(request: TransportRequest, signal: AbortSignal): Promise<TransportReply> {
    const reply = await this.#exchange(request, request.target, signal);
    if (!REDIRECTS.has(reply.status)) return reply;
    const target = request.repeatable ? this.#redirectTarget(reply) : undefined;
    reply.body.fill(0);
    const second = target === undefined ? undefined : await this.#exchange(request, target, signal);
    if (second !== undefined && !REDIRECTS.has(second.status)) return second;
    throw new QuorateError('server-redirect', `${this.#settings.name} sends the request on elsewhere`, {
      hint: 'quorate speaks to each peer directly. Give the address of the peer itself, not of a load balancer.',
    });
  }

  /** The new target within the same origin and API, or undefined for any other. */
  #redirectTarget(reply: TransportReply): string | undefined {
    const location = reply.headers['location'];
    if (typeof location !== 'string') return undefined;
    const { origin, base } = this.address;
    const url = URL.parse(location, `${origin}${base}/v1/`);
    if (url?.origin !== origin || url.username !== '' || url.password !== '') return undefined;
    return url.pathname.startsWith(`${base}/v1/`) ? url.pathname + url.search : undefined;
  }

  async #exchange(request: TransportRequest, target: string, signal: AbortSignal): Promise<TransportReply> {
    throwIfStopped(signal);
    const { name } = this.#settings;
    const agent = await this.#connections();
    throwIfStopped(signal);
    return new Promise<TransportReply>((resolve, reject) => {
      let sentAt = 0;
      const outgoing = this.#start(agent, request, target, signal);
      const fail = (error: unknown): void => {
        reject(signal.aborted ? (signal.reason as QuorateError) : connectionError(name, error));
        outgoing.destroy();
      };
      outgoing.on('error', fail);
      signal.addEventListener('abort', fail, { once: true });
      outgoing.once('socket', () => {
        sentAt = Date.now();
        request.onSent?.();
      });
      outgoing.once('response', (incoming) => {
        const receivedAt = Date.now();
        const { sink } = request;
        const taken =
          sink === undefined || incoming.statusCode !== 200 ? collect(incoming, name) : pour(incoming, name, sink);
        taken.then((body) => {
          // Answered before it had read everything: the rest is not wanted.
          if (!outgoing.writableEnded) outgoing.destroy();
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body, sentAt, receivedAt });
        }, fail);
      });
      if (request.source === undefined) outgoing.end(request.body);
      else sendSource(outgoing, request.source, name).catch(fail);
    });
  }

  #start(agent: PeerAgent, request: TransportRequest, target: string, signal: AbortSignal): ClientRequest {
    const { authority } = this.address;
    const headers: Record<string, string> = { Host: authority, Accept: 'application/json', ...request.headers };
    const length = request.source?.size ?? request.body?.length;
    if (length !== undefined) headers['Content-Length'] = length.toString();
    const options: RequestOptions & Abandonable = {
      agent,
      method: request.method,
      path: target,
      headers,
      setHost: false,
      abandon: signal,
    };
    try {
      return httpRequest(options);
    } catch {
      // Only a header or path with characters that HTTP cannot carry gets here; Node's error would quote it.
      throw new QuorateError('usage', 'a token, namespace or path holds a character that HTTP cannot carry');
    }
  }

  #connections(): Promise<PeerAgent> {
    const started = (this.#agent ??= this.#makeAgent());
    started.catch(() => {
      if (this.#agent === started) this.#agent = undefined;
    });
    return started;
  }

  async #makeAgent(): Promise<PeerAgent> {
    const { address } = this;
    const settings = this.#settings;
    if (address.kind !== 'https' && settings.pin !== undefined) {
      throw new QuorateError('usage', `${settings.name} has a pinned certificate, but its address is not https`);
    }
    return new PeerAgent({
      name: settings.name,
      address,
      identity: address.kind === 'https' ? await loadIdentity(settings, address) : undefined,
      timeout: CONNECT_TIMEOUT,
      onCertificate: (fingerprint) => {
        this.#certificate = fingerprint;
      },
    });
  }
}

function throwIfStopped(signal: AbortSignal): void {
  if (signal.aborted) throw signal.reason as QuorateError;
}

/** The whole body. A reply that is cut off, or longer than 32 MiB, is an error. */
function collect(incoming: IncomingMessage, name: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const body = new Promise<Uint8Array>((resolve, reject) => {
    incoming.on('data', (chunk: Uint8Array) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > LARGEST_REPLY) reject(new QuorateError('server-response', `${name} sent more than 32 MiB`));
    });
    incoming.once('error', reject);
    incoming.once('close', () => {
      // It comes after a whole reply too, when an error that nobody wants would be made in vain.
      if (incoming.complete) return;
      reject(new QuorateError('server-unreachable', `${name} broke off in the middle of its reply`));
    });
    incoming.once('end', () => {
      const all = new Uint8Array(size);
      let offset = 0;
      for (const chunk of chunks) {
        all.set(chunk, offset);
        offset += chunk.length;
      }
      resolve(all);
    });
  });
  return body.finally(() => {
    for (const chunk of chunks) chunk.fill(0);
  });
}

/** The whole body into `sink`, one piece after the other. A body that is cut off is an error, whatever was taken. */
async function pour(
  incoming: IncomingMessage,
  name: string,
  sink: (chunk: Uint8Array) => Promise<void>,
): Promise<Uint8Array> {
  const body: AsyncIterable<Uint8Array> = incoming;
  try {
    for await (const chunk of body) await sink(chunk);
  } catch (error) {
    if (error instanceof QuorateError) throw error;
    throw new QuorateError('server-unreachable', `${name} broke off in the middle of its reply`);
  }
  if (!incoming.complete) {
    throw new QuorateError('server-unreachable', `${name} broke off in the middle of its reply`);
  }
  return new Uint8Array(0);
}

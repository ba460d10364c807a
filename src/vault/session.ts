import { createHash } from 'node:crypto';
import type { ServerReply, VaultClient } from './client.ts';
import { QuorateError } from '../errors.ts';
import { encodePath } from './paths.ts';
import type { CallOptions, Method, Peer, Session } from './peer.ts';
import { dataOf, readKeys } from './responses.ts';
import type { Secret } from '../secret.ts';

/** For downloads and uploads. */
const STREAM_TIMEOUT = 3_600_000;

/** What a session needs of the peer it belongs to. */
export interface SessionHost {
  readonly peer: Peer;
  readonly client: VaultClient;
  /** Resolves where namespaces exist. @throws QuorateError `server-unsupported`. */
  readonly proveNamespaces: (options?: CallOptions) => Promise<void>;
}

/**
 * A session that owns `token` (none for a login's own request). Sessions in other namespaces share the token:
 * closing one closes all.
 */
export function openSession(host: SessionHost, token: Secret | undefined, namespace: string | undefined): Session {
  const { peer, client } = host;
  const inner = namespace === undefined ? '' : namespace.replace(/^\/+|\/+$/g, '');

  const request = async (method: Method, path: string, body?: unknown, options?: CallOptions): Promise<ServerReply> => {
    if (inner !== '') await host.proveNamespaces(options);
    return client.call({ ...options, method, path, body, token, namespace: inner });
  };

  return {
    peer,
    request,
    async read(path, options) {
      const reply = await request('GET', path, undefined, options);
      if (reply.status === 404) return null;
      return dataOf(success(peer.name, 'GET', path, reply).body);
    },
    async list(path, options) {
      // The same to both servers as the method LIST, which not everything on the way knows.
      const reply = await request('GET', path, undefined, { ...options, query: { list: 'true' } });
      if (reply.status === 404) return [];
      return readKeys(peer.name, path, success(peer.name, 'LIST', path, reply).body);
    },
    async write(path, body, options) {
      return dataOf(success(peer.name, 'POST', path, await request('POST', path, body, options)).body);
    },
    async delete(path, options) {
      success(peer.name, 'DELETE', path, await request('DELETE', path, undefined, options));
    },
    async download(path, sink, options) {
      if (inner !== '') await host.proveNamespaces(options);
      const hash = createHash('sha256');
      let size = 0;
      const reply = await client.call({
        timeout: STREAM_TIMEOUT,
        ...options,
        method: 'GET',
        path,
        token,
        namespace: inner,
        repeatable: false,
        sink: async (chunk) => {
          hash.update(chunk);
          size += chunk.length;
          await sink(chunk);
        },
      });
      success(peer.name, 'GET', path, reply);
      return { sha256: hash.digest('hex'), size };
    },
    async upload(path, source, options) {
      if (inner !== '') await host.proveNamespaces(options);
      const hash = createHash('sha256');
      const chunks = async function* (): AsyncGenerator<Uint8Array> {
        for await (const chunk of source.chunks()) {
          hash.update(chunk);
          yield chunk;
        }
      };
      const reply = await client.call({
        timeout: STREAM_TIMEOUT,
        ...options,
        method: 'POST',
        path,
        token,
        namespace: inner,
        repeatable: false,
        source: { size: source.size, chunks },
      });
      success(peer.name, 'POST', path, reply);
      return { sha256: hash.digest('hex'), size: source.size };
    },
    inNamespace: (other) => openSession(host, token, other),
    at: (other) => other.session(token),
    close() {
      token?.wipe();
    },
  };
}

/** The reply when it is a success. @throws QuorateError as `failure` makes it. */
export function success<R extends Refusal>(name: string, method: Method, path: string, reply: R): R {
  if (reply.status >= 200 && reply.status < 300) return reply;
  throw failure(name, method, path, reply);
}

type Refusal = Pick<ServerReply, 'status' | 'errors'>;

/** What a refusal means: `denied` (403), `sealed` (503 of a sealed server or namespace), `server-error` for the rest. */
export function failure(name: string, method: Method, path: string, reply: Refusal): QuorateError {
  const { status, errors } = reply;
  const said = errors.length === 0 ? '' : `: ${errors.join('; ')}`;
  const asked = `${method} ${encodePath(path)}`;
  if (status === 403) {
    return new QuorateError('denied', `${name} denied ${asked}${said}`, {
      hint: 'Is the token still valid, and do its policies allow this?',
    });
  }
  if (status === 503 && errors.some((line) => line.includes('sealed'))) {
    return new QuorateError('sealed', `${name} cannot answer ${asked}${said}`, { hint: 'Unseal it first.' });
  }
  return new QuorateError('server-error', `${name} answered ${asked} with status ${status.toString()}${said}`, {
    // Servers say why, except for what is not there (404): a proxy does not, nor a TLS port that is spoken to in clear.
    ...(errors.length === 0 && status !== 404
      ? { hint: 'No OpenBao or HashiCorp Vault says no like that. Is it https there, and is there a proxy in between?' }
      : {}),
  });
}

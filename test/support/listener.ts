import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A listener on loopback that plays whatever a hostile or broken peer might do. It is no Vault. */
export interface Listener {
  readonly address: string;
  readonly origin: string;
  /** Every request that arrived whole, in order. */
  readonly seen: Seen[];
  /** How many connections were made. */
  readonly connections: () => number;
  close(): Promise<void>;
}

/** What to do with one request. The body has been read already. */
export type Play = (
  seen: Seen,
  reply: (status: number, body?: unknown, headers?: Record<string, string>) => void,
  socket: Socket,
) => void;

/** With `tls` it speaks https; with `path` it listens on a unix socket. */
export async function listen(play: Play, options: { tls?: TlsOptions; path?: string } = {}): Promise<Listener> {
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const onRequest: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const one = { method, url, headers, body: Buffer.concat(chunks).toString('utf8') };
      seen.push(one);
      const reply = (status: number, body?: unknown, more: Record<string, string> = {}): void => {
        response.writeHead(status, more);
        response.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
      };
      play(one, reply, request.socket);
    });
  };
  const server: Server = options.tls === undefined ? createServer(onRequest) : createTlsServer(options.tls, onRequest);
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (options.path === undefined) server.listen(0, '127.0.0.1', resolve);
    else server.listen(options.path, resolve);
  });
  const scheme = options.tls === undefined ? 'http' : 'https';
  const port = options.path === undefined ? (server.address() as AddressInfo).port.toString() : '';
  const address = options.path === undefined ? `${scheme}://127.0.0.1:${port}` : `unix://${options.path}`;
  return {
    address,
    origin: address,
    seen,
    connections: () => connections,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What an unsealed OpenBao says about itself. */
export const SEAL_STATUS = {
  type: 'shamir',
  initialized: true,
  sealed: false,
  t: 2,
  n: 3,
  progress: 0,
  nonce: '',
  version: '2.7.2',
  commit_date: '2026-10-26T20:32:27Z',
  migration: false,
  recovery_seal: false,
  storage_type: 'raft',
};

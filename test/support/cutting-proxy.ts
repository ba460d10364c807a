import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import { atEnd } from './at-end.ts';

/** What goes wrong with a request that a rule names. */
export type Fault =
  /** The connection breaks and the peer never sees the request. */
  | { readonly kind: 'before-request' }
  /** The peer has answered, the client gets nothing; something may happen before the peer gets it, and after it answered. */
  | {
      readonly kind: 'before-reply';
      readonly before?: () => Promise<unknown>;
      readonly after?: () => Promise<unknown>;
    }
  /** The client gets the reply's head, with its true length, and so many bytes of its body. */
  | { readonly kind: 'within-reply'; readonly bytes: number }
  /** The reply comes so many milliseconds late. */
  | { readonly kind: 'delay'; readonly milliseconds: number }
  /** The peer has done what was asked, and says 500, as it does when its audit device cannot take the answer. */
  | { readonly kind: 'internal-error' }
  /** The peer has answered, and the client waits for ever. */
  | { readonly kind: 'freeze' }
  /** All goes well on the wire; something happens before the peer gets the request, meanwhile, or after the client got the reply. */
  | {
      readonly kind: 'around';
      readonly before?: () => Promise<unknown>;
      readonly meanwhile?: () => void;
      readonly after?: () => Promise<unknown>;
    };

export interface Rule {
  /** Default: any. */
  readonly method?: string;
  /** The API path without `/v1/`. */
  readonly path: string | RegExp;
  readonly fault: Fault;
  /** How many requests it strikes; default 1. Before it strikes, `skip` requests pass (default 0). */
  readonly times?: number;
  readonly skip?: number;
}

/** Asked for each request, before the rules; what it returns happens to that request. */
export type Watcher = (request: string) => Fault | undefined;

export interface CuttingProxy {
  readonly address: string;
  readonly caFile: string;
  /** All requests that arrived, in order, such as `PUT sys/init`. */
  readonly requests: readonly string[];
  /** Adds a rule. The promise resolves when it has struck once. */
  cut(rule: Rule): Promise<void>;
  /** Drops all rules that have not struck yet. */
  mend(): void;
  close(): Promise<void>;
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface ActiveRule extends Rule {
  left: number;
  toSkip: number;
  struck(): void;
}

const proxies: CuttingProxy[] = [];

atEnd(async () => {
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
});

/**
 * Stands in front of one peer of a real cluster, with the peer's own certificate, and passes everything on, except
 * where a rule says how the connection fails. The peer does what it does; only the wire is bad.
 */
export async function startCuttingProxy(
  cluster: ThrowawayCluster,
  index = 0,
  watcher: Watcher = () => undefined,
): Promise<CuttingProxy> {
  const peer = cluster.peers[index];
  if (peer === undefined) throw new Error(`the cluster has no peer ${index.toString()}`);
  const ca = readFileSync(cluster.caFile);
  const rules: ActiveRule[] = [];
  const requests: string[] = [];

  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const method = incoming.method ?? 'GET';
    const path = (incoming.url ?? '').replace(/^\/v1\//, '').replace(/\?.*$/, '');
    requests.push(`${method} ${path}`);
    const body = await readAll(incoming);
    const watched = watcher(`${method} ${path}`);
    const rule = watched === undefined ? strike(rules, method, path) : undefined;
    const fault = watched ?? rule?.fault;
    if (fault?.kind === 'before-request') {
      outgoing.socket?.destroy();
      rule?.struck();
      return;
    }
    if (fault?.kind === 'around' || fault?.kind === 'before-reply') await fault.before?.();
    const replied = forward(new URL(incoming.url ?? '/', peer.address), method, incoming.headers, body, ca);
    if (fault?.kind === 'around') fault.meanwhile?.();
    const reply = await replied;
    if (fault?.kind === 'before-reply') await fault.after?.();
    await answer(outgoing, reply, fault);
    if (fault?.kind === 'around') await fault.after?.();
    rule?.struck();
  };

  const server = createServer(
    { cert: readFileSync(peer.certificateFile), key: readFileSync(peer.keyFile), ALPNProtocols: ['http/1.1'] },
    (incoming, outgoing) => {
      // A peer that is down breaks the client's connection too.
      handle(incoming, outgoing).catch(() => outgoing.socket?.destroy());
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const proxy: CuttingProxy = {
    address: `https://127.0.0.1:${(server.address() as AddressInfo).port.toString()}`,
    caFile: cluster.caFile,
    requests,
    cut: (rule) =>
      new Promise((resolve) => {
        rules.push({ ...rule, left: rule.times ?? 1, toSkip: rule.skip ?? 0, struck: resolve });
      }),
    mend() {
      rules.length = 0;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
  proxies.push(proxy);
  return proxy;
}

function strike(rules: readonly ActiveRule[], method: string, path: string): ActiveRule | undefined {
  for (const rule of rules) {
    const matches = typeof rule.path === 'string' ? rule.path === path : rule.path.test(path);
    if (!matches || (rule.method !== undefined && rule.method !== method) || rule.left === 0) continue;
    if (rule.toSkip > 0) {
      rule.toSkip -= 1;
      continue;
    }
    rule.left -= 1;
    return rule;
  }
  return undefined;
}

async function answer(outgoing: ServerResponse, reply: Reply, fault: Fault | undefined): Promise<void> {
  if (fault?.kind === 'freeze') return;
  if (fault?.kind === 'before-reply') {
    outgoing.socket?.destroy();
    return;
  }
  if (fault?.kind === 'internal-error') {
    outgoing.writeHead(500, { 'content-type': 'application/json' });
    outgoing.end('{"errors":["internal error"]}');
    return;
  }
  if (fault?.kind === 'delay') await sleep(fault.milliseconds);
  outgoing.writeHead(reply.status, reply.headers);
  if (fault?.kind !== 'within-reply') {
    outgoing.end(reply.body);
    return;
  }
  outgoing.flushHeaders();
  if (fault.bytes > 0) {
    await new Promise((resolve) => outgoing.write(reply.body.subarray(0, fault.bytes), resolve));
  }
  // `end` sends what is buffered before the connection closes; `destroy` would throw it away.
  outgoing.socket?.end();
}

function forward(url: URL, method: string, headers: IncomingHttpHeaders, body: Buffer, ca: Buffer): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      method,
      ca,
      agent: false,
      headers: { ...headers, host: url.host, connection: 'close' },
    });
    sent.on('response', (reply) => {
      readAll(reply).then((bytes) => {
        const { 'connection': _connection, 'transfer-encoding': _encoding, ...rest } = reply.headers;
        const length = { 'content-length': bytes.length.toString() };
        const bodyless = reply.statusCode === 204 || method === 'HEAD';
        resolve({ status: reply.statusCode ?? 502, headers: bodyless ? rest : { ...rest, ...length }, body: bytes });
      }, reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function readAll(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

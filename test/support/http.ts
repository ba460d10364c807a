import { readFileSync } from 'node:fs';
import { request } from 'node:https';

export interface HttpReply {
  readonly status: number;
  /** Parsed JSON, or null when there is none. See `at`. */
  readonly body: unknown;
}

/** What is at a place in parsed JSON, undefined where there is nothing: `at(reply.body, 'data', 'keys', 0)`. */
export function at(body: unknown, ...path: readonly (string | number)[]): unknown {
  let value = body;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Readonly<Record<string | number, unknown>>)[key];
  }
  return value;
}

export interface HttpOptions {
  readonly token?: string;
  readonly body?: unknown;
  readonly namespace?: string;
}

/**
 * One request straight to a server, with nothing of quorate's in between, so that tests check quorate against the
 * server and not against itself. `path` is without `/v1/`.
 */
export function call(
  server: { readonly address: string; readonly caFile: string },
  method: string,
  path: string,
  options: HttpOptions = {},
): Promise<HttpReply> {
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  return new Promise((resolve, reject) => {
    const sent = request(
      `${server.address}/v1/${path}`,
      {
        method,
        ca: readFileSync(server.caFile),
        agent: false,
        timeout: 60_000,
        headers: {
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(options.token === undefined ? {} : { 'X-Vault-Token': options.token }),
          ...(options.namespace === undefined ? {} : { 'X-Vault-Namespace': options.namespace }),
        },
      },
      (reply) => {
        const chunks: Buffer[] = [];
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('error', reject);
        reply.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({ status: reply.statusCode ?? 0, body: text === '' ? null : JSON.parse(text) });
        });
      },
    );
    sent.on('timeout', () => sent.destroy(new Error(`no reply to ${method} ${path}`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

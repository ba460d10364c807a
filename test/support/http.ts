import { readFileSync } from 'node:fs';
import { request } from 'node:https';

export interface HttpReply {
  readonly status: number;
  /** Parsed JSON, or null when there is none. */
  readonly body: Json;
}

/** What a test looks into without ceremony; a wrong guess fails the test. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests read replies of many shapes
export type Json = any;

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
          resolve({ status: reply.statusCode ?? 0, body: text === '' ? null : (JSON.parse(text) as Json) });
        });
      },
    );
    sent.on('timeout', () => sent.destroy(new Error(`no reply to ${method} ${path}`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

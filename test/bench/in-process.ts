import { Agent, request } from 'node:https';
import { readFileSync } from 'node:fs';
import type { Side } from './case.ts';

/** How many tasks run at any moment. */
const AT_ONCE = 32;

/** Does `one` for each of `all`, many at once, and fails when any of them does. */
export async function forEach<T>(all: readonly T[], one: (item: T) => Promise<void>): Promise<void> {
  const left = all.values();
  const worker = async (): Promise<void> => {
    for (const item of left) await one(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** A side that measures how many of `all` are done in a second, as `rate`. Fails when any of them does. */
export function rateSide<T>(all: readonly T[], one: (item: T) => Promise<void>): Side {
  return async () => {
    const start = performance.now();
    await forEach(all, one);
    return { rate: (all.length * 1000) / (performance.now() - start) };
  };
}

/** What a program would use without quorate. */
export interface PlainClient {
  /** The parsed body. A status other than 200 and 204 is an error. */
  call(method: string, url: URL, options: { readonly token?: string; readonly body?: object }): Promise<unknown>;
  close(): void;
}

/** Node's own client with kept connections, and no checks. */
export function plainClient(caFile: string): PlainClient {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE, ca: readFileSync(caFile) });
  return {
    call: (method, url, { token, body }) =>
      new Promise((resolve, reject) => {
        const headers = token === undefined ? {} : { 'X-Vault-Token': token };
        const sent = request(url, { agent, method, headers }, (reply) => {
          const chunks: Buffer[] = [];
          reply.on('data', (chunk: Buffer) => chunks.push(chunk));
          reply.on('error', reject);
          reply.on('end', () => {
            if (reply.statusCode === 200) resolve(JSON.parse(Buffer.concat(chunks).toString()));
            else if (reply.statusCode === 204) resolve(undefined);
            else reject(new Error(`${url.pathname}: status ${String(reply.statusCode)}`));
          });
        });
        sent.on('error', reject);
        sent.end(body === undefined ? undefined : JSON.stringify(body));
      }),
    close: () => {
      agent.destroy();
    },
  };
}

import { Agent, request } from 'node:https';
import { readFileSync } from 'node:fs';
import { callerOf } from '../../../src/broker/caller.ts';
import { issue } from '../../../src/broker/lease.ts';
import { connectCluster } from '../../../src/connect-cluster.ts';
import { Secret } from '../../../src/secret.ts';
import type { Benchmark, Side } from '../case.ts';
import { brokerFor } from '../broker.ts';

const [LEASES, AT_ONCE] = [1_000, 32];

/** A thousand credentials by one process; the reference is Node's own client with kept connections, and no checks. */
export const benchmark: Benchmark = {
  name: 'db-leases',
  measures: [{ measure: 'rate', unit: 'leases/s', goal: 0.9, better: 'higher' }],
  runs: 3,
  async prepare() {
    const { env, cwd, close } = await brokerFor();
    const [address = '', ca = '', token = ''] = [env['BAO_ADDR'], env['BAO_CACERT'], env['BAO_TOKEN']];
    const { peers } = await connectCluster({ address, ca }, undefined, {}, cwd);
    const [peer] = peers;
    if (peer === undefined) throw new Error('there is no peer');
    const secret = Secret.fromText(token);
    const caller = callerOf(peer.session(secret), peers);
    secret.wipe();
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE, ca: readFileSync(ca) });
    const plain = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const url = new URL('/v1/database/creds/read', address);
        const sent = request(url, { agent, headers: { 'X-Vault-Token': token } }, (reply) => {
          const chunks: Buffer[] = [];
          reply.on('data', (chunk: Buffer) => chunks.push(chunk));
          reply.on('error', reject);
          reply.on('end', () => {
            const { lease_id: lease } = JSON.parse(Buffer.concat(chunks).toString()) as { lease_id?: string };
            if (lease === undefined) reject(new Error(`status ${String(reply.statusCode)}`));
            else resolve();
          });
        });
        sent.on('error', reject);
        sent.end();
      });
    return {
      ours: rate(async () => {
        (await issue(caller, 'database', 'read')).password.wipe();
      }),
      reference: rate(plain),
      close: async () => {
        agent.destroy();
        caller.close();
        peer.close();
        await close();
      },
    };
  },
};

/** Fails when any of them does. */
function rate(one: () => Promise<void>): Side {
  return async () => {
    const start = performance.now();
    let left = LEASES;
    const worker = async (): Promise<void> => {
      while ((left -= 1) >= 0) await one();
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return { rate: (LEASES * 1000) / (performance.now() - start) };
  };
}

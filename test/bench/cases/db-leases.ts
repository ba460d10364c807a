import { callerOf } from '../../../src/broker/caller.ts';
import { issue } from '../../../src/broker/lease.ts';
import { connectCluster } from '../../../src/connect-cluster.ts';
import { Secret } from '../../../src/secret.ts';
import { at } from '../../support/http.ts';
import { brokerFor } from '../broker.ts';
import type { Benchmark } from '../case.ts';
import { plainClient, rateSide } from '../in-process.ts';

const LEASES = 1_000;

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
    const client = plainClient(ca);
    const url = new URL('/v1/database/creds/read', address);
    const leases = Array.from({ length: LEASES }, () => undefined);
    return {
      ours: rateSide(leases, async () => {
        (await issue(caller, 'database', 'read')).password.wipe();
      }),
      reference: rateSide(leases, async () => {
        if (at(await client.call('GET', url, { token }), 'lease_id') === undefined) throw new Error('no lease');
      }),
      close: async () => {
        client.close();
        caller.close();
        peer.close();
        await close();
      },
    };
  },
};

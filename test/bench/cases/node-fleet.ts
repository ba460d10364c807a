import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeResources } from '../../../src/shares/setup.ts';
import { kvStore } from '../../../src/shares/kv-store.ts';
import { connectPeer } from '../../../src/vault/connect.ts';
import { login } from '../../../src/vault/login/login.ts';
import { committedDisk } from '../../shares/world.ts';
import { at } from '../../support/http.ts';
import { waitUntil } from '../../support/wait.ts';
import type { Benchmark } from '../case.ts';
import { forEach, plainClient, rateSide } from '../in-process.ts';
import { startServers } from '../servers.ts';

const [NODES, MOUNT] = [1_000, 'mpc'];

/**
 * A fleet that boots at once, in one process: a thousand nodes, each with a role, a policy and a wallet of its own, log in
 * at the three peers in turn, and fetch what they boot from. The reference is Node's own client with kept connections,
 * and no checks. Whichever fails once fails the measurement.
 */
export const benchmark: Benchmark = {
  name: 'node-fleet',
  measures: [{ measure: 'rate', unit: 'nodes/s', goal: 0.8, better: 'higher' }],
  runs: 5,
  async prepare() {
    const { cluster, folder, rootToken, close } = await startServers({ peers: 3, shares: 1 });
    const { caFile } = cluster;
    const client = plainClient(caFile);
    const asRoot = (path: string, body: object): Promise<unknown> =>
      client.call('POST', new URL(`/v1/${path}`, cluster.peers[0]?.address), { token: rootToken, body });
    const peers = cluster.peers.map(({ name, address }) => connectPeer({ name, address, ca: caFile }));
    await mkdir(join(folder, 'nodes'));
    const fleet = Array.from({ length: NODES }, (_, number) => {
      const wallet = `treasury-${number.toString()}`;
      const file = join(folder, 'nodes', wallet);
      const auth = { 'method': 'approle', 'mount': 'approle', 'role-id': wallet, 'secret-id-file': file } as const;
      const peer = peers[number % peers.length];
      if (peer === undefined) throw new Error('three peers were asked for');
      return { wallet, auth, secretId: '', peer };
    });
    const { statements, envelopes } = await committedDisk();
    const setUp = async (node: (typeof fleet)[number]): Promise<void> => {
      const { wallet, auth } = node;
      const role = { 'method': 'approle', 'ttl': '10m', 'secret-id-uses': 0, 'secret-id-ttl': '24h' } as const;
      const resources = nodeResources(wallet, 'north', { mount: MOUNT, network: ['127.0.0.0/8'], role, auth });
      for (const { path, data, kind } of resources) {
        if (kind === 'plain' && path !== `${MOUNT}/config`) await asRoot(path, data);
        // A new mount takes nothing in for a moment.
        else if (node === fleet[0]) await waitUntil(path, () => succeeds(asRoot(path, data)));
      }
      const issued = await asRoot(`auth/approle/role/${wallet}-north/secret-id`, {});
      node.secretId = String(at(issued, 'data', 'secret_id'));
      await writeFile(auth['secret-id-file'], node.secretId, { mode: 0o600 });
      const options = { cas: 0 };
      await asRoot(`${MOUNT}/data/${wallet}/statements`, { data: { statements }, options });
      await asRoot(`${MOUNT}/data/${wallet}/envelopes`, { data: { envelopes }, options });
    };
    const [first, ...others] = fleet;
    if (first !== undefined) await setUp(first);
    await forEach(others, setUp);

    const plain = async ({ wallet, auth, secretId, peer: { address } }: (typeof fleet)[number]): Promise<void> => {
      const body = { role_id: auth['role-id'], secret_id: secretId };
      const reply = await client.call('POST', new URL('/v1/auth/approle/login', address), { body });
      const token = String(at(reply, 'auth', 'client_token'));
      for (const entry of ['statements', 'envelopes']) {
        const found = await client.call('GET', new URL(`/v1/${MOUNT}/data/${wallet}/${entry}`, address), { token });
        if (at(found, 'data', 'data', entry, 0) === undefined) throw new Error(`there are no ${entry}`);
      }
    };
    // The other peers may still be behind with what was written.
    for (const node of fleet.slice(-peers.length)) {
      await waitUntil('every peer has what was written last', () => succeeds(plain(node)));
    }
    return {
      ours: rateSide(fleet, async ({ wallet, auth, peer }) => {
        const { session } = await login(peer, auth, { env: {}, home: folder });
        const store = kvStore(session, MOUNT, wallet);
        if ((await store.statements()).length === 0 || (await store.envelopes()).length === 0) {
          throw new Error('there is nothing to boot from');
        }
        session.close();
      }),
      reference: rateSide(fleet, plain),
      close: async () => {
        client.close();
        for (const peer of peers) peer.close();
        await close();
      },
    };
  },
};

function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

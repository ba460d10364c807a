import { callPeer, freshCluster, type LiveCluster, waitForAll, waitForVoters } from './cluster.ts';
import { at } from './http.ts';
import { waitUntil } from './wait.ts';

/** A static seal (OpenBao), which opens a cluster without an HSM or a key service. `extra` are more lines of it. */
export function staticSeal(id: string, extra = ''): string {
  const key = Buffer.from(id.padEnd(32, '.').slice(0, 32)).toString('base64');
  return `seal "static" {\n  current_key_id = "${id}"\n  current_key = "${key}"\n${extra}}\n`;
}

/** A cluster that unseals itself, with three recovery shares of which two are needed. */
export async function autoUnsealed(peers: number): Promise<LiveCluster> {
  const cluster = await freshCluster({ seal: staticSeal('one'), peers });
  const body = { recovery_shares: 3, recovery_threshold: 2 };
  const reply = await callPeer(cluster, 0, 'PUT', 'sys/init', { body });
  const live = {
    cluster,
    shares: at(reply.body, 'recovery_keys') as string[],
    threshold: 2,
    rootToken: String(at(reply.body, 'root_token')),
  };
  await waitUntil('the first leads', async () => (await callPeer(cluster, 0, 'GET', 'sys/health')).status === 200);
  await waitForAll(cluster, 'is unsealed', (status) => status['sealed'] === false);
  await waitForVoters(live);
  return live;
}

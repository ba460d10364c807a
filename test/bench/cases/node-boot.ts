import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { renderYaml } from '../../../src/document.ts';
import { at, call } from '../../support/http.ts';
import type { Benchmark } from '../case.ts';
import { processSide } from '../process-side.ts';
import { environment, QUORATE } from '../quorate.ts';
import { startServers } from '../servers.ts';

/**
 * What a node's unit runs, against what it would run without quorate: log in by AppRole, fetch a secret, and become a
 * program. quorate also checks signatures, commit record and epoch, decrypts, and has the state of an acknowledged epoch;
 * `bao agent` renders one template and ends.
 */
export const benchmark: Benchmark = {
  name: 'node-boot',
  measures: [
    { measure: 'time', unit: 'ms', goal: 0.8 },
    { measure: 'memory', unit: 'MB', goal: 0.8 },
  ],
  runs: 15,
  async prepare() {
    const { cluster, bao, folder, rootToken, close } = await startServers({ peers: 1, shares: 1 });
    const [peer] = cluster.peers;
    if (peer === undefined) throw new Error('one peer was asked for');
    const asRoot = (method: string, path: string, body?: unknown): ReturnType<typeof call> =>
      call({ address: peer.address, caFile: cluster.caFile }, method, path, { token: rootToken, body });
    const env = environment();
    const quorate = async (args: readonly string[], input = ''): Promise<string> => {
      const running = promisify(execFile)(QUORATE, args, { env, cwd: folder });
      running.child.stdin?.end(input);
      return (await running).stdout;
    };
    const nodes = ['north', 'south'];
    const keys: Record<string, string> = {};
    for (const node of nodes) {
      await mkdir(join(folder, node), { mode: 0o700 });
      const { signingKey } = JSON.parse(
        await quorate(['shares', 'enroll', 'treasury', '--home', node, '--format', 'json']),
      ) as { signingKey: string };
      keys[node] = signingKey;
    }
    await writeFile(join(folder, 'token'), rootToken, { mode: 0o600 });
    const described = {
      clusters: {
        bench: {
          peers: [{ name: 'peer', address: peer.address }],
          ca: cluster.caFile,
          auth: { method: 'token-file', file: 'token' },
        },
      },
      wallets: {
        treasury: {
          'threshold': 2,
          'accept-shared-root': true,
          'nodes': Object.fromEntries(
            nodes.map((node) => [
              node,
              {
                'cluster': 'bench',
                'mount': `mpc-${node}`,
                'signing-key': keys[node],
                'auth': { 'method': 'approle', 'role-id': node, 'secret-id-file': `${node}.secret-id` },
                'role': { 'method': 'approle', 'secret-id-uses': 0 },
              },
            ]),
          ),
        },
      },
    };
    await writeFile(join(folder, 'quorate.yaml'), renderYaml(described));
    await quorate(['shares', 'setup', 'treasury', '--yes']);
    for (const [index, node] of nodes.entries()) {
      const { body } = await asRoot('POST', `auth/approle/role/treasury-${node}/secret-id`, {});
      await writeFile(join(folder, `${node}.secret-id`), String(at(body, 'data', 'secret_id')), { mode: 0o600 });
      const what = ['--epoch', '1', '--scheme', 'opaque', '--index', (index + 1).toString(), '--share-fd', '0'];
      await quorate(['shares', 'put', 'treasury', '--node', node, '--home', node, ...what], `share of ${node}`);
    }
    for (let round = 0; round < 3; round += 1) {
      await quorate(['shares', 'refresh', 'treasury']).catch(() => undefined);
      for (const node of nodes) {
        await quorate(['shares', 'refresh', 'treasury', '--node', node, '--home', node]).catch(() => undefined);
      }
    }
    const bare = join(folder, 'bare');
    await mkdir(bare);
    const boot = [
      ...['node', 'boot', 'treasury', '--node', 'north', '--home', join(folder, 'north')],
      ...['--address', peer.address, '--ca', cluster.caFile, '--mount', 'mpc-north', '--threshold', '2'],
      ...['--login', `approle,role-id=north,secret-id-file=${join(folder, 'north.secret-id')}`],
      ...nodes.flatMap((node) => ['--signing-key', `${node}=${keys[node] ?? ''}`]),
      ...['--exec', '--', 'true'],
    ];
    await writeFile(join(folder, 'role-id'), 'north');
    await writeFile(
      join(folder, 'agent.hcl'),
      `
exit_after_auth = true
vault { address = "${peer.address}" ca_cert = "${cluster.caFile}" }
auto_auth {
  method "approle" {
    config = {
      role_id_file_path = "${join(folder, 'role-id')}"
      secret_id_file_path = "${join(folder, 'north.secret-id')}"
      remove_secret_id_file_after_reading = false
    }
  }
}
template {
  contents = "{{ with secret \\"mpc-north/data/treasury/envelopes\\" }}{{ .Data.data.envelopes | toJSON }}{{ end }}"
  destination = "${join(folder, 'rendered')}"
  perms = "0600"
}
`,
    );
    const side = { env, cwd: bare };
    return {
      ours: processSide({ ...side, commands: [[QUORATE, ...boot]] }),
      reference: processSide({ ...side, commands: [[bao, 'agent', '-config', join(folder, 'agent.hcl')]] }),
      close,
    };
  },
};

import { resolve } from 'node:path';
import { isIP } from 'node:net';
import type { WalletConfig } from '../../config.ts';
import type { Context } from '../../context.ts';
import { QuorateError } from '../../errors.ts';
import { readText } from '../../files.ts';
import { type KubernetesOptions, type Manifest, nodeManifests } from '../../deploy/kubernetes.ts';
import type { NodeDeployment } from '../../deploy/node.ts';
import { nodeLogin } from '../../wallet-config.ts';
import { defineCommand } from '../command.ts';
import { wholeNumber } from '../whole-number.ts';
import { deployOptions, deploymentsOf } from './deployment.ts';

type NodeConfig = WalletConfig['nodes'][string];

/** `quorate deploy kubernetes WALLET -- COMMAND`: a namespace for each node, and who may reach whom. */
export const command = defineCommand({
  arguments: [
    { name: 'WALLET', description: 'a wallet of quorate.yaml' },
    { name: 'COMMAND', variadic: true, description: "the node's program, after --" },
  ],
  options: {
    ...deployOptions,
    'node': { value: 'NAME', repeat: true, description: 'only this node; may be given several times' },
    'image': { value: 'IMAGE', description: "an image with quorate and the node's program, by its digest" },
    'port': { value: 'N', description: 'what the nodes speak on with each other' },
    'server-network': {
      value: 'NODE=CIDR',
      repeat: true,
      description: "where a node's server is; not needed where quorate.yaml has its IP address",
    },
  },
  examples: [
    {
      command:
        'quorate deploy kubernetes treasury --image registry.example/mpc@sha256:... --port 7000 -- mpc-node > nodes.yaml',
      text: 'manifests for all nodes, to be read before they are applied',
    },
  ],
  async run(context, values, [name = '', ...program]) {
    const { known, all } = await deploymentsOf(context, name, program, values);
    const { image } = values;
    if (image === undefined || !/^[\w./:@-]+$/.test(image)) throw new QuorateError('usage', '--image wants an image');
    const port = wholeNumber(values.port, '--port');
    const networks = networksOf(values['server-network'] ?? []);
    const wanted = values.node ?? all.map(({ node }) => node);
    const manifests: Manifest[] = [];
    for (const node of wanted) {
      const deployment = all.find((one) => one.node === node);
      const config = known.config.nodes[node];
      if (deployment === undefined || config === undefined) throw new QuorateError('usage', `${name} has no such node`);
      const options = await optionsOf(context, deployment, config, { image, port, networks: networks.get(node) ?? [] });
      manifests.push(
        ...nodeManifests(
          deployment,
          all.filter((one) => one !== deployment),
          options,
        ),
      );
    }
    const { renderYaml } = await import('../../document.ts');
    context.output.result({ manifests }, () =>
      manifests
        .map((one) => renderYaml(one).trimEnd())
        .join('\n---\n')
        .split('\n'),
    );
    return undefined;
  },
});

async function optionsOf(
  context: Context,
  { node, wallet, address }: NodeDeployment,
  { cluster, role, auth }: NodeConfig,
  { image, port, networks }: { readonly image: string; readonly port: number; readonly networks: readonly string[] },
): Promise<KubernetesOptions> {
  const login = nodeLogin(wallet, node, { role, auth });
  if (login === undefined || role?.method !== 'kubernetes') {
    throw new QuorateError('usage', `${node} has no role for Kubernetes in quorate.yaml`, {
      hint: 'role: { method: kubernetes, service-account: quorate-node, service-account-namespace: WALLET-NODE, audience: ... }',
    });
  }
  const fits = role['service-account'] === 'quorate-node' && role['service-account-namespace'] === `${wallet}-${node}`;
  if (!fits) {
    throw new QuorateError('policy', `the role of ${node} is for another service account than the manifests make`, {
      hint: `service-account: quorate-node, service-account-namespace: ${wallet}-${node}.`,
    });
  }
  const { hostname, port: given } = new URL(address);
  const host = hostname.replace(/^\[|\]$/g, '');
  const own = isIP(host) === 0 ? [] : [`${host}/${isIP(host) === 4 ? '32' : '128'}`];
  const where = networks.length > 0 ? networks : own;
  if (where.length === 0) {
    throw new QuorateError('usage', `where is the server of ${node}? Say --server-network ${node}=CIDR`, {
      hint: 'Network policies know addresses, and no names.',
    });
  }
  const ca = (await context.config())?.clusters[cluster]?.ca;
  if (ca === undefined) {
    throw new QuorateError(
      'usage',
      `the cluster of ${node} has no ca in quorate.yaml, which the manifests bring along`,
    );
  }
  return {
    image,
    port,
    server: { networks: where, port: given === '' ? 443 : Number(given) },
    login: { mount: login.mount, role: login.role, audience: role.audience },
    ca: await readText(resolve(context.cwd, ca)),
  };
}

function networksOf(given: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const networks = new Map<string, string[]>();
  for (const one of given) {
    const [, node, cidr] = /^([a-z0-9-]+)=([0-9A-Fa-f.:]+\/\d{1,3})$/.exec(one) ?? [];
    if (node === undefined || cidr === undefined) throw new QuorateError('usage', '--server-network wants NODE=CIDR');
    networks.set(node, [...(networks.get(node) ?? []), cidr]);
  }
  return networks;
}

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportText } from '../../../src/separation/model.ts';
import { MadeUpCluster, rule } from '../../separation/made-up.ts';
import type { Benchmark } from '../case.ts';
import { processSide } from '../process-side.ts';
import { environment, QUORATE } from '../quorate.ts';

const [POLICIES, ROLES, ENTITIES] = [1000, 1000, 5000];
/** Every so many policies reach the share of the cluster, or a step nearer to it, so that there is work to do. */
const DANGEROUS = 10;

/** A proof over two large clusters, as a whole process, against nothing but the SHA-256 of the same files. */
export const benchmark: Benchmark = {
  name: 'separation',
  measures: [{ measure: 'time', unit: 'ms', goal: 60_000, of: 'ours' }],
  runs: 3,
  async prepare() {
    const folder = await mkdtemp(join(tmpdir(), 'quorate-bench-'));
    const names = ['eu', 'us'];
    for (const [index, name] of names.entries()) {
      const cluster = large(name, `84980d23-701a-421c-8e95-1936219b6c5${index.toString()}`);
      await writeFile(join(folder, `${name}.json`), exportText(cluster.export));
    }
    const key = `ed25519:${'A'.repeat(43)}=`;
    const clusters = names.map(
      (name) => `  ${name}:\n    peers: [{ name: ${name}, address: "https://127.0.0.1:1" }]\n`,
    );
    const nodes = names.map((name) => `      ${name}: { cluster: ${name}, signing-key: "${key}" }\n`);
    const wallets = `wallets:\n  treasury:\n    threshold: 2\n    nodes:\n${nodes.join('')}`;
    await writeFile(join(folder, 'quorate.yaml'), `clusters:\n${clusters.join('')}${wallets}`);
    const files = names.map((name) => join(folder, `${name}.json`));
    const config = ['--config', join(folder, 'quorate.yaml')];
    return {
      ours: processSide({
        commands: [[QUORATE, ...config, 'separation', 'prove', ...files, '--unsigned', '--format', 'json']],
        env: environment(),
        exits: [5],
      }),
      reference: processSide({ commands: [['sha256sum', ...files]] }),
      close: () => rm(folder, { recursive: true }),
    };
  },
};

/** People whose names are on both clusters, in groups in groups, with policies of which some lead to the share. */
function large(name: string, id: string): MadeUpCluster {
  const cluster = new MadeUpCluster(name, id);
  cluster.kv('mpc');
  for (let index = 0; index < POLICIES; index += 1) {
    const own = Array.from({ length: 5 }, (_, at) =>
      rule(`secret/data/team-${index.toString()}/${at.toString()}/*`, 'read', 'list'),
    );
    cluster.policy(
      `policy-${index.toString()}`,
      [...own, ...(index % DANGEROUS === 0 ? [dangerous(index)] : [])].join(''),
    );
  }
  for (let index = 0; index < ROLES; index += 1) {
    cluster.role(index % 2 === 0 ? 'approle' : 'jwt', `role-${index.toString()}`, [`policy-${index.toString()}`]);
  }
  const people: string[] = [];
  for (let index = 0; index < ENTITIES; index += 1) {
    people.push(cluster.person(`person-${index.toString()}`, [], [`policy-${(index % POLICIES).toString()}`]));
  }
  let inner: string[] = [];
  for (let index = 0; index < 100; index += 1) {
    const members = people.slice(index * 50, index * 50 + 50);
    inner = [
      cluster.group(
        `group-${index.toString()}`,
        [`policy-${(index * 7).toString()}`],
        members,
        index % 10 === 0 ? [] : inner,
      ),
    ];
  }
  return cluster;
}

function dangerous(index: number): string {
  const kinds = [
    rule('mpc/data/treasury/+', 'read'),
    rule('auth/approle/role/+/secret-id', 'update'),
    rule('auth/token/create', 'update', 'sudo'),
    rule('sys/policies/acl/policy-1*', 'create', 'update'),
    rule('identity/group/id/*', 'update'),
  ];
  return kinds[(index / DANGEROUS) % kinds.length] ?? '';
}

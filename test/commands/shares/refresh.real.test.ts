import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { callPeer, type LiveCluster, sharedCluster, temporaryFolder } from '../../support/cluster.ts';
import { startQuorate } from '../../support/quorate.ts';

const NODES = ['north', 'south'] as const;
type Name = (typeof NODES)[number];

const clusters = { north: sharedCluster({ peers: 1 }), south: sharedCluster({ peers: 1 }) };
let folder: string;

const run = (args: readonly string[], input?: string) =>
  startQuorate(args, { cwd: folder, launcher: true, ...(input === undefined ? {} : { input }) }).ended;
const json = async (args: readonly string[], input?: string) => {
  const { status, stdout, stderr } = await run([...args, '--format', 'json'], input);
  return { status, stderr, value: JSON.parse(stdout === '' ? '{}' : stdout) as Record<string, unknown> };
};
const asNode = (name: Name): string[] => ['--node', name, '--home', join(folder, name)];
const put = (name: Name, epoch: number, share = `${name} ${epoch.toString()}`) => {
  const index = (NODES.indexOf(name) + 1).toString();
  const what = ['--epoch', epoch.toString(), '--scheme', 'cggmp21', '--index', index, '--share-fd', '0'];
  return json(['shares', 'put', 'treasury', ...asNode(name), ...what], share);
};
const carry = () => json(['shares', 'refresh', 'treasury']);
const step = (name: Name) => json(['shares', 'refresh', 'treasury', ...asNode(name)]);
const boot = async (name: Name) => {
  const script = 'cat <&3; ps -o comm= -p $$ >&2';
  const args = ['node', 'boot', 'treasury', ...asNode(name), '--wait', '0', '--exec', '--', '/bin/sh', '-c', script];
  const { status, stdout, stderr } = await run(args);
  const shares = status === 0 ? (JSON.parse(stdout) as { shares: { epoch: number; share: string }[] }).shares : [];
  return {
    status,
    stderr,
    shares: shares.map(({ epoch, share }) => `${epoch.toString()}: ${Buffer.from(share, 'base64').toString()}`),
  };
};

async function storedAnywhere({ cluster, rootToken }: LiveCluster): Promise<string> {
  const read = (what: string) => callPeer(cluster, 0, 'GET', `mpc/data/treasury/${what}`, { token: rootToken });
  return JSON.stringify([(await read('envelopes')).body, (await read('statements')).body]);
}

beforeAll(async () => {
  folder = await temporaryFolder();
  const describing: string[] = [];
  const nodes: string[] = [];
  for (const name of NODES) {
    const { cluster, rootToken } = clusters[name]();
    const options = { token: rootToken, body: { type: 'kv', options: { version: '2' } } };
    await callPeer(cluster, 0, 'POST', 'sys/mounts/mpc', options);
    await writeFile(join(folder, `${name}.token`), rootToken, { mode: 0o600 });
    const { status, value } = await json(['shares', 'enroll', 'treasury', '--home', join(folder, name)]);
    expect(status).toBe(0);
    describing.push(`  ${name}:
    ca: ${cluster.caFile}
    auth: { method: token-file, file: ${name}.token }
    peers: [{ name: ${name}, address: "${cluster.peers[0]?.address ?? ''}" }]`);
    nodes.push(`      ${name}: { cluster: ${name}, signing-key: "${String(value['signingKey'])}" }`);
  }
  const yaml = `clusters:\n${describing.join('\n')}\nwallets:\n  treasury:\n    threshold: 2\n    nodes:\n${nodes.join('\n')}\n`;
  await writeFile(join(folder, 'quorate.yaml'), yaml);
});

describe('key shares of two nodes on two clusters', () => {
  it('are enrolled once, with files for their owner alone', async () => {
    const again = await json(['shares', 'enroll', 'treasury', '--home', join(folder, 'north')]);
    expect(again.value).toMatchObject({ made: false });
    expect((await stat(join(folder, 'north'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, 'north/signing.key'))).mode & 0o777).toBe(0o600);
  });

  it('start nothing before all have committed', async () => {
    expect((await put('north', 1)).status).toBe(0);
    expect((await boot('north')).status).toBe(5);
    expect((await put('south', 1)).status).toBe(0);
    expect((await step('north')).value).toMatchObject({ did: [], waitsFor: 'staging' });
    expect((await carry()).status).toBe(3);
    for (const name of NODES) expect((await step(name)).value).toMatchObject({ did: ['signed epoch 1'] });
    expect((await boot('south')).stderr).toContain('no committed epoch');
    await carry();
    for (const name of NODES) expect((await step(name)).value).toMatchObject({ did: ['acknowledged epoch 1'] });
    expect(await carry()).toMatchObject({ status: 0, value: { committed: 1, settled: true } });
  });

  it('boot with their own share, and leave no quorate behind', async () => {
    for (const name of NODES) {
      const { status, shares, stderr } = await boot(name);
      expect(status).toBe(0);
      expect(shares).toEqual([`1: ${name} 1`]);
      expect(stderr.trimEnd().endsWith('sh')).toBe(true);
    }
  });

  it('move together: both epochs until all have acknowledged, then the new one', async () => {
    for (const name of NODES) await put(name, 2);
    await carry();
    for (const name of NODES) await step(name);
    await carry();
    await step('north');
    expect((await boot('north')).shares).toEqual(['2: north 2', '1: north 1']);
    // South has the commit record, and acknowledges by booting.
    expect((await boot('south')).shares).toEqual(['2: south 2', '1: south 1']);
    await carry();
    for (const name of NODES) expect((await step(name)).value).toMatchObject({ did: ['retired epoch 1'] });
    expect(await carry()).toMatchObject({ status: 0, value: { committed: 2, settled: true } });
    expect((await boot('north')).shares).toEqual(['2: north 2']);
    expect((await readdir(join(folder, 'north'))).sort()).toEqual([
      'signing.key',
      'treasury.epoch-2.key',
      'treasury.state.json',
    ]);
  });

  it('show where they are, to people and programs', async () => {
    const { status, stdout } = await run(['shares', 'status', 'treasury']);
    expect(status).toBe(0);
    expect(stdout).toContain('epoch 2 is committed, by all nodes');
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it('are nowhere in clear', async () => {
    for (const name of NODES) {
      const stored = await storedAnywhere(clusters[name]());
      for (const epoch of ['1', '2']) {
        expect(stored).not.toContain(`${name} ${epoch}`);
        expect(stored).not.toContain(Buffer.from(`${name} ${epoch}`).toString('base64').slice(0, 8));
      }
    }
  });

  it('refuse a store that was rolled back, and a node that lost its state', async () => {
    const { cluster, rootToken } = clusters.north();
    const state = join(folder, 'north/treasury.state.json');
    const kept = await readFile(state, 'utf8');
    const options = { token: rootToken };
    const read = async () => (await callPeer(cluster, 0, 'GET', 'mpc/data/treasury/statements', options)).body;
    const now = (await read()) as { data: { data: { statements: { text: string }[] }; metadata: { version: number } } };
    const write = (statements: unknown) =>
      callPeer(cluster, 0, 'POST', 'mpc/data/treasury/statements', { ...options, body: { data: { statements } } });
    await write(now.data.data.statements.filter(({ text }) => !text.includes('"epoch":2')));
    expect((await boot('north')).status).toBe(5);
    expect((await boot('north')).stderr).toContain('rolled back');
    expect((await step('north')).status).toBe(5);
    await carry(); // what the other store knows comes back
    expect((await boot('north')).shares).toEqual(['2: north 2']);

    await run(['shares', 'status', 'treasury', '--export', 'statements.json']);
    await writeFile(state, '{}');
    expect((await boot('north')).status).toBe(1);
    await mkdir(join(folder, 'aside'), { recursive: true });
    const { unlink } = await import('node:fs/promises');
    await unlink(state);
    expect((await boot('north')).status).toBe(5);
    const found = await run([
      ...['node', 'boot', 'treasury', ...asNode('north'), '--acknowledgements', 'statements.json'],
      ...['--exec', '--', '/bin/true'],
    ]);
    expect(found.status).toBe(0);
    expect(await readFile(state, 'utf8')).toBe(kept);
  });

  it('are given up before they are signed, never after', async () => {
    await put('north', 3);
    await put('south', 3);
    expect((await json(['shares', 'refresh', 'treasury', ...asNode('south'), '--abandon', '3'])).status).toBe(0);
    await carry();
    expect((await step('north')).value).toMatchObject({ did: [] });
    expect((await put('south', 3)).status).toBe(5);
    expect((await json(['shares', 'refresh', 'treasury', ...asNode('south'), '--abandon', '2'])).status).toBe(5);
    for (const name of NODES) expect((await put(name, 4)).status).toBe(0);
    for (let round = 0; round < 3; round += 1) {
      await carry();
      for (const name of NODES) await step(name);
    }
    expect((await carry()).value).toMatchObject({ committed: 4, settled: true });
  });

  it('are refused on one cluster, unless that is accepted, which every status says', async () => {
    const file = join(folder, 'quorate.yaml');
    const apart = await readFile(file, 'utf8');
    const address = clusters.north().cluster.peers[0]?.address ?? '';
    const together = apart.replace(clusters.south().cluster.peers[0]?.address ?? '?', `${address}/`);
    await writeFile(file, together);
    const refused = await run(['shares', 'status', 'treasury']);
    await writeFile(file, `${together}    accept-shared-root: true\n`);
    const accepted = await json(['shares', 'status', 'treasury']);
    await writeFile(file, apart);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('north and south');
    expect(accepted.value).toMatchObject({ sharedRoot: [['north', 'south']] });
  });

  it('exit as the program does, and as env(1) does without one', async () => {
    const exec = (...program: string[]) =>
      run(['node', 'boot', 'treasury', ...asNode('north'), '--wait', '0', '--exec', '--', ...program]);
    expect((await exec('/bin/sh', '-c', 'exit 9')).status).toBe(9);
    expect((await exec('/nowhere/mpc')).status).toBe(127);
    expect((await exec('/etc/passwd')).status).toBe(126);
  });

  it('go to no disk', async () => {
    const onDisk = ['node', 'boot', 'treasury', ...asNode('north'), '--output', join(folder, 'share.json')];
    const { status, stderr } = await run(onDisk);
    const { type } = await import('node:fs').then(({ statfsSync }) => statfsSync(folder));
    if (type === 0x01021994) return; // the machine's temporary folder is in memory itself
    expect(status).toBe(1);
    expect(stderr).toContain('disk');
    expect(await readdir(folder)).not.toContain('share.json');
  });
});

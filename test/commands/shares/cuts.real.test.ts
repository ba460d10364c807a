import { beforeAll, describe, expect, it } from 'vitest';
import { type CuttingProxy, type Fault, startCuttingProxy } from '../../support/cutting-proxy.ts';
import { at } from '../../support/http.ts';
import { type Ended, type Running, startQuorate } from '../../support/quorate.ts';
import { asNode, moveTo, type NodeName, NODES, putShare, sharedWallet } from '../../support/wallet.ts';

const shared = sharedWallet();
const proxies = new Map<NodeName, CuttingProxy>();
/** What happens to the next write of a store, wherever it is; gone once it happened. */
let strike: (() => Fault) | undefined;

const start = (args: readonly string[], input = ''): Running =>
  startQuorate(args, { cwd: shared().folder, launcher: true, input });
const refresh = (name?: NodeName, ...more: readonly string[]): Running =>
  start(['shares', 'refresh', 'treasury', ...(name === undefined ? [] : asNode(shared().folder, name)), ...more]);

function put(name: NodeName, epoch: number): Running {
  const index = (NODES.indexOf(name) + 1).toString();
  const what = ['--epoch', epoch.toString(), '--scheme', 'cggmp21', '--index', index, '--share-fd', '0'];
  return start(['shares', 'put', 'treasury', ...asNode(shared().folder, name), ...what], `${name} ${epoch.toString()}`);
}

/** The epochs that a node starts with; every share is its own. */
async function boot(name: NodeName): Promise<number[]> {
  const args = ['node', 'boot', 'treasury', ...asNode(shared().folder, name), '--wait', '0'];
  const { stdout, status, stderr } = await start([...args, '--exec', '--', '/bin/sh', '-c', 'cat <&3']).ended;
  expect(status, stderr).toBe(0);
  const { shares } = JSON.parse(stdout) as { shares: { epoch: number; share: string }[] };
  for (const { epoch, share } of shares) {
    expect(Buffer.from(share, 'base64').toString()).toBe(`${name} ${epoch.toString()}`);
  }
  return shares.map(({ epoch }) => epoch);
}

/** All commands of one move, in their order. */
const commandsOf = (epoch: number): (() => Running)[] => {
  const nodes = (): (() => Running)[] => NODES.map((name) => () => refresh(name));
  const carry = (): Running => refresh();
  const stage = NODES.map((name) => () => put(name, epoch));
  return [...stage, carry, ...nodes(), carry, ...nodes(), carry, ...nodes(), carry];
};

beforeAll(async () => {
  const { run, giveSecretId, describe: write, clusters } = shared();
  await run(['shares', 'setup', 'treasury', '--yes']);
  for (const node of NODES) await giveSecretId(node);
  await moveTo(shared(), 1);
  for (const node of NODES) {
    const watcher = (request: string): Fault | undefined => {
      if (!/^POST mpc\/data\//.test(request)) return undefined;
      const fault = strike?.();
      strike = undefined;
      return fault;
    };
    proxies.set(node, await startCuttingProxy(clusters[node].cluster, 0, watcher));
  }
  const through = (name: NodeName) => ({ peers: [{ name, address: proxies.get(name)?.address ?? '' }] });
  await write({ clusters: { north: through('north'), south: through('south') } });
});

/** Strikes the first write of every command of a move, then runs the command again as a person would. */
async function moveStruck(epoch: number, fault: (running: () => Running) => Fault, meanwhile?: () => Promise<void>) {
  let struck = 0;
  for (const command of commandsOf(epoch)) {
    strike = () => {
      struck += 1;
      return fault(() => running);
    };
    const running = command();
    await running.ended;
    strike = undefined;
    await meanwhile?.();
    const again: Ended = await command().ended;
    expect([0, 3], again.stderr).toContain(again.status);
  }
  const settled = await shared().json(['shares', 'refresh', 'treasury']);
  expect(settled, settled.stderr).toMatchObject({ status: 0, value: { committed: epoch, settled: true } });
  for (const name of NODES) expect(await boot(name)).toEqual([epoch]);
  // Nodes that boot in between write acknowledgements themselves, which leaves less to strike.
  expect(struck).toBeGreaterThanOrEqual(meanwhile === undefined ? 10 : 6);
}

describe('a move of two nodes on two clusters', () => {
  it('comes to its end although the reply to every write is lost, or says 500 after the write', async () => {
    let writes = 0;
    await moveStruck(2, () => ({ kind: (writes += 1) % 2 === 0 ? 'before-reply' : 'internal-error' }));
  });

  it('comes to its end although every command is killed when its first write arrives, which is then made', async () => {
    const kill = (running: () => Running): Fault => ({
      kind: 'around',
      before: () => {
        running().child.kill('SIGKILL');
        return Promise.resolve();
      },
    });
    const common = async (): Promise<void> => {
      const [north, south] = [await boot('north'), await boot('south')];
      expect(north.filter((epoch) => south.includes(epoch)).length).toBeGreaterThan(0);
    };
    await moveStruck(3, kill, common);
  });

  it('comes to its end although every command is killed before its first write', async () => {
    await moveStruck(4, (running) => {
      running().child.kill('SIGKILL');
      return { kind: 'before-request' };
    });
  });

  it('is one move, though two operators and all nodes drive it at once', async () => {
    for (const name of NODES) expect((await putShare(shared(), name, 5)).status).toBe(0);
    const all = [refresh(undefined, '--wait', '90'), refresh(undefined, '--wait', '90')];
    for (const name of NODES) all.push(refresh(name, '--wait', '20'));
    for (const { status, stderr } of await Promise.all(all.map(({ ended }) => ended))) {
      expect([0, 3], stderr).toContain(status);
    }
    for (const name of NODES) await refresh(name).ended;
    expect((await shared().json(['shares', 'refresh', 'treasury'])).value).toMatchObject({
      committed: 5,
      settled: true,
    });
    for (const name of NODES) {
      const { body } = await shared().asRoot(name, 'GET', 'mpc/data/treasury/statements');
      const statements = at(body, 'data', 'data', 'statements') as { kind: string; text: string }[];
      const commits = statements.filter(({ kind, text }) => kind === 'commit' && text.includes('"epoch":5,'));
      expect(new Set(commits.map(({ text }) => text)).size).toBe(1);
      expect(await boot(name)).toEqual([5]);
    }
  });
});

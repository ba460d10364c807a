import { beforeAll, describe, expect, it } from 'vitest';
import { strikable, STRIKES, type StruckWallet } from '../../shares/struck-move.ts';
import { chanceOf } from '../../faults/random.ts';
import { at } from '../../support/http.ts';
import { type Running, startQuorate } from '../../support/quorate.ts';
import { asNode, moveTo, type NodeName, NODES, putShare, sharedWallet } from '../../support/wallet.ts';

const shared = sharedWallet();
let struckWallet: StruckWallet;

const start = (args: readonly string[]): Running => startQuorate(args, { cwd: shared().folder, launcher: true });
const refresh = (name?: NodeName, ...more: readonly string[]): Running =>
  start(['shares', 'refresh', 'treasury', ...(name === undefined ? [] : asNode(shared().folder, name)), ...more]);

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

beforeAll(async () => {
  const { run, giveSecretId } = shared();
  await run(['shares', 'setup', 'treasury', '--yes']);
  for (const node of NODES) await giveSecretId(node);
  await moveTo(shared(), 1);
  struckWallet = await strikable(shared());
});

describe('a move of two nodes on two clusters', () => {
  // The whole of it, every strike at every request, is `npm run faults:shares`.
  it('comes to its end although requests, replies and commands are lost at every step, and nodes can start all the time', async () => {
    let count = 0;
    const struck = await struckWallet.move(2, (command, number) =>
      chanceOf(command, number).fraction() < 0.15 ? STRIKES[(count += 1) % STRIKES.length] : undefined,
    );
    expect(new Set(struck.map(({ strike }) => strike))).toEqual(new Set(STRIKES));
  });

  it('is one move, though two operators and all nodes drive it at once', async () => {
    for (const name of NODES) expect((await putShare(shared(), name, 3)).status).toBe(0);
    const all = [refresh(undefined, '--wait', '90'), refresh(undefined, '--wait', '90')];
    for (const name of NODES) all.push(refresh(name, '--wait', '20'));
    for (const { status, stderr } of await Promise.all(all.map(({ ended }) => ended))) {
      expect([0, 3], stderr).toContain(status);
    }
    for (const name of NODES) await refresh(name).ended;
    expect((await shared().json(['shares', 'refresh', 'treasury'])).value).toMatchObject({
      committed: 3,
      settled: true,
    });
    for (const name of NODES) {
      const { body } = await shared().asRoot(name, 'GET', 'mpc/data/treasury/statements');
      const statements = at(body, 'data', 'data', 'statements') as { kind: string; text: string }[];
      const commits = statements.filter(({ kind, text }) => kind === 'commit' && text.includes('"epoch":3,'));
      expect(new Set(commits.map(({ text }) => text)).size).toBe(1);
      expect(await boot(name)).toEqual([3]);
    }
  });
});

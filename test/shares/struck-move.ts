import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bootNode } from '../../src/shares/boot.ts';
import type { Wallet } from '../../src/shares/epochs.ts';
import { fileKeys, stateFile } from '../../src/shares/home.ts';
import { kvStore } from '../../src/shares/kv-store.ts';
import { Secret } from '../../src/secret.ts';
import { connectPeer } from '../../src/vault/connect.ts';
import { type CuttingProxy, type Fault, startCuttingProxy } from '../support/cutting-proxy.ts';
import { type Running, startQuorate } from '../support/quorate.ts';
import { at } from '../support/http.ts';
import { asNode, type NodeName, NODES, type TestWallet } from '../support/wallet.ts';

/** What can happen to a request, or to the command that sends it. */
export const STRIKES = ['lost', 'reply lost', 'reply cut', 'done but 500', 'killed before', 'killed after'] as const;
export type Strike = (typeof STRIKES)[number];

/** One command that was struck, and how it ended. */
export interface StruckCommand {
  readonly command: string;
  /** Which of its requests, from 1. */
  readonly request: string;
  readonly strike: Strike;
  readonly status: number | null;
}

/** A wallet whose nodes and operator reach their servers only through proxies that can strike any request. */
export interface StruckWallet {
  /**
   * Moves the wallet to `epoch` by every command of a move. Before a command does its part, it is run once for each of its
   * requests that `choose` names a strike for, from the same stores and disks each time, and then again without a strike:
   * after the first run the nodes, looked at without touching anything, must hold a common epoch that both can read; after
   * the second all must be as if nothing had happened.
   */
  move(epoch: number, choose: (command: string, number: number) => Strike | undefined): Promise<StruckCommand[]>;
}

/** @throws where the invariant does not hold, a command fails for good, or one ends with a bug. */
export async function strikable(wallet: TestWallet): Promise<StruckWallet> {
  let strike: ((request: string) => Fault | undefined) | undefined;
  const proxies = new Map<NodeName, CuttingProxy>();
  for (const name of NODES) {
    proxies.set(name, await startCuttingProxy(wallet.clusters[name].cluster, 0, (request) => strike?.(request)));
  }
  const through = (name: NodeName) => ({ peers: [{ name, address: proxies.get(name)?.address ?? '' }] });
  await wallet.describe({ clusters: { north: through('north'), south: through('south') } });
  const start = (args: readonly string[], input = ''): Running =>
    startQuorate(args, { cwd: wallet.folder, launcher: true, input });

  const struckOnce = async (command: Command, number: number, how: Strike): Promise<StruckCommand | undefined> => {
    let request: string | undefined;
    let seen = 0;
    strike = (asked) => {
      seen += 1;
      if (seen !== number) return undefined;
      request = asked;
      return faultOf(how, () => running.child.kill('SIGKILL'));
    };
    const running = command.start(start);
    const ended = await running.ended;
    strike = undefined;
    if (ended.status === 70) throw new Error(`${command.name}, request ${number.toString()} ${how}: ${ended.stderr}`);
    if (request === undefined) return undefined;
    return { command: command.name, request: `${number.toString()} ${request}`, strike: how, status: ended.status };
  };

  const cleanly = async (command: Command): Promise<{ readonly left: string; readonly requests: number }> => {
    let requests = 0;
    strike = () => {
      requests += 1;
      return undefined;
    };
    const { status, stderr } = await command.start(start).ended;
    strike = undefined;
    if (status !== 0 && status !== 3) throw new Error(`${command.name}: ${stderr}`);
    await judge(wallet);
    return { left: summaryOf(await look(wallet)), requests };
  };

  return {
    move: async (epoch, choose) => {
      const all: StruckCommand[] = [];
      for (const command of commandsOf(wallet, epoch)) {
        const before = await look(wallet);
        await keepDisks(wallet);
        const after = await cleanly(command);
        for (let number = 1; number <= after.requests; number += 1) {
          const how = choose(command.name, number);
          if (how === undefined) continue;
          await bringBack(wallet, before);
          const struck = await struckOnce(command, number, how);
          await judge(wallet);
          const again = await cleanly(command);
          const what = `${command.name}, request ${number.toString()} ${how}`;
          if (again.left !== after.left) throw new Error(`${what}: ${again.left} in place of ${after.left}`);
          // A request that it made in the first place, it may have no reason for now.
          if (struck === undefined) continue;
          all.push(struck);
        }
      }
      const settled = await start(['shares', 'refresh', 'treasury']).ended;
      if (settled.status !== 0) throw new Error(`the move is not settled: ${settled.stderr}`);
      const held = await judge(wallet);
      if (held.join() !== epoch.toString()) throw new Error(`the nodes hold ${held.join()}`);
      return all;
    },
  };
}

interface Command {
  readonly name: string;
  start(start: (args: readonly string[], input?: string) => Running): Running;
}

function commandsOf(wallet: TestWallet, epoch: number): readonly Command[] {
  const number = epoch.toString();
  const carry: Command = { name: 'carry', start: (start) => start(['shares', 'refresh', 'treasury']) };
  const of = (
    what: string,
    args: (name: NodeName) => readonly string[],
    input = (name: NodeName) => `${name} ${number}`,
  ) =>
    NODES.map((name): Command => ({
      name: `${what} ${name}`,
      start: (start) => start([...args(name)], input(name)),
    }));
  const node = (name: NodeName): string[] => ['treasury', ...asNode(wallet.folder, name)];
  const put = of('put', (name) => {
    const index = (NODES.indexOf(name) + 1).toString();
    const what = ['--epoch', number, '--scheme', 'cggmp21', '--index', index, '--share-fd', '0'];
    return ['shares', 'put', ...node(name), ...what];
  });
  const refresh = of('refresh', (name) => ['shares', 'refresh', ...node(name)]);
  const boot = of('boot', (name) => ['node', 'boot', ...node(name), '--wait', '0', '--exec', '--', 'true']);
  return [...put, carry, ...refresh, carry, ...boot, ...refresh, carry, ...refresh, carry, ...boot];
}

function faultOf(how: Strike, kill: () => void): Fault {
  const before = (): Promise<void> => {
    kill();
    return Promise.resolve();
  };
  switch (how) {
    case 'lost':
      return { kind: 'before-request' };
    case 'reply lost':
      return { kind: 'before-reply' };
    case 'reply cut':
      return { kind: 'within-reply', bytes: 20 };
    case 'done but 500':
      return { kind: 'internal-error' };
    case 'killed before':
      kill();
      return { kind: 'before-request' };
    case 'killed after':
      return { kind: 'before-reply', before };
  }
}

/** What is in both stores and on both nodes' disks. */
interface Moment {
  readonly stores: ReadonlyMap<string, { readonly version: number; readonly data: unknown }>;
  readonly disks: ReadonlyMap<NodeName, ReadonlyMap<string, string>>;
}

const ENTRIES = ['envelopes', 'statements'];

async function look(wallet: TestWallet): Promise<Moment> {
  const stores = new Map<string, { version: number; data: unknown }>();
  const disks = new Map<NodeName, ReadonlyMap<string, string>>();
  for (const name of NODES) {
    for (const entry of ENTRIES) {
      const { body } = await wallet.asRoot(name, 'GET', `mpc/data/treasury/${entry}`);
      const version = Number(at(body, 'data', 'metadata', 'version'));
      stores.set(`${name} ${entry}`, { version, data: at(body, 'data', 'data') });
    }
    const home = join(wallet.folder, name);
    const files = (await readdir(home)).sort();
    disks.set(
      name,
      new Map(await Promise.all(files.map(async (file) => [file, await readFile(join(home, file), 'utf8')] as const))),
    );
  }
  return { stores, disks };
}

/** Keeps the disks, to be brought back. */
async function keepDisks(wallet: TestWallet): Promise<void> {
  for (const name of NODES) {
    await rm(join(wallet.folder, 'kept', name), { recursive: true, force: true });
    await cp(join(wallet.folder, name), join(wallet.folder, 'kept', name), { recursive: true });
  }
}

/** Everything as it was at that moment, when the disks were kept. */
async function bringBack(wallet: TestWallet, { stores }: Moment): Promise<void> {
  for (const name of NODES) {
    for (const entry of ENTRIES) {
      const path = `mpc/data/treasury/${entry}`;
      const { body } = await wallet.asRoot(name, 'GET', path);
      const { data } = stores.get(`${name} ${entry}`) ?? {};
      if (JSON.stringify(at(body, 'data', 'data')) === JSON.stringify(data)) continue;
      const options = { cas: Number(at(body, 'data', 'metadata', 'version')) };
      const { status } = await wallet.asRoot(name, 'POST', path, { data, options });
      if (status !== 200) throw new Error(`${path} could not be brought back`);
    }
    const home = join(wallet.folder, name);
    await rm(home, { recursive: true });
    await cp(join(wallet.folder, 'kept', name), home, { recursive: true });
  }
}

/** What counts of it: who has stated what of which epoch, and which keys and shares there are. */
function summaryOf({ stores, disks }: Moment): string {
  const lines: string[] = [];
  for (const [place, { data }] of stores) {
    const list = (at(data, 'envelopes') ?? at(data, 'statements')) as readonly {
      kind?: string;
      node: string;
      text: string;
    }[];
    const each = list.map(
      ({ kind = 'envelope', node, text }) => `${kind} ${node} ${/"epoch":(\d+)/.exec(text)?.[1] ?? ''}`,
    );
    lines.push(`${place}: ${each.sort().join(', ')}`);
  }
  for (const [name, files] of disks) {
    lines.push(
      `${name}: ${[...files.keys()].join(', ')}, ${/"committed":\d+/.exec(files.get('treasury.state.json') ?? '')?.[0] ?? ''}`,
    );
  }
  return lines.join('; ');
}

/** What both nodes would start with now, of which nothing changes by looking. @returns the epochs that both can read. */
async function judge(wallet: TestWallet): Promise<readonly number[]> {
  const pinned: Wallet = { name: 'treasury', threshold: 2, nodes: new Map(Object.entries(wallet.keys)) };
  const held: number[][] = [];
  for (const name of NODES) {
    const { cluster, rootToken } = wallet.clusters[name];
    const peer = connectPeer({ name, address: cluster.peers[0]?.address ?? '', ca: cluster.caFile });
    const token = Secret.fromText(rootToken);
    const session = peer.session(token);
    token.wipe();
    try {
      const home = join(wallet.folder, name);
      const nothing = (): Promise<void> => Promise.resolve();
      const store = {
        ...kvStore(session, `mpc`, 'treasury'),
        publish: nothing,
        addEnvelope: nothing,
        dropEnvelope: nothing,
      };
      const state = { ...stateFile(home, 'treasury'), write: nothing };
      const { shares } = await bootNode(pinned, { name, store, state, keys: await fileKeys(home, 'treasury') });
      for (const { epoch, share } of shares) {
        const text = new TextDecoder().decode(share);
        if (text !== `${name} ${epoch.toString()}`)
          throw new Error(`${name} has another share of epoch ${epoch.toString()}`);
      }
      held.push(shares.map(({ epoch }) => epoch));
    } finally {
      session.close();
      peer.close();
    }
  }
  const [one = [], other = []] = held;
  const common = one.filter((epoch) => other.includes(epoch));
  if (common.length === 0) throw new Error(`no common epoch: north has ${one.join()}, south has ${other.join()}`);
  return common;
}

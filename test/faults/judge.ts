import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { callPeer, freshCluster, leaderIndex } from '../support/cluster.ts';
import { at } from '../support/http.ts';
import { waitUntil } from '../support/wait.ts';
import type { ThrowawayCluster } from '../../src/rehearsal/cluster.ts';

/** Shares of one generation, in hexadecimal. */
export interface ShareList {
  readonly shares: readonly string[];
  readonly threshold: number;
}

/** What a copy of one peer's disk says. */
export interface Judgement {
  readonly peer: string;
  /** Which of the sets open it. */
  readonly opens: readonly boolean[];
}

const WITNESS = 'quorate/data/witness';

/**
 * A peer of its own, on which copies of other peers' data are opened cold: with nothing but what was on the disk, as
 * after a power cut, and without the help of any other peer.
 */
export class Judge {
  readonly #cluster: ThrowawayCluster;

  /** The copies open themselves, and the sets are recovery shares. */
  readonly #recovery: boolean;

  private constructor(cluster: ThrowawayCluster, recovery: boolean) {
    this.#cluster = cluster;
    this.#recovery = recovery;
  }

  static async open(seal?: string): Promise<Judge> {
    const cluster = await freshCluster({ peers: 1, audit: false, ...(seal === undefined ? {} : { seal }) });
    await cluster.kill(0);
    return new Judge(cluster, seal !== undefined);
  }

  /** Judges the data of one peer, running or not. With a witness, what opens must hold that value too. */
  async judge(
    {
      cluster,
      index,
      token,
      witness,
      whole = false,
    }: {
      readonly cluster: ThrowawayCluster;
      readonly index: number;
      readonly token?: string;
      readonly witness?: string;
      /** What opens it must still do so after its root key was rotated once more: no half of a rotation is left. */
      readonly whole?: boolean;
    },
    sets: readonly ShareList[],
  ): Promise<Judgement> {
    const peer = cluster.peers[index];
    if (peer === undefined) throw new Error(`there is no peer ${index.toString()}`);
    const opens = sets.map(() => false);
    let running = false;
    try {
      // From the last to the first: one that is refused leaves the copy as it was.
      for (const [at, set] of [...sets.entries()].reverse()) {
        if (!running) {
          await this.#copy(cluster, index);
          await this.#cluster.start(0);
        }
        const open = this.#recovery ? await this.#recovers(set, token ?? '') : await this.#opens(set);
        if (open && token !== undefined && witness !== undefined) await this.#expect(token, witness);
        if (open && token !== undefined && whole) await this.#expectWhole(set, token);
        opens[at] = open;
        running = !open;
        if (open) await this.#cluster.kill(0);
      }
    } finally {
      if (running) await this.#cluster.kill(0);
    }
    return { peer: peer.name, opens };
  }

  /** The peer stands still meanwhile, so that the copy is what a crash would have left. */
  async #copy(cluster: ThrowawayCluster, index: number): Promise<void> {
    const own = this.#cluster.peers[0];
    const peer = cluster.peers[index];
    if (own === undefined || peer === undefined) throw new Error('no such peer');
    const { pid } = peer;
    await rm(own.dataFolder, { recursive: true, force: true });
    if (pid !== undefined) process.kill(pid, 'SIGSTOP');
    try {
      await cp(peer.dataFolder, own.dataFolder, { recursive: true });
    } finally {
      if (pid !== undefined) process.kill(pid, 'SIGCONT');
    }
    // The way both servers document to start a cluster anew from one peer: it is the only one, at this address.
    const only = [{ id: own.name, address: `127.0.0.1:${own.clusterPort.toString()}`, non_voter: false }];
    await writeFile(join(own.dataFolder, 'raft', 'peers.json'), JSON.stringify(only));
    await rm(join(own.dataFolder, 'node-id'), { force: true });
  }

  async #opens({ shares, threshold }: ShareList): Promise<boolean> {
    for (const key of shares.slice(0, threshold)) {
      const { status, body } = await callPeer(this.#cluster, 0, 'PUT', 'sys/unseal', { body: { key } });
      if (status === 200 && at(body, 'sealed') === false) break;
      if (status !== 200) return false;
    }
    const { body } = await callPeer(this.#cluster, 0, 'GET', 'sys/seal-status');
    if (at(body, 'sealed') !== false) return false;
    await waitUntil('the copy leads', async () => (await leaderIndex(this.#cluster)) !== undefined);
    return true;
  }

  /** On a copy that has opened itself: whether the recovery shares are the live ones, by a rotation with them. */
  async #recovers({ shares, threshold }: ShareList, token: string): Promise<boolean> {
    await waitUntil('the copy leads', async () => (await leaderIndex(this.#cluster)) !== undefined);
    const put = (path: string, body: unknown) =>
      callPeer(this.#cluster, 0, 'PUT', `sys/rotate/recovery/${path}`, { token, body });
    const started = await waitUntil('the copy rotates', async () => {
      const reply = await put('init', { secret_shares: 1, secret_threshold: 1 });
      return reply.status === 200 && reply.body;
    });
    const nonce = at(started, 'data', 'nonce');
    let last: unknown;
    for (const key of shares.slice(0, threshold)) last = (await put('update', { key, nonce })).body;
    const complete = at(last, 'data', 'complete') === true;
    if (!complete) await callPeer(this.#cluster, 0, 'DELETE', 'sys/rotate/recovery/init', { token, body: { nonce } });
    return complete;
  }

  async #expect(token: string, witness: string): Promise<void> {
    const value = await waitUntil('the copy answers', async () => {
      const { status, body } = await callPeer(this.#cluster, 0, 'GET', WITNESS, { token });
      return status === 200 && String(at(body, 'data', 'data', 'word'));
    });
    if (value !== witness) throw new Error(`the copy holds ${value}, not ${witness}`);
  }

  /** The server wraps a root key with the key of the shares that it keeps itself, which a rotation writes last. */
  async #expectWhole(set: ShareList, token: string): Promise<void> {
    const { status } = await callPeer(this.#cluster, 0, 'POST', 'sys/rotate/root', { token });
    if (status >= 300) throw new Error(`the copy answered POST sys/rotate/root with ${status.toString()}`);
    await this.#cluster.kill(0);
    await this.#cluster.start(0);
    if (!(await this.#opens(set))) throw new Error('the copy does not open again once its root key was rotated');
  }
}

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { callPeer, startAll, startOver, waitForAll } from '../support/cluster.ts';
import { at } from '../support/http.ts';
import { takeBack } from '../support/rotation-faults.ts';
import type { Kind } from './cells.ts';
import type { ShareList } from './judge.ts';
import type { Lab } from './lab.ts';
import type { Sitting } from './room.ts';

/* What people do between two sittings, by what the screens say and the README. */

export const UNSEAL = ['unseal'] as const;

/** What people do after a sitting that did not end well, by what its screen says and the README; `over` when nothing does. */
export async function follow(
  lab: Lab,
  kind: Kind,
  { code, screen }: Sitting,
  last: readonly string[],
  first: readonly string[],
  own: readonly string[],
): Promise<readonly string[] | 'over'> {
  const said = screen.slice(Math.max(0, screen.lastIndexOf('\nerror'))).replaceAll(/\s+/g, ' ');
  const recover = /quorate (recover --record \S+)/.exec(said)?.[1];
  if (recover !== undefined) return recover.split(' ');
  // Of people who went home: the ceremony is over for good.
  if (said.includes('another ceremony holds the lock') && said.includes('--accept lock') && last === first)
    return [...first, '--accept', 'lock', '--reason', 'given up'];
  if (said.includes('init-reply-lost') && /wipe/.test(said)) {
    await startOver(lab.cluster);
    await rm(join(lab.desk, 'login.secret-id'), { force: true });
    return first;
  }
  const inDoubt = /^!! {2}/m.test(screen);
  const down = lab.cluster.peers.some(({ pid }) => pid === undefined);
  await attend(lab, !inDoubt);
  // What was printed comes first; only when that leads no further do people look at what is sealed.
  const resumed = last[1] === 'resume' && code !== undefined;
  if (resumed && kind !== 'init' && kind !== 'unseal' && !inDoubt && lab.seal === undefined && (await anySealed(lab)))
    return UNSEAL;
  if (down) await waitForAll(lab.cluster, 'answers', () => true);
  // An unseal that is over leaves nothing to resume: what it did not open is another's.
  if (kind === 'unseal' && /For the rest, when .{2,8} ready: quorate unseal/.test(screen.replaceAll(/\s+/g, ' ')))
    return first;
  const record = own.at(-1);
  return record === undefined ? first : ['ceremony', 'resume', record];
}

/**
 * Peers that quorate called away, and that no shares have opened since, are treated as it said: the one set, the other,
 * or removed from Raft, wiped, and joined again.
 */
export async function rejoin(lab: Lab, screens: string, other: ReadonlyMap<string, string>): Promise<void> {
  const said = screens.replaceAll(/\s+/g, ' ');
  const away = lab.cluster.peers.filter(({ name }) => said.includes(`${name} is away. Its disk is as it was`));
  if (away.length > 0) await bringBack(lab, lab.list(other));
}

/** Servers that are down are started, and those that hang are restarted, where that is not forbidden. */
export async function attend(lab: Lab, mayRestart: boolean): Promise<void> {
  const { cluster } = lab;
  await startAll(cluster).catch(() => startAll(cluster));
  if (!mayRestart) return;
  for (const index of cluster.peers.keys()) {
    const answers = await Promise.race([
      callPeer(cluster, index, 'GET', 'sys/seal-status').then(
        () => true,
        () => false,
      ),
      sleep(HANGS, false),
    ]);
    if (answers) continue;
    await cluster.kill(index);
    await cluster.start(index);
  }
}

const HANGS = 10_000;

export async function anySealed(lab: Lab): Promise<boolean> {
  const seals = await Promise.all(
    lab.cluster.peers.map(async (_, index) => (await callPeer(lab.cluster, index, 'GET', 'sys/seal-status')).body),
  );
  return seals.some((body) => at(body, 'sealed') === true);
}

/** Peers that went down are no part of the ceremony any more: they take the live set, the other, or join anew. */
export async function bringBack(lab: Lab, other: ShareList): Promise<void> {
  const live = lab.live();
  for (const index of lab.cluster.peers.keys()) {
    if (lab.cluster.peers[index]?.pid !== undefined) {
      const { body } = await callPeer(lab.cluster, index, 'GET', 'sys/seal-status');
      if (at(body, 'sealed') !== true) continue;
      await lab.cluster.kill(index);
    }
    const sets = [live, ...(other.shares.length === 0 ? [] : [{ ...live, ...other }])];
    await takeBack(live, index, sets);
  }
}

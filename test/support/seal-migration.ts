import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LiveCluster } from './cluster.ts';

/** The stanzas by the type of the seal, and `disabled` in an old one. */
export type Stanzas = (type: string, disabled: boolean) => string;

/** Puts seal stanzas, and no others, into the configuration of a peer. */
export async function writeSeal({ cluster }: LiveCluster, index: number, stanzas: string): Promise<void> {
  const file = join(cluster.peers[index]?.folder ?? '', 'server.hcl');
  const text = await readFile(file, 'utf8');
  await writeFile(file, `${text.replaceAll(/\nseal "[\s\S]*?\n}\n/g, '\n')}\n${stanzas}\n`);
}

/** Does to the servers what people are told to: their configuration first, then a restart. */
export function administering(live: LiveCluster, stanzas: Stanzas): (say: string) => Promise<void> {
  return async (say) => {
    const name = /server of (\S+?)[.,]/.exec(say)?.[1];
    const index = live.cluster.peers.findIndex((peer) => peer.name === name);
    if (index < 0) return;
    const [doing = ''] = say.split(' Should it not ');
    const [, changed, fresh] = /(?:Put|Have) the (new )?([\w-]+) stanza/.exec(doing) ?? [];
    const disabled = /the (?:old )?([\w-]+) stanza with disabled/.exec(doing)?.[1];
    const text = [
      ...(fresh === undefined || (fresh === disabled && changed === undefined) ? [] : [stanzas(fresh, false)]),
      ...(disabled === undefined ? [] : [stanzas(disabled, true)]),
    ].join('\n');
    await writeSeal(live, index, text);
    if (live.cluster.peers[index]?.pid !== undefined) await live.cluster.kill(index, 'SIGTERM');
    // As its unit would (Restart=on-failure): a server whose plugin does not answer in time ends.
    await live.cluster.start(index).catch(() => live.cluster.start(index));
  };
}

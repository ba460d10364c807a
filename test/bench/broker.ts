import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderYaml } from '../../src/document.ts';
import { endAll } from '../support/at-end.ts';
import { baoBinary } from '../support/bao-binary.ts';
import { startBroker } from '../support/broker.ts';
import { environment } from './quorate.ts';

export interface BenchBroker {
  readonly bao: string;
  /** Names the server and holds a token of the CI login. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The same with a root token, for what the CI login's policy keeps from other clients. */
  readonly root: Readonly<Record<string, string | undefined>>;
  /** A folder with a quorate.yaml, as a project that uses quorate has one. */
  readonly cwd: string;
  readonly close: () => Promise<void>;
}

/** A real OpenBao with a real PostgreSQL, set up by `quorate db setup`. */
export async function brokerFor(): Promise<BenchBroker> {
  const { ci, root, folder, live } = await startBroker({ engine: 'postgresql', ttl: '30m', maxTtl: '1h' });
  const peers = live.cluster.peers.map(({ name, address }) => ({ name, address }));
  const clusters = { prod: { peers, ca: live.cluster.caFile } };
  await writeFile(join(folder, 'quorate.yaml'), renderYaml({ clusters }));
  return { bao: await baoBinary(), env: environment(ci), root: environment(root), cwd: folder, close: endAll };
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectPeer } from '../../../src/vault/connect.ts';
import { prepareQuorum } from '../quorum-ceremony.ts';

/** What the program is told, as JSON on its standard input. */
export interface QuorumOrder {
  readonly folder: string;
  readonly script: Readonly<Record<string, unknown>>;
  readonly token: string;
  readonly givers: readonly string[];
  readonly peers: readonly { readonly name: string; readonly address: string; readonly ca: string }[];
  /** Ends this process by SIGKILL right before this line of the record is written (counted from 1). */
  readonly killBeforeLine: number;
}

/** Runs a ceremony in a process that can be killed. */
async function main(order: QuorumOrder): Promise<void> {
  let record: string | undefined;
  const ceremony = prepareQuorum({
    ...order,
    peers: order.peers.map((settings) => connectPeer(settings)),
    onFolder: (folder) => {
      record = join(folder, 'record.jsonl');
    },
    now: () => {
      const lines = record === undefined ? 0 : readFileSync(record, 'utf8').split('\n').length - 1;
      if (lines + 1 === order.killBeforeLine) die();
      return new Date();
    },
  });
  await ceremony.start();
}

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way: nothing more may happen here.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
}

void main(JSON.parse(readFileSync(0, 'utf8')) as QuorumOrder).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  },
);

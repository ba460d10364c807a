import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Peer, Session } from '../../../src/vault/peer.ts';
import { connectPeer } from '../../../src/vault/connect.ts';
import { type Crew, prepareCeremony } from '../ceremony.ts';

/** What the program is told, as JSON in its one argument. */
export interface InitOrder {
  readonly folder: string;
  readonly script: string;
  readonly crew: Crew;
  readonly peers: readonly { readonly name: string; readonly address: string; readonly ca: string }[];
  /** Ends this process by SIGKILL right before this line of the record is written (counted from 1). */
  readonly killBeforeLine?: number;
  /** Ends it by SIGKILL when the reply to this request is there, and nothing was done with it yet. */
  readonly killAfterReply?: string;
}

/** Runs an init with made-up people in a process that can be killed. */
async function main(order: InitOrder): Promise<void> {
  let record: string | undefined;
  const ceremony = await prepareCeremony({
    folder: order.folder,
    script: order.script,
    crew: order.crew,
    peers: order.peers.map((settings) => deadly(connectPeer(settings), order.killAfterReply)),
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

function deadly(peer: Peer, request: string | undefined): Peer {
  const strike = (text: string): void => {
    if (text === request) die();
  };
  return {
    ...peer,
    initialise: async (...given) => {
      const reply = await peer.initialise(...given);
      strike('POST sys/init');
      return reply;
    },
    unseal: async (...given) => {
      const status = await peer.unseal(...given);
      strike('POST sys/unseal');
      return status;
    },
    session: (token) => {
      const session = peer.session(token);
      const request: Session['request'] = async (method, path, ...rest) => {
        const reply = await session.request(method, path, ...rest);
        strike(`${method} ${path}`);
        return reply;
      };
      const write: Session['write'] = async (path, ...rest) => {
        const reply = await session.write(path, ...rest);
        strike(`POST ${path}`);
        return reply;
      };
      const deadlyOnes = { request, write };
      return new Proxy(session, {
        get: (target, name) => {
          if (Object.hasOwn(deadlyOnes, name)) return Reflect.get(deadlyOnes, name) as unknown;
          const member = Reflect.get(target, name) as unknown;
          return typeof member === 'function' ? (member.bind(target) as unknown) : member;
        },
      });
    },
  };
}

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way: nothing more may happen here.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
}

void main(JSON.parse(process.argv[2] ?? '{}') as InitOrder).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  },
);

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Published, Wallet } from '../../src/shares/epochs.ts';
import { hashOf, SHARE } from '../../src/shares/envelope.ts';
import { type Opener, openerFromPem } from '../../src/shares/hpke.ts';
import { advance, stage } from '../../src/shares/node.ts';
import type { Node, NodeState } from '../../src/shares/ports.ts';
import { type Signer, signerFromPem } from '../../src/shares/signing.ts';
import { readStatement, type Signed } from '../../src/shares/statement.ts';
import { QuorateError } from '../../src/errors.ts';

/** What survives a crash of one node. */
export interface Disk {
  state: NodeState | undefined;
  envelopes: Signed[];
  statements: Published[];
  keys: Map<number, string>;
}

export interface WorldNode {
  readonly disk: Disk;
  /** The node, over a disk; the same one unless another is given. */
  over(disk?: Disk): Node;
}

/** Thrown by a port where the world says that the process dies. */
export class Crash extends Error {}

const PKCS8 = { type: 'pkcs8', format: 'pem' } as const;
const signingPem = (): string => generateKeyPairSync('ed25519').privateKey.export(PKCS8).toString();
const encryptionPem = (): string => generateKeyPairSync('x25519').privateKey.export(PKCS8).toString();

const openers = new Map<string, Opener>();
/** The real opener, which opens the same ciphertext only once: a property asks for it thousands of times. */
const openerOf = (pem: string): Opener => {
  const known = openers.get(pem);
  if (known !== undefined) return known;
  const real = openerFromPem(pem);
  const opened = new Map<string, Promise<Uint8Array>>();
  const opener: Opener = {
    key: real.key,
    open: async (sealed, info, aad) => {
      const id = Buffer.concat([sealed.enc, sealed.ciphertext, info, aad]).toString('base64');
      const plaintext = opened.get(id) ?? real.open(sealed, info, aad);
      opened.set(id, plaintext);
      return new Uint8Array(await plaintext);
    },
  };
  openers.set(pem, opener);
  return opener;
};

/** A wallet of nodes whose stores and disks are in memory. `crash` is asked before and after everything that lasts. */
export function makeWorld(
  names: readonly string[],
  threshold: number,
  crash: () => boolean = () => false,
): { readonly wallet: Wallet; readonly nodes: ReadonlyMap<string, WorldNode> } {
  const signers = new Map(names.map((name) => [name, signerFromPem(signingPem())]));
  const wallet: Wallet = {
    name: 'treasury',
    threshold,
    nodes: new Map([...signers].map(([name, signer]) => [name, signer.key])),
  };
  const nodes = new Map(
    [...signers].map(([name, signer]): [string, WorldNode] => {
      const disk: Disk = { state: { committed: 0 }, envelopes: [], statements: [], keys: new Map() };
      return [name, { disk, over: (own = disk) => nodeOver(name, own, signer, crash) }];
    }),
  );
  return { wallet, nodes };
}

export function copyOf(disk: Disk): Disk {
  return { ...disk, envelopes: [...disk.envelopes], statements: [...disk.statements], keys: new Map(disk.keys) };
}

/** What the first of three nodes has when all have acknowledged a first epoch. */
export async function committedDisk(): Promise<Disk> {
  const { wallet, nodes } = makeWorld(['east', 'north', 'south'], 2);
  const all = [...nodes.values()];
  for (const [at, node] of all.entries()) {
    const share = randomBytes(32);
    await stage(wallet, node.over(), { epoch: 1, scheme: 'opaque', index: at + 1, commitment: [], share });
  }
  for (let round = 0; round < 3; round += 1) {
    for (const from of all) for (const to of all) relay(from.disk, to.disk);
    for (const node of all) await advance(wallet, node.over());
  }
  const [first] = all;
  if (first === undefined) throw new Error('three nodes were asked for');
  return first.disk;
}

/** Carries what one store knows to another, as an operator does. */
export function relay(from: Disk, to: Disk): void {
  to.statements = union(to.statements, from.statements);
}

function nodeOver(name: string, disk: Disk, signer: Signer, crash: () => boolean): Node {
  const lasting = <T>(effect: () => T): Promise<T> => {
    if (crash()) return Promise.reject(new Crash());
    const result = effect();
    return crash() ? Promise.reject(new Crash()) : Promise.resolve(result);
  };
  return {
    name,
    store: {
      envelopes: () => Promise.resolve(disk.envelopes),
      addEnvelope: (epoch, envelope) =>
        lasting(() => {
          const there = disk.envelopes.find((one) => epochOf(one) === epoch);
          if (there !== undefined && there.text !== envelope.text) throw new QuorateError('epoch-conflict', 'taken');
          if (there === undefined) disk.envelopes = [...disk.envelopes, envelope];
        }),
      dropEnvelope: (epoch) =>
        lasting(() => {
          disk.envelopes = disk.envelopes.filter((one) => epochOf(one) !== epoch);
        }),
      statements: () => Promise.resolve(disk.statements),
      publish: (statements) =>
        lasting(() => {
          disk.statements = union(disk.statements, statements);
        }),
    },
    state: {
      read: () => Promise.resolve(disk.state),
      write: (state) =>
        lasting(() => {
          disk.state = state;
        }),
    },
    keys: {
      signer,
      make: async (epoch) => {
        await lasting(() => {
          if (!disk.keys.has(epoch)) disk.keys.set(epoch, encryptionPem());
        });
        return openerOf(disk.keys.get(epoch) ?? '').key;
      },
      opener: (epoch) => {
        const key = disk.keys.get(epoch);
        return Promise.resolve(key === undefined ? undefined : openerOf(key));
      },
      destroy: (epoch) =>
        lasting(() => {
          disk.keys.delete(epoch);
        }),
    },
  };
}

function epochOf(envelope: Signed): number {
  return readStatement(SHARE, envelope.text).header.epoch;
}

function union(a: readonly Published[], b: readonly Published[]): Published[] {
  const seen = new Map([...a, ...b].map((one) => [`${one.kind} ${one.node} ${hashOf(one.text)}`, one]));
  return [...seen.values()];
}

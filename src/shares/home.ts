import { generateKeyPairSync } from 'node:crypto';
import { promises } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { isQuorateError, QuorateError } from '../errors.ts';
import { createWhole, readSecretFile, readText, replaceFile, syncFolder } from '../files.ts';
import { openerFromPem } from './hpke.ts';
import type { NodeKeys, NodeState, NodeStateFile } from './ports.ts';
import { type Signer, signerFromPem } from './signing.ts';

/**
 * A node's own folder, 0700, on the node's own disk and in no backup that leaves it: its signing key, and for each
 * wallet the keys of its epochs and its state.
 *   signing.key   WALLET.epoch-3.key   WALLET.state.json
 */

const PKCS8 = { type: 'pkcs8', format: 'pem' } as const;
const SIGNING_KEY = 'signing.key';

const stateSchema = v.strictObject({
  committed: v.pipe(v.number(), v.integer(), v.minValue(0)),
  decided: v.optional(v.strictObject({ epoch: v.pipe(v.number(), v.integer(), v.minValue(1)), decision: v.string() })),
});

/**
 * Makes the signing key, unless there is one.
 * @returns the signer, and whether it was made now.
 * @throws QuorateError `file-mode`, `key-unusable`, and as files do.
 */
export async function enrollNode(home: string): Promise<{ readonly signer: Signer; readonly made: boolean }> {
  const file = join(home, SIGNING_KEY);
  const pem = generateKeyPairSync('ed25519').privateKey.export(PKCS8).toString();
  try {
    await createWhole(file, pem);
    return { signer: signerFromPem(pem), made: true };
  } catch (error) {
    if (!isQuorateError(error, 'file-exists')) throw error;
    return { signer: await readSigner(home), made: false };
  }
}

async function readSigner(home: string): Promise<Signer> {
  const file = join(home, SIGNING_KEY);
  const pem = await readSecretFile(file).catch((error: unknown) => {
    if (!isQuorateError(error, 'file-missing')) throw error;
    throw new QuorateError('file-missing', `${file} does not exist: this node has no signing key`, {
      hint: 'quorate shares enroll makes one, to be pinned in quorate.yaml.',
    });
  });
  try {
    return signerFromPem(pem.exposeText());
  } finally {
    pem.wipe();
  }
}

/** The node's keys for one wallet, in files. @throws QuorateError `file-missing`, `file-mode`, `key-unusable`. */
export async function fileKeys(home: string, wallet: string): Promise<NodeKeys> {
  const fileOf = (epoch: number): string => join(home, `${wallet}.epoch-${epoch.toString()}.key`);
  const read = async (epoch: number) => {
    const pem = await readSecretFile(fileOf(epoch)).catch((error: unknown) => {
      if (isQuorateError(error, 'file-missing')) return undefined;
      throw error;
    });
    if (pem === undefined) return undefined;
    try {
      return openerFromPem(pem.exposeText());
    } finally {
      pem.wipe();
    }
  };
  return {
    signer: await readSigner(home),
    opener: read,
    make: async (epoch) => {
      const pem = generateKeyPairSync('x25519').privateKey.export(PKCS8).toString();
      await createWhole(fileOf(epoch), pem).catch((error: unknown) => {
        if (!isQuorateError(error, 'file-exists')) throw error;
      });
      const opener = await read(epoch);
      if (opener === undefined) throw new QuorateError('file-missing', `${fileOf(epoch)} is gone again`);
      return opener.key;
    },
    destroy: (epoch) => overwriteAndUnlink(fileOf(epoch)),
  };
}

/** What this node must not forget of one wallet. */
export function stateFile(home: string, wallet: string): NodeStateFile {
  const file = join(home, `${wallet}.state.json`);
  return {
    read: async () => {
      const text = await readText(file).catch((error: unknown) => {
        if (isQuorateError(error, 'file-missing')) return undefined;
        throw error;
      });
      return text === undefined ? undefined : readState(file, text);
    },
    write: (state) => replaceFile(file, `${JSON.stringify(state)}\n`),
  };
}

function readState(file: string, text: string): NodeState {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const result = v.safeParse(stateSchema, value);
  if (result.success) {
    const { committed, decided } = result.output;
    return { committed, ...(decided === undefined ? {} : { decided }) };
  }
  throw new QuorateError('file-invalid', `${file} is no state of a node`, {
    hint: 'Do not delete it to get on: without it the node cannot tell a store that was rolled back.',
  });
}

/** Zeros first: on a file system that writes in place nothing is left. What a journal, SSD or snapshot keeps is not reached. */
async function overwriteAndUnlink(file: string): Promise<void> {
  const handle = await promises.open(file, 'r+').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new QuorateError('file-invalid', `${file}: ${(error as NodeJS.ErrnoException).code ?? 'cannot be opened'}`);
  });
  if (handle === undefined) return;
  try {
    const { size } = await handle.stat();
    await handle.write(new Uint8Array(size), 0, size, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await promises.unlink(file);
  await syncFolder(join(file, '..'));
}

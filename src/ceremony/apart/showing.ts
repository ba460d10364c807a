import { createHash, randomBytes } from 'node:crypto';
import type { Run } from '../kind.ts';
import type { ToProve } from '../proving.ts';
import type { ShareSet } from '../rotation/share-set.ts';
import type { Apart } from './apart.ts';
import type { Signer } from './check.ts';
import { gather, type Standing } from './gather.ts';
import { standingNonce } from './inviting.ts';
import type { ReceiptBody } from './receipt.ts';

/** Shares that no server sees: each is looked at on its holder's machine, and the receipt says what was found. */

/** A threshold of custodians compare their share with the roster. @returns who did, by their x; fewer when nobody else will. */
export async function showApart(
  run: Run,
  apart: Apart,
  set: ShareSet,
  threshold: number,
): Promise<ReadonlyMap<string, string>> {
  const { receipts } = await gather(run, apart, {
    task: { give: 'nothing', nonce: randomBytes(16).toString('hex') },
    set,
    look: (held) => Promise.resolve(shown(held, threshold)),
  });
  return new Map(receipts.map(({ x, custodian }) => [x, custodian]));
}

/** An issued share, and the message that it is in. */
export interface Issued extends Omit<ToProve, 'taken'> {
  readonly ciphertext: Uint8Array;
  /** The fingerprint of the custodian's SSH key. */
  readonly ssh?: string | undefined;
}

/** All of these custodians decrypt their share; each receipt that is a right proof is given to `accept`. */
export async function proveApart(
  run: Run,
  apart: Apart,
  issued: readonly Issued[],
  accept: (proof: ReceiptBody & { readonly proof: object }) => Promise<void>,
): Promise<void> {
  const left = new Map(issued.map((one) => [one.name, one]));
  // A receipt names the message that was decrypted: one for an invitation from before an interruption counts.
  let standing = standingNonce(run, 'proof');
  while (left.size > 0) {
    const open = [...left.values()];
    const signers: readonly Signer[] = open.map(({ name, ssh }) => ({ holder: name, ssh }));
    const seen = new Set<string>();
    const nonce = standing ?? randomBytes(16).toString('hex');
    standing = undefined;
    const { kind } = await gather(run, apart, {
      task: {
        give: 'proof',
        nonce,
        messages: open.map(({ name, ciphertext, single }) => ({
          holder: name,
          ciphertext: Buffer.from(ciphertext).toString('base64'),
          single,
        })),
      },
      set: { name: 'the new shares' },
      signers,
      look: async (held) => {
        for (const receipt of held) {
          const { custodian, proof } = receipt;
          if (seen.has(custodian)) continue;
          seen.add(custodian);
          const message = left.get(custodian)?.ciphertext;
          if (proof === undefined || message === undefined || proof.ciphertext !== digestOf(message)) {
            run.people.say(`  ${custodian} proved another message than the one that was issued to them.`);
            continue;
          }
          await accept({ ...receipt, proof });
          left.delete(custodian);
        }
        return shown(held, open.length);
      },
    });
    if (kind === 'nobody') return;
  }
}

function shown(held: readonly ReceiptBody[], needed: number): Standing {
  return { counted: held.length, needed, over: held.length >= needed, peers: [] };
}

function digestOf(ciphertext: Uint8Array): string {
  return `sha256:${createHash('sha256').update(ciphertext).digest('hex')}`;
}

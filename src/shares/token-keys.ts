import { createHash } from 'node:crypto';
import { QuorateError } from '../errors.ts';
import type { KeyInfo } from '../pkcs11/keys.ts';
import type { RemoteSession } from '../pkcs11/wire.ts';
import { type Opener, openerOfToken } from './hpke.ts';
import type { NodeKeys } from './ports.ts';
import { rawKeyText } from './public-key.ts';
import type { Signer } from './signing.ts';

/** A session with the node's token, logged in; to make and destroy keys it must be one that may write. */
export type TokenSession = Pick<
  RemoteSession,
  'findKeys' | 'generateP256' | 'pointP256' | 'signP256' | 'deriveP256' | 'destroyKey'
>;

const SIGNING = 'quorate-node-signing';
const labelOf = (wallet: string, epoch: number): string => `quorate-${wallet}-epoch-${epoch.toString()}`;
const idOf = (label: string): Uint8Array => createHash('sha256').update(label).digest().subarray(0, 20);

/**
 * Makes the signing key on the token, unless there is one.
 * @throws QuorateError `hsm-key-ambiguous`, `hsm-key-unfit`, and as the session.
 */
export async function enrollToken(session: TokenSession): Promise<{ readonly signer: Signer; readonly made: boolean }> {
  const made = (await find(session, SIGNING, 'sign')) === undefined;
  if (made) await session.generateP256({ label: SIGNING, id: idOf(SIGNING) }, 'sign');
  return { signer: await signerOf(session), made };
}

/** Whether the token has keys of a wallet's epochs already. */
export async function hasEpochs(session: TokenSession, wallet: string): Promise<boolean> {
  const keys = await session.findKeys({ class: 'private', type: 'EC' });
  return keys.some(({ label }) => label.startsWith(`quorate-${wallet}-epoch-`));
}

/**
 * The node's keys for one wallet, in its token: a P-256 key that signs, and one for each epoch that computes an ECDH.
 * @throws QuorateError `hsm-key-missing` (not enrolled), `hsm-key-ambiguous`, `hsm-key-unfit`, and as the session.
 */
export async function tokenKeys(session: TokenSession, wallet: string): Promise<NodeKeys> {
  const opener = async (epoch: number): Promise<Opener | undefined> => {
    const found = await find(session, labelOf(wallet, epoch), 'derive');
    if (found === undefined) return undefined;
    return openerOfToken(found.point, (point) => session.deriveP256(found.key, point));
  };
  return {
    signer: await signerOf(session),
    opener,
    make: async (epoch) => {
      const label = labelOf(wallet, epoch);
      if ((await find(session, label, 'derive')) === undefined) {
        await session.generateP256({ label, id: idOf(label) }, 'derive');
      }
      const made = await opener(epoch);
      if (made === undefined) throw new QuorateError('hsm-key-missing', `the token lost the key ${label} again`);
      return made.key;
    },
    destroy: async (epoch) => {
      // The private half first: killed in between, what is left opens nothing.
      for (const wanted of ['private', 'public'] as const) {
        for (const key of await session.findKeys({ label: labelOf(wallet, epoch), class: wanted })) {
          await session.destroyKey(key);
        }
      }
    },
  };
}

async function signerOf(session: TokenSession): Promise<Signer> {
  const found = await find(session, SIGNING, 'sign');
  if (found === undefined) {
    throw new QuorateError('hsm-key-missing', 'this token has no signing key of a node', {
      hint: 'quorate shares enroll --token makes one, to be pinned in quorate.yaml.',
    });
  }
  return {
    key: rawKeyText('p256', found.point),
    sign: (bytes) => session.signP256(found.key, createHash('sha256').update(bytes).digest()),
  };
}

/** A pair by its label. Its private half must have been made on the token, and never have left it. */
async function find(
  session: TokenSession,
  label: string,
  use: 'sign' | 'derive',
): Promise<{ readonly key: KeyInfo; readonly point: Uint8Array } | undefined> {
  const [key, ...others] = await session.findKeys({ label, class: 'private', type: 'EC' });
  if (key === undefined) return undefined;
  const halves = await session.findKeys({ label, class: 'public', type: 'EC' });
  if (others.length > 0 || halves.length > 1) {
    throw new QuorateError('hsm-key-ambiguous', `the token has several keys called ${label}`, {
      hint: 'Only one of them is the node’s: find out which, and remove the others.',
    });
  }
  const { flags } = key;
  const [half] = halves;
  const point = half === undefined ? undefined : await session.pointP256(half);
  // Some tokens do not tell whether a key was ever extractable; what they tell must be right.
  const stayed = flags.extractable !== true && flags.neverExtractable !== false && flags.local !== false;
  if (point === undefined || !stayed || flags[use] === false) {
    throw new QuorateError('hsm-key-unfit', `the key ${label} is not one that quorate made on this token`, {
      hint: 'A node’s key is on P-256, made on the token, and never extractable. quorate hsm inspect shows it.',
    });
  }
  return { key, point };
}

import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { QuorateError } from '../errors.ts';
import { personName } from './script.ts';
import { fingerprintShare, type Share } from './share.ts';

/**
 * What travels from a custodian's machine to the administrator's as proof that an issued share was decrypted:
 * the share's fingerprint, never the share, and which encrypted file it was in.
 */
const proof = v.strictObject({
  proof: v.literal('share'),
  ceremony: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/))),
  holder: v.optional(personName),
  x: v.pipe(v.string(), v.regex(/^[0-9a-f]{2}$/)),
  salt: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** SHA-256 of the encrypted message in its binary form. */
  ciphertext: v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/)),
});

export type Proof = v.InferOutput<typeof proof>;

const LONGEST = 2000;

/** A proof for `share`, which was in `ciphertext` (binary). */
export function makeProof(
  share: Share,
  ciphertext: Uint8Array,
  who: { readonly holder?: string | undefined; readonly ceremony?: string | undefined } = {},
): Proof {
  const checked = v.safeParse(proof, {
    proof: 'share',
    ...(who.ceremony === undefined ? {} : { ceremony: who.ceremony }),
    ...(who.holder === undefined ? {} : { holder: who.holder }),
    x: share.x,
    ...fingerprintShare(share),
    ciphertext: digestOf(ciphertext),
  });
  if (checked.success) return checked.output;
  throw new QuorateError('usage', 'the name of the holder or of the ceremony has characters that no name has');
}

/** The one line that a custodian hands over. */
export function renderProof(one: Proof): string {
  return JSON.stringify(one);
}

/**
 * Reads a proof and checks that it is for the share that was issued in `issued.ciphertext` (binary) to its holder.
 * @throws QuorateError `share-invalid` (no proof; nothing of it is quoted, for it could be the share itself),
 *   `share-owner` (for another file, holder or ceremony).
 */
export function parseProof(
  text: string,
  issued: { readonly holder: string; readonly ciphertext: Uint8Array; readonly ceremony?: string },
): Proof {
  const parsed = text.length > LONGEST ? undefined : parseJson(text);
  const checked = v.safeParse(proof, parsed);
  if (!checked.success) {
    throw new QuorateError('share-invalid', 'that is not a proof', {
      hint: 'It is the one line that `quorate custodian decrypt FILE --proof` prints, from { to }. Never paste the share.',
    });
  }
  const { holder, ceremony, ciphertext } = checked.output;
  const hint = `It must be made from the file that was issued to ${issued.holder} in this ceremony.`;
  if (ciphertext !== digestOf(issued.ciphertext))
    throw new QuorateError('share-owner', `that proof is for another encrypted share than ${issued.holder}'s`, {
      hint,
    });
  if (holder !== undefined && holder !== issued.holder)
    throw new QuorateError('share-owner', `${holder}'s proof, not ${issued.holder}'s`, { hint });
  if (ceremony !== undefined && issued.ceremony !== undefined && ceremony !== issued.ceremony)
    throw new QuorateError('share-owner', 'that proof is for another ceremony', { hint });
  return checked.output;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function digestOf(ciphertext: Uint8Array): string {
  return `sha256:${createHash('sha256').update(ciphertext).digest('hex')}`;
}

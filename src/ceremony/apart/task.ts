import * as v from 'valibot';
import { personName } from '../script.ts';

/**
 * What a custodian who is not in the room is asked for. The nonce is the server's where the operation has one, else
 * this ceremony's own; either way a receipt for one nonce is worth nothing for another.
 */

const nonce = v.pipe(v.string(), v.regex(/^[A-Za-z0-9-]{8,64}$/));
const peerName = v.pipe(v.string(), v.minLength(1), v.maxLength(200));
const purpose = v.picklist(['rotate-root-key', 'rotate-recovery-key']);

/** An issued share, encrypted to its holder, who is to show that they can read it. */
const message = v.strictObject({
  holder: personName,
  /** Base64 of the binary message. */
  ciphertext: v.pipe(v.string(), v.base64()),
  /** The only share of a 1 of 1. */
  single: v.boolean(),
});

export const taskSchema = v.variant('give', [
  /** To each of these peers that is sealed. */
  v.strictObject({ give: v.literal('unseal'), nonce, peers: v.pipe(v.array(peerName), v.minLength(1)) }),
  /** One of today's shares to the active peer; a drill is a rotation that is cancelled. */
  v.strictObject({ give: v.literal('rotation'), nonce, purpose, use: v.picklist(['rotation', 'drill']) }),
  /** One of the new shares to the active peer. */
  v.strictObject({ give: v.literal('verification'), nonce, purpose }),
  v.strictObject({ give: v.literal('root-token'), nonce }),
  /** To nobody: the share is compared with the roster on its holder's machine. */
  v.strictObject({ give: v.literal('nothing'), nonce }),
  /** To nobody: an issued share is decrypted on its holder's machine. */
  v.strictObject({ give: v.literal('proof'), nonce, messages: v.pipe(v.array(message), v.minLength(1)) }),
]);

export type Task = v.InferOutput<typeof taskSchema>;

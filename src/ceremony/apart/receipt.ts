import * as v from 'valibot';
import { QuorateError } from '../../errors.ts';
import { canonicalJson } from '../record/canonical.ts';
import { looksSecret } from '../record/events.ts';
import { personName } from '../script.ts';
import { fromLine, toLine } from './armour.ts';
import { taskSchema } from './task.ts';

/**
 * What a custodian hands back: what they did, for which ceremony, script, step and nonce, and what the servers said,
 * signed with their SSH key. It holds no share. The share's x and fingerprint are those of the roster.
 */

/** What a receipt's signature is made for, so that it can never pass as one of a record or a roster. */
export const RECEIPT_NAMESPACE = 'quorate-receipt';

const digest = v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const spoken = v.pipe(
  v.string(),
  v.maxLength(400),
  v.regex(/^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u),
  v.check((text) => !looksSecret(text)),
);
const base64 = v.pipe(v.string(), v.base64(), v.maxLength(64 << 10));

/** What one server said to the share, in a word. */
const said = v.strictObject({
  peer: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
  request: spoken,
  /**
   * `again`: it had the share already. `opening`: it had its last share and joins. `unclear`: the reply was lost, and
   * nobody may give that share blindly again. `elsewhere`: nothing was sent (proofs, shares that are only shown).
   */
  answer: v.picklist(['counted', 'again', 'complete', 'opening', 'wrong set', 'refused', 'unclear', 'elsewhere']),
  progress: v.optional(whole),
  nonce: v.optional(v.pipe(v.string(), v.maxLength(100))),
  why: v.optional(spoken),
});

const body = v.strictObject({
  receipt: v.literal(1),
  ceremony: v.pipe(v.string(), v.maxLength(100)),
  script: digest,
  invitation: digest,
  step: v.pipe(v.string(), v.maxLength(100)),
  give: v.picklist(taskSchema.options.map(({ entries }) => entries.give.literal)),
  nonce: v.pipe(v.string(), v.maxLength(64)),
  round: whole,
  custodian: personName,
  x: v.pipe(v.string(), v.regex(/^[0-9a-f]{2}$/)),
  /** As the roster has it, or with `proof` as it was found now. */
  fingerprint: digest,
  time: v.pipe(v.string(), v.isoTimestamp()),
  said: v.pipe(v.array(said), v.minLength(1)),
  /** Of the reply to the last share of a rotation: OpenPGP messages to the new custodians. */
  issued: v.optional(
    v.strictObject({
      shares: v.array(base64),
      fingerprints: v.array(v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/))),
      verificationNonce: v.pipe(v.string(), v.maxLength(100)),
    }),
  ),
  /** Of the reply to the last share of a root token: worth nothing without the one-time pad. */
  encoded: v.optional(base64Unpadded()),
  proof: v.optional(v.strictObject({ salt: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)), ciphertext: digest })),
});

function base64Unpadded(): v.GenericSchema<string> {
  return v.pipe(v.string(), v.maxLength(200), v.regex(/^[A-Za-z0-9+/]+={0,2}$/));
}

export type ReceiptBody = v.InferOutput<typeof body>;
export type Said = v.InferOutput<typeof said>;

/** A receipt as it was handed over; the signature is not checked yet. */
export interface Receipt {
  readonly body: ReceiptBody;
  /** The signed bytes: canonical JSON and a newline. */
  readonly bytes: Uint8Array;
  /** In the armour of ssh-keygen. */
  readonly signature: Uint8Array;
}

const KIND = 'quorate-receipt';
const ARMOUR = /^-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+-----END SSH SIGNATURE-----\n$/;

/** The bytes that a custodian signs. @throws QuorateError `bug` when a field is not what it must be. */
export function receiptBytes(one: ReceiptBody): Uint8Array {
  if (!v.is(body, one)) throw new QuorateError('bug', 'a receipt is not what a receipt must be');
  return new TextEncoder().encode(`${canonicalJson(one)}\n`);
}

/** The one line. */
export function renderReceipt({ bytes, signature }: Pick<Receipt, 'bytes' | 'signature'>): string {
  const decode = (some: Uint8Array): string => new TextDecoder().decode(some);
  return toLine(KIND, JSON.stringify([decode(bytes), decode(signature)]));
}

/** @throws QuorateError `receipt-invalid`; nothing of the line is quoted, for it could be a share. */
export function parseReceipt(line: string): Receipt {
  const parts = parseJson(fromLine(KIND, line));
  const [text, signature] = Array.isArray(parts) ? (parts as unknown[]) : [];
  if (typeof text === 'string' && typeof signature === 'string' && ARMOUR.test(signature)) {
    const checked = v.safeParse(body, parseJson(text));
    if (checked.success && `${canonicalJson(checked.output)}\n` === text) {
      const encode = (some: string): Uint8Array => new TextEncoder().encode(some);
      return { body: checked.output, bytes: encode(text), signature: encode(signature) };
    }
  }
  throw new QuorateError('receipt-invalid', 'that is not a receipt', {
    hint: 'It is the file, or the one line from quorate-receipt: on, that quorate ceremony join gives. Never paste a share.',
  });
}

/** A share that all servers have refused is none of those that they count. */
export function mayCount({ said }: ReceiptBody): boolean {
  return said.some(({ answer }) => answer !== 'refused');
}

/** What a receipt says, for people: one line a server. */
export function answerLines({ said, give }: ReceiptBody): readonly string[] {
  return said.map(({ peer, answer, progress, why }) => {
    if (answer === 'elsewhere') {
      return give === 'proof' ? 'decrypted on their own machine' : 'right, by the roster; sent to nobody';
    }
    const word = { again: 'counted before', opening: 'has its shares, and joins' }[answer as string] ?? answer;
    const count = progress === undefined ? '' : `, ${progress.toString()} count`;
    return `${peer}: ${word}${count}${why === undefined ? '' : ` (${why})`}`;
  });
}

function parseJson(json: string | undefined): unknown {
  try {
    return json === undefined ? undefined : JSON.parse(json);
  } catch {
    return undefined;
  }
}

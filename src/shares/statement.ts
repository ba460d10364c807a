import * as v from 'valibot';
import { QuorateError } from '../errors.ts';
import { type PinnedKey, type Signer, verifies } from './signing.ts';

/** The names of wallets and nodes: what is safe in a path, a policy and a line of output. */
export const nameSchema = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits, dashes'),
);
/** Whether `text` can be the name of a wallet or a node. */
export function isWalletName(text: string): boolean {
  return v.is(nameSchema, text);
}

/** Epochs count up from 1; one that was abandoned is never used again. */
export const epochSchema = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 32 - 1));
/** SHA-256 in lower-case hexadecimal. */
export const hashSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
export const base64Schema = v.pipe(v.string(), v.maxLength(1 << 20), v.regex(/^[A-Za-z0-9+/]*={0,2}$/));

/** A text that a node has signed. The signature covers exactly this text, under the name of its kind. */
export interface Signed {
  readonly node: string;
  readonly text: string;
  /** Base64, 64 bytes. */
  readonly signature: string;
}

export const signedSchema = v.strictObject({
  node: nameSchema,
  text: v.pipe(v.string(), v.maxLength(1 << 21)),
  signature: base64Schema,
});

/** One kind of statement: its schema, in the order in which its keys are written. */
export interface StatementKind<S extends v.GenericSchema> {
  /** What a signature of it is good for, and its version: `quorate-share/1`. */
  readonly format: string;
  readonly schema: S;
}

/**
 * The one text of a statement. Values are texts, whole numbers, lists and maps with the order of keys that the schema
 * gives, so that the same statement always has the same bytes.
 */
export function statementText<S extends v.GenericSchema>(kind: StatementKind<S>, value: v.InferOutput<S>): string {
  const result = v.safeParse(kind.schema, value);
  if (!result.success) throw new QuorateError('bug', `a statement of ${kind.format} was built wrongly`);
  return JSON.stringify(result.output);
}

/**
 * Reads the text of a statement back. There is one spelling of each: anything else is refused.
 * @throws QuorateError `statement-invalid`.
 */
export function readStatement<S extends v.GenericSchema>(kind: StatementKind<S>, text: string): v.InferOutput<S> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined; // its message would quote the text
  }
  const result = v.safeParse(kind.schema, parsed);
  if (!result.success || JSON.stringify(result.output) !== text) {
    throw new QuorateError('statement-invalid', `this is no ${kind.format}`, {
      hint: 'It was changed, cut short, or written by another program. Fetch it again, or look at who can write there.',
    });
  }
  return result.output;
}

/** What is signed: the kind, so that a signature for one is void for every other, then the text. */
function signedBytes(format: string, text: string): Uint8Array {
  return new TextEncoder().encode(`${format}\n${text}`);
}

/** `text` of this kind, signed by `node`. */
export async function signStatement(format: string, text: string, node: string, signer: Signer): Promise<Signed> {
  const signature = await signer.sign(signedBytes(format, text));
  return { node, text, signature: Buffer.from(signature).toString('base64') };
}

/** Whether the key pinned for its node made the signature. A node without a pinned key has signed nothing. */
export function isSignedBy(format: string, signed: Signed, keys: ReadonlyMap<string, PinnedKey>): boolean {
  const key = keys.get(signed.node);
  if (key === undefined) return false;
  return verifies(key, signedBytes(format, signed.text), Buffer.from(signed.signature, 'base64'));
}

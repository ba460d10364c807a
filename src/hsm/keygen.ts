import { randomBytes } from 'node:crypto';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { KeyFlag, KeyInfo } from '../pkcs11/keys.ts';
import type { RemoteSession } from '../pkcs11/wire.ts';
import { keysOf } from './find-key.ts';
import { hex, type JudgedKey } from './judgement.ts';

export interface KeyRequest {
  readonly type: 'aes' | 'rsa';
  readonly bits: number;
  readonly label: string;
  /** Hexadecimal; random when left out. */
  readonly id?: string;
}

const ID_BYTES = 8;
const LABEL_LIMIT = 64;

/** What a new key must say of itself. What a token does not tell is passed over, but for the first three. */
const KEPT: Readonly<Partial<Record<KeyFlag, boolean>>> = {
  sensitive: true,
  extractable: false,
  token: true,
  private: true,
  alwaysSensitive: true,
  neverExtractable: true,
  local: true,
};
const MUST_TELL: readonly KeyFlag[] = ['sensitive', 'extractable', 'token'];
const NO_MORE: Readonly<Partial<Record<KeyFlag, boolean>>> = {
  sign: false,
  verify: false,
  wrap: false,
  unwrap: false,
  derive: false,
};

/**
 * Makes a key for a seal, reads every attribute back, and tries to read its value, which the token must refuse. A key
 * that is not as it was ordered is destroyed again. Needs a session with `write`, logged in.
 * @throws QuorateError `usage` (label), `hsm-key-exists` when label or id is taken (also where the reply of an earlier
 *   run was lost), `hsm-key-unfit` when the token made something else, and as `failureOf`.
 */
export async function generateKey(session: RemoteSession, request: KeyRequest): Promise<JudgedKey> {
  const { type, label, bits } = request;
  const labelBytes = new TextEncoder().encode(label).length;
  if (labelBytes === 0 || labelBytes > LABEL_LIMIT) {
    throw new QuorateError('usage', `a key's label has 1 to ${LABEL_LIMIT.toString()} bytes`);
  }
  const id = request.id ?? hex(randomBytes(ID_BYTES));
  await refuseTaken(session, label, id);
  const order = { label, id: new Uint8Array(Buffer.from(id, 'hex')), bits };
  const halves = type === 'aes' ? [await session.generateAes(order)] : Object.values(await session.generateRsa(order));
  try {
    for (const half of halves) await prove(session, half, bits);
    const found = (await keysOf(session)).filter((key) => key.label === label || key.id === id);
    const [made] = found;
    if (made === undefined || found.length > 1) {
      throw new QuorateError('hsm-key-unfit', `the token shows ${found.length.toString()} keys where one was made`);
    }
    if (made.mechanisms.length === 0) {
      throw new QuorateError(
        'hsm-key-unfit',
        `the new key is unfit: ${made.faults.map(({ text }) => text).join('; ')}`,
      );
    }
    return made;
  } catch (error) {
    if (!isQuorateError(error, 'hsm-key-unfit')) throw error;
    const gone = await Promise.all(halves.map((half) => session.destroyKey(half))).then(
      () => 'it was destroyed again',
      () => 'it could not be destroyed again, and is still there',
    );
    throw new QuorateError('hsm-key-unfit', `${error.message}; ${gone}`);
  }
}

async function refuseTaken(session: RemoteSession, label: string, id: string): Promise<void> {
  const taken = (await keysOf(session)).find((key) => key.label === label || key.id === id);
  if (taken === undefined) return;
  const what = taken.label === label ? `a key with the label "${label}"` : `a key with the id ${id} ("${taken.label}")`;
  throw new QuorateError('hsm-key-exists', `the token has ${what} already`, {
    hint: 'Two keys under one name would make it chance which one a server uses. quorate hsm inspect shows it.',
  });
}

async function prove(session: RemoteSession, key: KeyInfo, bits: number): Promise<void> {
  const refuse = (what: string): never => {
    throw new QuorateError('hsm-key-unfit', `the token made a key that ${what}`);
  };
  if (key.bits !== bits)
    refuse(`has ${key.bits?.toString() ?? 'an unknown number of'} bits and not ${bits.toString()}`);
  const expected = key.class === 'public' ? NO_MORE : { ...KEPT, ...NO_MORE };
  for (const [flag, wanted] of Object.entries(expected) as [KeyFlag, boolean][]) {
    const is = key.flags[flag];
    if (is === undefined && (key.class === 'public' || !MUST_TELL.includes(flag))) continue;
    if (is !== wanted) refuse(`is not as ordered (${flag} is ${String(is)})`);
  }
  if (key.class !== 'public' && (await session.tryToReadValue(key)) === 'readable') refuse('gives its value away');
}

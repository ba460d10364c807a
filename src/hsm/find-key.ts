import { QuorateError } from '../errors.ts';
import type { KeyInfo } from '../pkcs11/keys.ts';
import type { RemoteSession } from '../pkcs11/wire.ts';
import { hex, type JudgedKey, judgeKeys } from './judgement.ts';

/** Which key is meant; both must fit where both are given, and with neither the token must have only one. */
export interface KeyChoice {
  readonly label?: string;
  /** Hexadecimal, lower case, without 0x. */
  readonly id?: string;
}

/** `key "seal" (id 01)`, for messages. */
export function describeKeyChoice({ label, id }: KeyChoice): string {
  const parts = [...(label === undefined ? [] : [`"${label}"`]), ...(id === undefined ? [] : [`(id ${id})`])];
  return parts.length === 0 ? 'key' : `key ${parts.join(' ')}`;
}

/** A CKA_ID as people write it, `01af` or `0x01AF`. @throws QuorateError `usage`. */
export function parseKeyId(text: string): string {
  const digits = text.replace(/^0x/i, '').toLowerCase();
  if (/^(?:[0-9a-f]{2}){1,64}$/.test(digits)) return digits;
  throw new QuorateError('usage', 'a key id is hexadecimal, two digits a byte: 01af');
}

/** Every key that the session sees, judged. */
export async function keysOf(session: RemoteSession): Promise<JudgedKey[]> {
  return judgeKeys(await session.findKeys());
}

/**
 * The one key that is meant.
 * @throws QuorateError `hsm-key-missing`, naming what is there, or `hsm-key-ambiguous`.
 */
export async function findKey(session: RemoteSession, choice: KeyChoice): Promise<JudgedKey> {
  const all = await keysOf(session);
  const fitting = all.filter(
    ({ label, id }) =>
      (choice.label === undefined || label === choice.label) && (choice.id === undefined || id === choice.id),
  );
  const [key, ...others] = fitting;
  if (key === undefined) {
    const there = [...new Set(all.map(({ label, id }) => (label === '' ? `(id ${id})` : `"${label}"`)))];
    throw new QuorateError('hsm-key-missing', `the token has no ${describeKeyChoice(choice)}`, {
      hint:
        there.length === 0
          ? 'It has no key at all: quorate hsm keygen makes one.'
          : `It has ${there.slice(0, 12).join(', ')}.`,
    });
  }
  if (others.length > 0) {
    throw new QuorateError('hsm-key-ambiguous', `${fitting.length.toString()} keys fit: ${describeKeyChoice(choice)}`, {
      hint: `Name one by its id: ${fitting.map(({ id }) => id).join(', ')}.`,
    });
  }
  return key;
}

/** Whether two keys are one and the same object, by what they are called. */
export function sameKey(a: KeyInfo, b: KeyInfo): boolean {
  return a.label === b.label && hex(a.id) === hex(b.id) && a.class === b.class;
}

import serialise from 'canonicalize';
import { QuorateError } from '../../errors.ts';

/** Deeper nesting than any document of quorate has. */
const DEPTH = 64;
const LONE_SURROGATE = /\p{Cs}/u;

/**
 * The canonical JSON of `value` (RFC 8785): the same value gives the same bytes, whatever the order of its keys.
 * Only plain data is taken: null, booleans, finite numbers, well-formed strings, arrays without holes, and plain objects.
 * @throws QuorateError `bug` for everything else (undefined, NaN, a lone surrogate, a class such as Date or Secret, a
 *   cycle): a value that JSON would change or drop in silence has no canonical form.
 */
export function canonicalJson(value: unknown): string {
  check(value, 0);
  const text = serialise(value);
  if (text === undefined) throw refusal('it is undefined');
  return text;
}

/** `canonicalJson` as UTF-8. */
export function canonicalBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(canonicalJson(value));
}

function check(value: unknown, depth: number): void {
  if (depth > DEPTH) throw refusal('it is nested too deeply, or contains itself');
  switch (typeof value) {
    case 'boolean':
      return;
    case 'number':
      if (!Number.isFinite(value)) throw refusal('it has a number that is not finite');
      return;
    case 'string':
      if (LONE_SURROGATE.test(value)) throw refusal('it has a lone surrogate');
      return;
    case 'object':
      if (value !== null) checkMembers(value, depth + 1);
      return;
    default:
      throw refusal(`it has a value of type ${typeof value}`);
  }
}

function checkMembers(value: object, depth: number): void {
  if (Object.getOwnPropertySymbols(value).length > 0) throw refusal('it has a symbol for a key');
  if (Array.isArray(value)) {
    const names = Object.keys(value);
    if (names.length !== value.length) throw refusal('it has an array with holes or names');
    for (const element of value as unknown[]) check(element, depth);
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw refusal('it has an object of a class');
  for (const [key, member] of Object.entries(value)) {
    if (LONE_SURROGATE.test(key)) throw refusal('it has a lone surrogate in a key');
    if (key === 'toJSON' && typeof member === 'function') throw refusal('it has a function');
    check(member, depth);
  }
}

function refusal(why: string): QuorateError {
  return new QuorateError('bug', `a value has no canonical JSON form: ${why}`);
}

/*
 * The part of Protocol Buffers (proto3 wire format) that the protocol of KMS plugins uses: varints and length-delimited
 * fields. A compiler of .proto files and its run time would weigh more than the program, for messages of a few fields.
 */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;
const MAX_VARINT_BYTES = 10;

export interface Field {
  readonly number: number;
  /** A varint, or the bytes of a length-delimited field: a view, not a copy. */
  readonly value: bigint | Uint8Array;
}

/** A message that breaks the wire format. Carries nothing of the message. */
export class MalformedMessage extends Error {
  constructor() {
    super('the message is not a protobuf message');
    this.name = 'MalformedMessage';
  }
}

/** The fields of a message in their order; those of fixed size are left out. @throws MalformedMessage */
export function fieldsOf(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let index = 0; index < MAX_VARINT_BYTES; index += 1) {
      const byte = bytes[at];
      if (byte === undefined) throw new MalformedMessage();
      at += 1;
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new MalformedMessage();
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw new MalformedMessage();
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = Math.floor(tag / 8);
    if (number === 0) throw new MalformedMessage();
    const type = tag % 8;
    if (type === VARINT) fields.push({ number, value: varint() });
    else if (type === LENGTH) fields.push({ number, value: take(Number(varint())) });
    else if (type === FIXED64) take(8);
    else if (type === FIXED32) take(4);
    else throw new MalformedMessage();
  }
  return fields;
}

/** The last bytes of field `number`, which is what counts in proto3; empty without one. */
export function bytesOf(fields: readonly Field[], number: number): Uint8Array {
  const value = fields.findLast((field) => field.number === number)?.value;
  return value instanceof Uint8Array ? value : new Uint8Array();
}

/** As `bytesOf`, as text. @throws MalformedMessage when it is not UTF-8. */
export function textOf(fields: readonly Field[], number: number): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(fields, number));
  } catch {
    throw new MalformedMessage();
  }
}

/** The last number of field `number`, 0 without one. */
export function numberOf(fields: readonly Field[], number: number): number {
  const value = fields.findLast((field) => field.number === number)?.value;
  return typeof value === 'bigint' ? Number(value) : 0;
}

/** A `map<string, string>`: entries of {1: key, 2: value}, a later one replacing an earlier one. */
export function mapOf(fields: readonly Field[], number: number): Map<string, string> {
  const map = new Map<string, string>();
  for (const { number: of, value } of fields) {
    if (of !== number || !(value instanceof Uint8Array)) continue;
    const entry = fieldsOf(value);
    map.set(textOf(entry, 1), textOf(entry, 2));
  }
  return map;
}

/** A field for `message`: bytes (a message inside it too), text, a whole number, or a flag. Empty ones are left out. */
export type Written = readonly [number: number, value: Uint8Array | string | number | boolean];

/** Writes a message. Wipes nothing: the result holds copies of the bytes given. */
export function message(...fields: readonly Written[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [number, value] of fields) {
    if (typeof value === 'number' || typeof value === 'boolean') {
      if (Number(value) !== 0) parts.push(varintBytes(number * 8 + VARINT), varintBytes(Number(value)));
      continue;
    }
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    if (bytes.length > 0) parts.push(varintBytes(number * 8 + LENGTH), varintBytes(bytes.length), bytes);
  }
  return joined(parts);
}

/** The fields of a `map<string, string>`. An empty value is an entry too. */
export function mapFields(number: number, map: Readonly<Record<string, string>>): Written[] {
  return Object.entries(map).map(([key, value]) => [number, message([1, key], [2, value])] as const);
}

/** One array of bytes out of several. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function varintBytes(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt(value);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Uint8Array.from([...bytes, Number(rest)]);
}

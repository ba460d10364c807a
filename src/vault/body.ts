import { isUtf8 } from 'node:buffer';
import { QuorateError } from '../errors.ts';
import { Secret } from '../secret.ts';

const FIRST_SIZE = 512;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const HEX = new TextEncoder().encode('0123456789abcdef');

/**
 * `value` as JSON in UTF-8. A `Secret` anywhere in it becomes a JSON string that is written byte by byte: no
 * JavaScript string of it is ever made. Bigints become numbers; `undefined` fields are left out.
 * The caller wipes what is returned.
 * @throws QuorateError `bug` for what JSON has no form for (bytes, functions, NaN, a secret that is not UTF-8).
 */
export function encodeJson(value: unknown): Uint8Array {
  const writer = new JsonWriter();
  try {
    writer.value(value);
    return writer.take();
  } finally {
    writer.wipe();
  }
}

/** Every `Secret` in a request body, for striking them out of what comes back. */
export function secretsIn(value: unknown): readonly Secret[] {
  if (value instanceof Secret) return [value];
  if (Array.isArray(value)) return value.flatMap(secretsIn);
  if (isPlainObject(value)) return Object.values(value).flatMap(secretsIn);
  return [];
}

/** Grows by copying, and wipes each buffer that it leaves behind. */
class JsonWriter {
  #buffer = new Uint8Array(FIRST_SIZE);
  #length = 0;

  take(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  wipe(): void {
    this.#buffer.fill(0);
  }

  value(value: unknown): void {
    if (value === null || typeof value === 'boolean') this.#text(String(value));
    else if (typeof value === 'string') this.#text(JSON.stringify(value));
    else if (typeof value === 'bigint') this.#text(value.toString());
    else if (typeof value === 'number' && Number.isFinite(value)) this.#text(JSON.stringify(value));
    else if (value instanceof Secret) this.#secret(value);
    else if (Array.isArray(value)) this.#array(value);
    else if (isPlainObject(value)) this.#object(value);
    else throw new QuorateError('bug', 'a request body holds something that JSON has no form for');
  }

  #array(items: readonly unknown[]): void {
    this.#text('[');
    items.forEach((item, index) => {
      if (index > 0) this.#text(',');
      this.value(item);
    });
    this.#text(']');
  }

  #object(object: Readonly<Record<string, unknown>>): void {
    this.#text('{');
    let first = true;
    for (const [key, item] of Object.entries(object)) {
      if (item === undefined) continue;
      this.#text(`${first ? '' : ','}${JSON.stringify(key)}:`);
      this.value(item);
      first = false;
    }
    this.#text('}');
  }

  #secret(secret: Secret): void {
    secret.expose((bytes) => {
      if (!isUtf8(bytes)) throw new QuorateError('bug', 'a secret in a request body is not text');
      this.#reserve(bytes.length * 6 + 2);
      this.#byte(QUOTE);
      for (const byte of bytes) this.#escaped(byte);
      this.#byte(QUOTE);
    });
  }

  #escaped(byte: number): void {
    if (byte === QUOTE || byte === BACKSLASH) {
      this.#byte(BACKSLASH);
      this.#byte(byte);
    } else if (byte < 0x20) {
      this.#text('\\u00');
      this.#byte(HEX[byte >> 4] ?? 0);
      this.#byte(HEX[byte & 15] ?? 0);
    } else this.#byte(byte);
  }

  #text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.#length] = byte;
    this.#length += 1;
  }

  #reserve(extra: number): void {
    const needed = this.#length + extra;
    if (needed <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer.fill(0);
    this.#buffer = larger;
  }
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

import { QuorateError } from '../errors.ts';

/**
 * The members of a parsed answer, each taken as what it must be. Written by hand, where everything else has schemas:
 * every command that asks a server loads this, and the schema library would double what that takes.
 *
 * A member that is wrong is noted by its name, never by its value, and a stand-in is returned: call `settle` before
 * anything is used.
 */
export class Fields {
  readonly #record: Readonly<Record<string, unknown>>;
  readonly #wrong: string[] = [];

  constructor(body: unknown) {
    const record = isRecord(body);
    this.#record = record ? body : {};
    if (!record) this.#wrong.push('the whole');
  }

  text(key: string): string {
    return this.#take(key, isText, '');
  }

  /** A text that may be missing or null; then, and where it is empty, undefined. */
  textIfAny(key: string): string | undefined {
    return this.#has(key) ? this.text(key) || undefined : undefined;
  }

  flag(key: string): boolean {
    return this.#take(key, (value) => typeof value === 'boolean', false);
  }

  flagIfAny(key: string): boolean {
    return this.#has(key) && this.flag(key);
  }

  /** A whole number from 0. */
  count(key: string): number {
    return this.#take(key, (value): value is number => Number.isSafeInteger(value) && Number(value) >= 0, 0);
  }

  countIfAny(key: string): number | undefined {
    return this.#has(key) ? this.count(key) : undefined;
  }

  texts(key: string): readonly string[] {
    return this.#take(key, (value): value is string[] => Array.isArray(value) && value.every(isText), []);
  }

  /** A list that may be missing or null. */
  textsIfAny(key: string): readonly string[] {
    return this.#has(key) ? this.texts(key) : [];
  }

  /** Whether nothing was wrong so far. */
  get sound(): boolean {
    return this.#wrong.length === 0;
  }

  /** @throws QuorateError `server-response` naming the members that were wrong. */
  settle(peer: string, path: string): void {
    if (this.sound) return;
    throw new QuorateError(
      'server-response',
      `${peer} answered ${path} in an unknown shape (${this.#wrong.join(', ')})`,
      {
        hint: 'Is the address that of an OpenBao or HashiCorp Vault server?',
      },
    );
  }

  #has(key: string): boolean {
    return this.#record[key] !== undefined && this.#record[key] !== null;
  }

  #take<T>(key: string, is: (value: unknown) => value is T, instead: T): T {
    const value = Object.hasOwn(this.#record, key) ? this.#record[key] : undefined;
    if (is(value)) return value;
    this.#wrong.push(key);
    return instead;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

import { QuorateError } from './errors.ts';

/*
 * A strict reader of the configuration language of OpenBao and Vault servers: HCL 1 without what servers do not use
 * (no expressions; what stands in ${} inside a string is kept as it is, as the servers do), and JSON.
 */

export type HclValue = string | number | boolean | readonly HclValue[] | HclObject;

export interface HclEntry {
  /** `seal "pkcs11" {` has the keys `seal` and `pkcs11`; `lib = ...` has one. */
  readonly keys: readonly string[];
  readonly value: HclValue;
  /** From 1; undefined in JSON. */
  readonly line: number | undefined;
}

export interface HclObject {
  readonly entries: readonly HclEntry[];
}

const DEPTH = 24;
const IDENTIFIER = /[\p{L}_][\p{L}\p{N}_.-]*/uy;
const NUMBER = /[+-]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\p{L}\p{N}_.])/uy;
const HEREDOC = /<<(-?)([\p{L}_][\p{L}\p{N}_]*)[ \t]*\r?\n/uy;
const SPACE = /(?:[\s\u{feff}]|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/uy;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  'n': '\n',
  't': '\t',
  'r': '\r',
  'a': '\x07',
  'b': '\b',
  'f': '\f',
  'v': '\v',
};
const ESCAPE_CODE = /(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-7]{3}))/uy;

/**
 * Reads a server's configuration.
 * @param file its name, for messages.
 * @throws QuorateError `document-invalid` with line and column, never with text of the file, which can hold a PIN.
 */
export function parseHcl(text: string, file: string): HclObject {
  const start = text.trimStart();
  if (start.startsWith('{')) return parseJson(start, file);
  return new Parser(text, file).document();
}

/** What stands below `name`: `plugin "kms" "x" { ... }`, or the same as nested objects, with `depth` labels. */
export function blocksOf(
  root: HclObject,
  name: string,
  depth: number,
): { readonly labels: readonly string[]; readonly body: HclObject; readonly line: number | undefined }[] {
  const found: { labels: readonly string[]; body: HclObject; line: number | undefined }[] = [];
  const walk = (value: HclValue, labels: readonly string[], line: number | undefined): void => {
    if (Array.isArray(value)) {
      for (const one of value as readonly HclValue[]) walk(one, labels, line);
    } else if (isObject(value)) {
      if (labels.length === depth) found.push({ labels, body: value, line });
      else for (const entry of value.entries) walk(entry.value, [...labels, ...entry.keys], entry.line ?? line);
    }
  };
  for (const { keys, value, line } of root.entries) if (keys[0] === name) walk(value, keys.slice(1), line);
  return found;
}

export function isObject(value: HclValue): value is HclObject {
  return typeof value === 'object' && !Array.isArray(value);
}

class Parser {
  readonly #text: string;
  readonly #file: string;
  #at = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  document(): HclObject {
    const entries = this.#entries(0);
    if (this.#at < this.#text.length) this.#fail('this has no place here');
    return { entries };
  }

  #entries(depth: number): HclEntry[] {
    if (depth > DEPTH) this.#fail('nested too deeply');
    const entries: HclEntry[] = [];
    for (;;) {
      this.#space();
      const next = this.#text[this.#at];
      if (next === undefined || next === '}') return entries;
      entries.push(this.#entry(depth));
      this.#space();
      if (this.#text[this.#at] === ',') this.#at += 1;
    }
  }

  #entry(depth: number): HclEntry {
    const line = this.#place().line;
    const keys: string[] = [];
    for (;;) {
      this.#space();
      const next = this.#text[this.#at];
      if (next === '=' && keys.length === 1) {
        this.#at += 1;
        return { keys, value: this.#value(depth), line };
      }
      if (next === '{' && keys.length > 0) return { keys, value: this.#object(depth), line };
      keys.push(
        next === '"' ? this.#string() : (this.#match(IDENTIFIER) ?? this.#fail('a name, = or { is missing here')),
      );
    }
  }

  #object(depth: number): HclObject {
    this.#at += 1;
    const entries = this.#entries(depth + 1);
    if (this.#text[this.#at] !== '}') this.#fail('a closing } is missing');
    this.#at += 1;
    return { entries };
  }

  #value(depth: number): HclValue {
    this.#space();
    const next = this.#text[this.#at];
    if (next === '"') return this.#string();
    if (next === '{') return this.#object(depth);
    if (next === '[') return this.#list(depth + 1);
    if (next === '<') return this.#heredoc();
    const number = this.#match(NUMBER);
    if (number !== undefined) return Number(number);
    const word = this.#match(IDENTIFIER);
    if (word === 'true' || word === 'false') return word === 'true';
    return this.#fail('a value is missing here; text stands in quotes');
  }

  #list(depth: number): readonly HclValue[] {
    if (depth > DEPTH) this.#fail('nested too deeply');
    this.#at += 1;
    const values: HclValue[] = [];
    for (;;) {
      this.#space();
      if (this.#text[this.#at] === ']') break;
      values.push(this.#value(depth));
      this.#space();
      if (this.#text[this.#at] === ',') this.#at += 1;
      else if (this.#text[this.#at] !== ']') this.#fail('a comma or a closing ] is missing');
    }
    this.#at += 1;
    return values;
  }

  #string(): string {
    let text = '';
    /** Inside ${ }, where quotes do not end the string. */
    let braces = 0;
    for (this.#at += 1; ; this.#at += 1) {
      const next = this.#text[this.#at];
      if (next === undefined || (next === '\n' && braces === 0)) this.#fail('a closing quote is missing');
      if (next === '"' && braces === 0) break;
      if (next === '\\' && braces === 0) {
        this.#at += 1;
        text += this.#escape();
        continue;
      }
      if (next === '$' && this.#text[this.#at + 1] === '{') {
        braces += 1;
        text += '${';
        this.#at += 1;
        continue;
      }
      if (braces > 0 && next === '{') braces += 1;
      if (braces > 0 && next === '}') braces -= 1;
      text += next;
    }
    this.#at += 1;
    return text;
  }

  /** Stays on the last character of the escape. */
  #escape(): string {
    const simple = ESCAPES[this.#text[this.#at] ?? ''];
    if (simple !== undefined) return simple;
    ESCAPE_CODE.lastIndex = this.#at;
    const match = ESCAPE_CODE.exec(this.#text);
    if (match === null) return this.#fail('this escape is not known');
    const [whole, short, long, hexadecimal, octal] = match;
    const code = octal === undefined ? parseInt(short ?? long ?? hexadecimal ?? '', 16) : parseInt(octal, 8);
    if (code > 0x10_ffff) this.#fail('this escape is no character');
    this.#at += whole.length - 1;
    return String.fromCodePoint(code);
  }

  #heredoc(): string {
    HEREDOC.lastIndex = this.#at;
    const match = HEREDOC.exec(this.#text);
    if (match === null) return this.#fail('a heredoc is <<NAME, and the text from the next line on');
    const [whole, dash, name = ''] = match;
    const from = this.#at + whole.length;
    const lines = this.#text.slice(from).split('\n');
    const end = lines.findIndex((line) => line.trim() === name);
    if (end < 0) return this.#fail('the end of this heredoc is missing');
    this.#at = from + lines.slice(0, end).reduce((sum, line) => sum + line.length + 1, 0) + (lines[end] ?? '').length;
    const body = lines.slice(0, end).map((line) => line.replace(/\r$/, ''));
    const indents = body.filter((line) => line.trim() !== '').map((line) => /^[ \t]*/.exec(line)?.[0].length ?? 0);
    const indent = dash === '-' && indents.length > 0 ? Math.min(...indents) : 0;
    return body.map((line) => `${line.slice(indent)}\n`).join('');
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    this.#at += SPACE.exec(this.#text)?.[0].length ?? 0;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #place(): { readonly line: number; readonly column: number } {
    const before = this.#text.slice(0, this.#at);
    return { line: before.split('\n').length, column: this.#at - before.lastIndexOf('\n') };
  }

  #fail(message: string): never {
    throw invalid(this.#file, message, this.#place());
  }
}

function invalid(
  file: string,
  message: string,
  place?: { readonly line: number; readonly column: number },
): QuorateError {
  const at = place === undefined ? '' : `:${place.line.toString()}:${place.column.toString()}`;
  return new QuorateError('document-invalid', `${file}${at}: ${message}`, { faults: [{ message, ...place }] });
}

function parseJson(text: string, file: string): HclObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Its message quotes the text.
    throw invalid(file, 'this is not JSON, as its first character promises');
  }
  return fromJson(value as Record<string, unknown>, file, 0);
}

function fromJson(value: Record<string, unknown>, file: string, depth: number): HclObject {
  if (depth > DEPTH) throw invalid(file, 'nested too deeply');
  const convert = (one: unknown): HclValue => {
    if (typeof one === 'string' || typeof one === 'number' || typeof one === 'boolean') return one;
    if (Array.isArray(one)) return one.map(convert);
    if (one === null || typeof one !== 'object') throw invalid(file, 'null has no place here');
    return fromJson(one as Record<string, unknown>, file, depth + 1);
  };
  return {
    entries: Object.entries(value).map(([key, one]) => ({ keys: [key], value: convert(one), line: undefined })),
  };
}

/**
 * YAML as most people write it: maps and lists by indentation, or short ones in one line, with values that need no
 * second look. All else is undefined here, and read by document.ts, which says what is wrong with what.
 */

type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value };

interface Line {
  readonly indent: number;
  readonly text: string;
}

/** Thrown and caught in this file only. */
const NOT_PLAIN = Symbol('not plain');

const LIMIT = 64 << 10;
const LONGEST_LINE = 500;
const DEEPEST = 12;
const KEY = /^([A-Za-z_][A-Za-z0-9_.-]*):(?: +(.*))?$/;
/** What a value may consist of; in brackets a comma would end it. */
const BLOCK_SCALAR = /^[A-Za-z0-9_/.][A-Za-z0-9_/. :,=+@()*<>$%;!?'"~^&|-]*$/;
const FLOW_SCALAR = /^[A-Za-z0-9_/.][A-Za-z0-9_/. :=+@()*<>$%;!?'"~^&|-]*$/;

/**
 * The value that `parseDocument` would give before it checks it against a schema; undefined where the text is not plain.
 * That one takes ten times as long, most of it for loading the library: what every command reads is read here.
 */
export function readPlainYaml(text: string): unknown {
  // Nothing but printable ASCII: no tab, no carriage return, and nothing that deceives a reader.
  if (text.length > LIMIT || !/^[\n\x20-\x7e]*$/.test(text)) return undefined;
  try {
    const lines = linesOf(text);
    const reader = new Reader(lines);
    const value = reader.block(0, 0);
    return reader.atEnd ? value : undefined;
  } catch (error) {
    if (error === NOT_PLAIN) return undefined;
    throw error;
  }
}

function refuse(): never {
  // eslint-disable-next-line @typescript-eslint/only-throw-error -- a way back within this file, without a stack to collect
  throw NOT_PLAIN;
}

function linesOf(text: string): Line[] {
  const lines: Line[] = [];
  for (const line of text.split('\n')) {
    if (line.length > LONGEST_LINE) refuse();
    const trimmed = line.trimStart();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    lines.push({ indent: line.length - trimmed.length, text: trimmed.trimEnd() });
  }
  return lines;
}

class Reader {
  readonly #lines: Line[];
  #at = 0;

  constructor(lines: Line[]) {
    this.#lines = lines;
  }

  get atEnd(): boolean {
    return this.#at === this.#lines.length;
  }

  /** What stands at exactly this indentation from here on. */
  block(indent: number, depth: number): Value {
    const line = this.#lines[this.#at];
    if (line?.indent !== indent || depth > DEEPEST) return refuse();
    return line.text.startsWith('- ') ? this.#list(indent, depth) : this.#map(indent, depth);
  }

  #list(indent: number, depth: number): Value {
    const items: Value[] = [];
    for (;;) {
      const line = this.#lines[this.#at];
      if (line?.indent !== indent || !line.text.startsWith('- ')) break;
      const rest = line.text.slice(2);
      if (KEY.test(rest)) {
        // The map starts on the line of its dash, and goes on below.
        this.#lines[this.#at] = { indent: indent + 2, text: rest };
        items.push(this.#map(indent + 2, depth + 1));
      } else {
        items.push(valueOf(rest));
        this.#at += 1;
      }
    }
    return items;
  }

  #map(indent: number, depth: number): Value {
    const map: Record<string, Value> = {};
    for (;;) {
      const line = this.#lines[this.#at];
      if (line?.indent !== indent || line.text.startsWith('- ')) break;
      const [, key, rest = ''] = KEY.exec(line.text) ?? refuse();
      addTo(map, key, () => {
        this.#at += 1;
        return rest === '' || rest.startsWith('#') ? this.#below(indent, depth) : valueOf(rest);
      });
    }
    return map;
  }

  /** The value of a key that has none on its own line. A list may stand right below its key. */
  #below(indent: number, depth: number): Value {
    const next = this.#lines[this.#at];
    if (next === undefined || next.indent < indent) return refuse();
    if (next.indent === indent) return next.text.startsWith('- ') ? this.#list(indent, depth + 1) : refuse();
    return this.block(next.indent, depth + 1);
  }
}

function addTo(map: Record<string, Value>, key: string | undefined, value: () => Value): void {
  if (key === undefined || Object.hasOwn(map, key) || key === '__proto__' || isWord(key)) refuse();
  map[key] = value();
}

/** Words that YAML may take for something else than text, in whatever case. */
const isWord = (text: string): boolean => /^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text);

/** A value that ends on its line, with the comment after it. */
function valueOf(text: string): Value {
  const [first] = text;
  if (first === '"' || first === "'") {
    const quoted = /^"([^"\\]*)"(?: +#.*)?$/.exec(text) ?? /^'([^']*)'(?: +#.*)?$/.exec(text) ?? refuse();
    return quoted[1] ?? '';
  }
  const comment = text.indexOf(' #');
  const value = (comment === -1 ? text : text.slice(0, comment)).trimEnd();
  if (first === '[' || first === '{') return flow(value);
  return scalar(value, BLOCK_SCALAR);
}

/** A list or a map in one line, of plain values only. */
function flow(text: string): Value {
  const [, open, inner = '', close] = /^([[{]) ?([^[\]{}"']*?) ?([\]}])$/.exec(text) ?? refuse();
  if ((open === '[') !== (close === ']') || inner.trim() === '') return refuse();
  const parts = inner.split(', ').map((part) => part.trim());
  if (open === '[') return parts.map((part) => scalar(part, FLOW_SCALAR));
  const map: Record<string, Value> = {};
  for (const part of parts) {
    const [, key, rest = ''] = KEY.exec(part) ?? refuse();
    addTo(map, key, () => scalar(rest, FLOW_SCALAR));
  }
  return map;
}

function scalar(text: string, allowed: RegExp): Value {
  if (!allowed.test(text) || text.includes(': ') || text.endsWith(':')) return refuse();
  if (text === 'true' || text === 'false') return text === 'true';
  if (/^(?:0|[1-9][0-9]{0,14})$/.test(text)) return Number(text);
  // What could be another kind of number, or a word that is none.
  if (isWord(text) || /^\.(?!\.?\/)/.test(text) || /^[0-9.]*(?:[eE][-+]?[0-9]*)?$|^0[xXoO]/.test(text)) return refuse();
  return text;
}

import type { Pair } from 'yaml';
import { Document, LineCounter, isAlias, isMap, isNode, isScalar, isSeq, parseDocument as parse, visit } from 'yaml';
import * as v from 'valibot';
import { type Fault, QuorateError } from './errors.ts';

/** Scripts, rosters and configurations are small; a larger file is not one of them. */
export const DOCUMENT_LIMIT = 256 << 10;

const MAX_DEPTH = 32;
const MAX_FAULTS = 100;
/** Control characters, and those that make text look different from what it is (bidirectional, line and paragraph separators, BOM). */
const DECEPTIVE = /[^\P{Cc}\t\n\r]|[\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]|\p{Cs}/u;
const PLAIN_NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$/;

interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Reads one YAML document that a person wrote and checks it against `schema`.
 * Stricter than YAML: no anchors, aliases, tags, merge keys, directives or second document, keys are text and
 * unique, numbers are plain decimals, and no character deceives the reader. Nothing is repaired.
 * @param options.file the name that messages use.
 * @throws QuorateError `document-invalid` that carries every fault, in the order of the file.
 */
export function parseDocument<S extends v.GenericSchema>(
  text: string,
  schema: S,
  options: { readonly file: string },
): v.InferOutput<S> {
  const faults: Fault[] = [];
  const fault = (message: string, place?: Place): void => {
    faults.push(place === undefined ? { message } : { message, line: place.line, column: place.column });
  };
  if (text.length > DOCUMENT_LIMIT || Buffer.byteLength(text) > DOCUMENT_LIMIT) {
    fault(`larger than ${(DOCUMENT_LIMIT >> 10).toString()} KiB`);
    throw invalid(options.file, faults);
  }
  findDeceptive(text, fault);
  if (faults.length > 0) throw invalid(options.file, faults);

  const lines = new LineCounter();
  const document = compose(text, lines);
  if (document === undefined) {
    fault('nested too deeply');
    throw invalid(options.file, faults);
  }
  const placeAt = (offset: number | undefined): Place | undefined => {
    if (offset === undefined) return undefined;
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  for (const error of [...document.errors, ...document.warnings])
    fault(YAML_FAULTS[error.code] ?? 'not valid YAML', placeAt(error.pos[0]));
  const { directives } = document;
  if (directives.yaml.explicit === true || Object.keys(directives.tags).length > 1)
    fault('a directive (%) has no place here', { line: 1, column: 1 });
  const place = (node: unknown): Place | undefined => placeAt(isNode(node) ? node.range?.[0] : undefined);
  inspect(document.contents, 0, place, fault);
  // What could not be read as meant cannot be checked against the schema either.
  if (faults.length > 0) throw invalid(options.file, faults);

  const checked = check(schema, document.toJS({ maxAliasCount: 0 }));
  if (checked.issues === undefined) return checked.output;
  for (const issue of checked.issues)
    fault(describe(issue), place(locate(document.contents, issue)) ?? { line: 1, column: 1 });
  throw invalid(options.file, faults);
}

/**
 * `value` (what JSON can hold; undefined members are left out) as YAML that `parseDocument` reads back unchanged.
 * Text that any YAML reader could take for a number, a date or a yes is quoted, deceptive characters are escaped.
 * @param options.comment put above it, each line after `# `.
 */
export function renderYaml(value: unknown, options: { readonly comment?: string } = {}): string {
  const document = new Document(value, { aliasDuplicateObjects: false, version: '1.2', compat: 'yaml-1.1' });
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value === 'string' && DECEPTIVE.test(node.value)) node.type = 'QUOTE_DOUBLE';
    },
  });
  const body = document
    .toString({ lineWidth: 0 })
    .replace(new RegExp(DECEPTIVE, 'gu'), (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
  if (options.comment === undefined) return body;
  const comment = options.comment.split('\n').map((line) => `# ${line}`.trimEnd());
  return `${comment.join('\n')}\n${body}`;
}

function compose(text: string, lineCounter: LineCounter): Document.Parsed | undefined {
  try {
    return parse(text, {
      lineCounter,
      version: '1.2',
      schema: 'core',
      merge: false,
      strict: true,
      stringKeys: true,
      // Ours is linear in the number of keys; the library's is not.
      uniqueKeys: false,
      prettyErrors: false,
      // 'silent' would also hide a second document; nothing is printed at this level either.
      logLevel: 'error',
    });
  } catch {
    // The library throws for nothing but exhausted recursion.
    return undefined;
  }
}

function findDeceptive(text: string, fault: (message: string, place: Place) => void): void {
  if (!DECEPTIVE.test(text)) return;
  let reported = 0;
  for (const [index, line] of text.split(/\r\n|\n|\r/).entries()) {
    const match = DECEPTIVE.exec(line);
    if (match === null || reported >= MAX_FAULTS) continue;
    reported += 1;
    const code = (match[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    fault(`the invisible character U+${code} has no place here`, { line: index + 1, column: match.index + 1 });
  }
}

/** Refuses what YAML allows and this does not. */
function inspect(
  node: unknown,
  depth: number,
  place: (node: unknown) => Place | undefined,
  fault: (message: string, place?: Place) => void,
): void {
  if (depth > MAX_DEPTH) {
    fault('nested too deeply', place(node));
    return;
  }
  if (isAlias(node)) {
    fault('an alias (*) has no place here: write the value out', place(node));
    return;
  }
  if (!isNode(node)) return;
  if (node.anchor !== undefined) fault('an anchor (&) has no place here', place(node));
  if (node.tag !== undefined) fault('a tag (!) has no place here', place(node));
  if (isScalar(node)) {
    inspectScalar(node.value, node.source, place(node), fault);
  } else if (isSeq(node)) {
    for (const item of node.items) inspect(item, depth + 1, place, fault);
  } else if (isMap(node)) {
    const seen = new Set<string>();
    for (const pair of node.items) inspectPair(pair, seen, depth, place, fault);
  }
}

function inspectPair(
  pair: Pair,
  seen: Set<string>,
  depth: number,
  place: (node: unknown) => Place | undefined,
  fault: (message: string, place?: Place) => void,
): void {
  const at = place(pair.key) ?? place(pair.value);
  if (!isScalar(pair.key) || typeof pair.key.value !== 'string') {
    fault('a key must be text; put it in quotes', at);
  } else {
    const key = pair.key.value;
    if (key === '<<') fault('a merge key (<<) has no place here', at);
    else if (key === '__proto__' || key === '') fault('this key has no place here', at);
    else if (seen.has(key)) fault(`${named(key)} is given twice`, at);
    seen.add(key);
    inspect(pair.key, depth + 1, place, fault);
  }
  inspect(pair.value, depth + 1, place, fault);
}

function inspectScalar(
  value: unknown,
  source: string | undefined,
  at: Place | undefined,
  fault: (message: string, place?: Place) => void,
): void {
  if (typeof value === 'string' && DECEPTIVE.test(value)) fault('an escaped control character has no place here', at);
  if (typeof value !== 'number') return;
  if (!PLAIN_NUMBER.test(source ?? ''))
    fault('write a plain decimal number, or put text that looks like one in quotes', at);
  else if (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER)
    fault('this number is too large; put it in quotes if it is text', at);
}

type Issue = v.BaseIssue<unknown>;

/** Every issue: valibot names one unknown key of a map at a time, so each is set aside and the rest looked at again. */
function check<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
): { readonly output: v.InferOutput<S>; readonly issues?: undefined } | { readonly issues: readonly Issue[] } {
  const unknown: Issue[] = [];
  let result = v.safeParse(schema, value);
  while (!result.success && unknown.length < MAX_FAULTS) {
    const extra = result.issues.filter(isUnknownKey);
    if (extra.length === 0) break;
    for (const issue of extra) {
      const last = issue.path?.at(-1);
      if (last === undefined || !Reflect.deleteProperty(last.input as object, last.key as string)) continue;
      unknown.push(issue);
    }
    result = v.safeParse(schema, value);
  }
  if (result.success && unknown.length === 0) return { output: result.output };
  return { issues: [...unknown, ...(result.issues ?? []).filter((issue) => !isUnknownKey(issue))] };
}

function isUnknownKey(issue: Issue): boolean {
  return issue.type === 'strict_object' && issue.expected === 'never';
}

function isMissingKey(issue: Issue): boolean {
  const last = issue.path?.at(-1);
  return last?.origin === 'key' && !isUnknownKey(issue) && !Object.hasOwn(last.input as object, last.key as string);
}

/** The node that an issue is about: the key itself when it is unknown, its map when it is missing. */
function locate(contents: unknown, issue: Issue): unknown {
  let node = contents;
  const path = issue.path ?? [];
  for (const [index, item] of path.entries()) {
    const isLast = index === path.length - 1;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === item.key);
      if (pair === undefined) return node;
      if (isLast && isUnknownKey(issue)) return pair.key;
      node = isNode(pair.value) ? pair.value : pair.key;
    } else if (isSeq(node) && typeof item.key === 'number') {
      node = node.items[item.key] ?? node;
    }
  }
  return node;
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: 'expected text',
  number: 'expected a number',
  boolean: 'expected true or false',
  object: 'expected a map',
  strict_object: 'expected a map',
  record: 'expected a map',
  array: 'expected a list',
  integer: 'expected a whole number',
  regex: 'not in the form that is expected here',
  iso_timestamp: 'expected a time such as 2027-01-12T10:04:31Z',
};

/** In words, without the value: a person may have put a secret in the wrong place. */
function describe(issue: Issue): string {
  const keys = (issue.path ?? []).map(({ key }) => key);
  const last = keys.at(-1);
  if (isUnknownKey(issue)) return `${named(String(last))} is not a key that this knows`;
  if (isMissingKey(issue)) return `${named(String(last))} is missing`;
  const subject = typeof last === 'string' ? `${named(last)}: ` : '';
  const isStandard = issue.message.startsWith('Invalid ') && issue.message.endsWith(`eceived ${issue.received}`);
  if (!isStandard) return `${subject}${issue.message}`;
  const words = EXPECTED[issue.type] ?? (issue.expected === null ? 'not allowed here' : `expected ${issue.expected}`);
  const isScalarValue = ['number', 'boolean'].includes(typeof issue.input);
  return `${subject}${words}${issue.type === 'string' && isScalarValue ? '; put it in quotes' : ''}`;
}

/** A key as it is shown in a message; not what begins like a token, or has a run in it that no word is. */
function named(key: string): string {
  if (/^(?:hv[sbr]|[sbr])\.|(?=[^-_. ]*\d)[^-_. ]{12}|[^-_. ]{30}/.test(key)) return 'this key (not shown)';
  return `"${key.slice(0, 40)}${key.length > 40 ? '…' : ''}"`;
}

function invalid(file: string, faults: readonly Fault[]): QuorateError {
  const sorted = faults
    .toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))
    .slice(0, MAX_FAULTS);
  const [first] = sorted;
  const message =
    sorted.length === 1 && first !== undefined
      ? `${file}${first.line === undefined ? '' : `:${first.line.toString()}:${(first.column ?? 1).toString()}`}: ${first.message}`
      : `${file} has ${faults.length.toString()} faults`;
  return new QuorateError('document-invalid', message, { faults: sorted });
}

/** The library's own messages may quote the text; these do not. */
const YAML_FAULTS: Readonly<Record<string, string>> = {
  BAD_ALIAS: 'an alias (*) has no place here',
  ALIAS_PROPS: 'an alias (*) has no place here',
  BAD_DIRECTIVE: 'a directive (%) has no place here',
  BAD_DQ_ESCAPE: 'an escape that YAML does not know; use single quotes for text with backslashes',
  BAD_INDENT: 'the indentation does not fit',
  BAD_SCALAR_START: 'text cannot start with this character; put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a nested map must start on a line of its own; or put text with ": " in quotes',
  BLOCK_IN_FLOW: 'a block has no place inside { } or [ ]',
  MISSING_CHAR: 'a character is missing: a closing quote or bracket, a comma, a colon, or a space after one',
  MULTILINE_IMPLICIT_KEY: 'a key must be on one line; is a colon missing?',
  MULTIPLE_DOCS: 'a second document (---) has no place here',
  MULTIPLE_TAGS: 'a tag (!) has no place here',
  NON_STRING_KEY: 'a key must be text; put it in quotes',
  TAB_AS_INDENT: 'a tab has no place in the indentation; use spaces',
  TAG_RESOLVE_FAILED: 'a tag (!) has no place here',
  UNEXPECTED_TOKEN: 'this has no place here',
};

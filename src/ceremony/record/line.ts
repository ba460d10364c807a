import * as v from 'valibot';
import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical.ts';
import { type RecordLine, lineSchema, looksSecret } from './events.ts';

/** What `prev` says in the first line. */
export const NO_LINE = 'none';

/** `sha256:` and the hexadecimal SHA-256 of `bytes`. */
export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export type CheckedLine =
  { readonly ok: true; readonly line: RecordLine } | { readonly ok: false; readonly faults: readonly string[] };

/** Checks a line against the closed schema of its event. Faults name fields and never quote a value. */
export function checkLine(value: unknown): CheckedLine {
  const name: unknown = isObject(value) ? value['event'] : undefined;
  const schema = typeof name === 'string' ? lineSchema(name) : undefined;
  if (schema === undefined) return { ok: false, faults: ['event: no such event'] };
  const result = v.safeParse(schema, value);
  return result.success ? { ok: true, line: result.output } : { ok: false, faults: result.issues.map(describe) };
}

/** The text of a line, or undefined where canonical JSON has no form for it. */
export function lineText(value: unknown): string | undefined {
  try {
    return canonicalJson(value);
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(issue: v.BaseIssue<unknown>): string {
  return `${place(issue)}: ${reason(issue)}`;
}

/** The path of a field, without keys that could themselves be a secret put in the wrong place. */
function place(issue: v.BaseIssue<unknown>): string {
  const path = (issue.path ?? []).map(({ key }) => {
    const name = String(key);
    return /^[a-z0-9][a-z0-9 _.-]{0,40}$/i.test(name) && !looksSecret(name) ? name : '(a field)';
  });
  return path.length === 0 ? 'the line' : path.join('.');
}

/** In words of our own, because valibot's messages quote what they received. */
function reason(issue: v.BaseIssue<unknown>): string {
  switch (issue.type) {
    case 'strict_object':
      if (issue.expected === 'never') return 'is not in the schema';
      return issue.received === 'undefined' ? 'is missing' : 'is not an object';
    case 'min_length':
      return 'is empty';
    case 'max_length':
      return 'is too long';
    case 'regex':
      return 'is not in the form that it must have';
    case 'check':
      return 'is refused: it looks like a share or a token, or is not what it must be';
    case 'picklist':
    case 'literal':
      return 'is none of the allowed words';
    default:
      return 'is not of the type that it must have';
  }
}

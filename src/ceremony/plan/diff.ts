import { diffLines, sameValue } from '../../difference.ts';
import { isQuorateError } from '../../errors.ts';
import type { Session } from '../../vault/peer.ts';
import { flatten, readBack } from '../first-writes.ts';
import type { Finding } from '../kind.ts';
import { looksSecret } from '../record/events.ts';
import { type Action, actionTitle, type Plan } from './schema.ts';

const LONGEST = 200;
const MOST_LINES = 80;

type There =
  | { readonly kind: 'there'; readonly fields: Readonly<Record<string, unknown>> }
  | { readonly kind: 'absent' | 'unreadable' };

/**
 * The plan against the live server, as findings that people read before anybody gives a share; also `check --live`
 * shows them. It changes nothing. What the ceremony login may not read is said to be `not readable before`.
 */
export async function planFindings(session: Session, plan: Plan): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const [index, one] of plan.entries()) {
    const there = await lookAt(session, one);
    const ok =
      one.action !== 'read' || one.expect === undefined || there.kind !== 'there' || holds(one.expect, there.fields);
    const [head = '', ...lines] = describe(one, there);
    const title = `${actionTitle(one, index)}: ${head}`;
    findings.push({
      code: 'plan',
      ok,
      finding: printable(title),
      ...(ok ? {} : { mend: 'The server is not as the plan expects. Review the plan.' }),
    });
    for (const line of lines) findings.push({ code: 'plan', ok: true, finding: printable(`    ${line}`) });
  }
  return findings;
}

/** Whether what was expected is there; more may be. */
export function holds(expected: Readonly<Record<string, unknown>>, fields: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(expected).every(([key, value]) => key in fields && sameValue(value, fields[key]));
}

async function lookAt(session: Session, { path }: Action): Promise<There> {
  try {
    const found = await readBack(session, path);
    if (found === null || found === undefined) return { kind: 'absent' };
    if (typeof found !== 'object' || Array.isArray(found)) return { kind: 'unreadable' };
    return { kind: 'there', fields: flatten(found as Readonly<Record<string, unknown>>) };
  } catch (error) {
    if (isQuorateError(error, 'denied') || isQuorateError(error, 'server-error')) return { kind: 'unreadable' };
    throw error;
  }
}

function describe(one: Action, there: There): readonly string[] {
  const state = there.kind === 'there' ? 'there' : there.kind === 'absent' ? 'not there' : 'not readable before';
  if (one.action === 'delete') return [there.kind === 'there' ? 'there, will be gone' : state];
  if (one.action === 'read') {
    if (there.kind !== 'there') return [state];
    if (one.expect === undefined) return [`there (${Object.keys(there.fields).sort().join(', ')})`];
    return [holds(one.expect, there.fields) ? 'there, as expected' : 'there, and not as expected'];
  }
  if (there.kind !== 'there') {
    const all = Object.entries(one.data).flatMap(([key, value]) => asAdded(key, value));
    return [there.kind === 'absent' ? 'new' : state, ...capped(all)];
  }
  const different = Object.entries(one.data).filter(([key, value]) => !sameValue(value, there.fields[key]));
  if (different.length === 0) return ['there already, as written'];
  const may = showsValues(one.path);
  return [
    `changes ${different.map(([key]) => key).join(', ')}`,
    ...capped(different.flatMap(([key, value]) => asChanged(key, value, there.fields, may))),
  ];
}

function asChanged(
  key: string,
  value: unknown,
  fields: Readonly<Record<string, unknown>>,
  mayShow: boolean,
): readonly string[] {
  if (!(key in fields)) return asAdded(key, value);
  if (!mayShow) return [`- ${key}: (as it is now, not shown)`, ...asAdded(key, value)];
  const before = text(fields[key]);
  const after = text(value);
  if (!before.includes('\n') && !after.includes('\n')) return [`- ${key}: ${before}`, `+ ${key}: ${after}`];
  return diffLines(before, after);
}

function asAdded(key: string, value: unknown): readonly string[] {
  const [first = '', ...rest] = text(value).trimEnd().split('\n');
  return rest.length === 0 ? [`+ ${key}: ${first}`] : [`+ ${key}:`, ...[first, ...rest].map((line) => `+   ${line}`)];
}

/** What secret engines hold is nobody's to see here; the server's own settings are no secrets. */
function showsValues(path: string): boolean {
  return /^(sys|auth|identity)\//.test(path);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function capped(lines: readonly string[]): readonly string[] {
  if (lines.length <= MOST_LINES) return lines;
  return [...lines.slice(0, MOST_LINES), `... and ${(lines.length - MOST_LINES).toString()} more lines`];
}

/** One line that a record takes and that drives no terminal. */
function printable(line: string): string {
  const clean = line.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]+/gu, ' ');
  if (looksSecret(clean))
    return `${clean.slice(0, 6).trimEnd()} [a line that looks like a secret is not shown]`.replace(
      /^\s*(?=\[)/,
      '    ',
    );
  return clean.length > LONGEST ? `${clean.slice(0, LONGEST - 1)}…` : clean;
}

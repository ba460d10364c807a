import type { EventName, RecordLine } from './events.ts';
import { type Content, type Html, code, facts, markup } from './report-html.ts';

type Of<N extends EventName> = Extract<RecordLine, { event: N }>;

/** The lines of some events, in their order. */
export function ofKind<N extends EventName>(lines: readonly RecordLine[], ...names: readonly N[]): readonly Of<N>[] {
  return lines.filter((line): line is Of<N> => (names as readonly string[]).includes(line.event));
}

const ENVELOPE = new Set(['seq', 'time', 'prev', 'mode', 'event', 'step']);

/** What each event is called on the page. A new event does not compile until it is here. */
const TITLES: Readonly<Record<EventName, string>> = {
  'ceremony.opened': 'Ceremony opened',
  'ceremony.resumed': 'Ceremony resumed after an interruption',
  'participant': 'Participant',
  'environment': 'Environment',
  'inventory': 'Inventory',
  'hsm': 'HSM',
  'check': 'Check',
  'peer': 'Peer',
  'step.started': 'Step started',
  'step.skipped': 'Step skipped',
  'step.done': 'Step done',
  'request': 'Request',
  'people': 'Read aloud and recorded',
  'share.issued': 'Share issued',
  'share.proved': 'Share proved readable',
  'share.accepted': 'Share accepted',
  'share.refused': 'Share refused',
  'receipt': 'Receipt of a custodian apart',
  'roster': 'Roster written',
  'write': 'Written',
  'login': 'Login',
  'capability.proved': 'Capability proved',
  'token.revoked': 'Token revoked',
  'destroyed': 'Destroyed',
  'snapshot': 'Snapshot',
  'exception': 'EXCEPTION',
  'error': 'Error',
  'note': 'Note',
  'ceremony.closed': 'Ceremony closed',
};

/** 10:04:31 of `2027-01-12T10:04:31.120Z`; the date is in the page's head and wherever it changes. */
export function clock(time: string): string {
  return time.slice(11, 19);
}

/** One event with every field that it has: nothing that is in the record is left out of the page. */
export function eventItem(line: RecordLine): Html {
  const fields = Object.entries(line).filter(([name]) => !ENVELOPE.has(name));
  const entries = fields.flatMap(([name, value]) => fieldEntries(name, value as unknown));
  const kind = line.event === 'exception' || line.event === 'error' ? 'exception' : '';
  return markup`<li class="${kind}">
    <strong>${TITLES[line.event]}</strong>
    <span class="soft">${clock(line.time)} · event ${line.seq}</span> ${facts(entries)}
  </li> `;
}

function fieldEntries(name: string, value: unknown): readonly (readonly [string, Content])[] {
  if (name === 'fields' && typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).map(([field, said]) => [field, String(said)] as const);
  }
  return [[label(name), shown(value)]];
}

/** `clusterId` reads `cluster id`. */
function label(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** A value as text: digests in the type for digests, several facts side by side. */
export function shown(value: unknown): Content {
  if (value === undefined) return undefined;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return /^sha256:|^SHA256:|^[A-Z]+ [a-z/]+\//.test(value) ? code(value) : value;
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(String).join(', ');
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([name, member]) => `${label(name)} ${plain(member)}`);
    return members.length === 0 ? 'nothing' : members.join(', ');
  }
  return plain(value);
}

function plain(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (value === null) return 'none';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

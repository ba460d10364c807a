import type { RecordEvent } from './record/events.ts';
import type { Roster, RosterEntry } from './roster/schema.ts';
import type { CommonScript, Custodian } from './script.ts';

type Named = Partial<Pick<Custodian, 'pgp'>> & Omit<Custodian, 'pgp'>;

/** The people whom a script names, as the record has them. */
export function scriptParticipants(script: CommonScript, custodians: readonly Named[]): RecordEvent[] {
  const event =
    (role: 'administrator' | 'custodian' | 'witness') =>
    (one: Named): RecordEvent => ({
      event: 'participant',
      role,
      name: one.name,
      affiliation: one.affiliation,
      pgp: one.pgp?.fingerprint,
      ssh: one.ssh?.fingerprint,
    });
  return [
    ...(script.administrator === undefined ? [] : [script.administrator]).map(event('administrator')),
    ...custodians.map(event('custodian')),
    ...script.witnesses.map(event('witness')),
  ];
}

/** Those of `expected` whom an interruption kept from being recorded. */
export function missingParticipants(expected: readonly RecordEvent[], lines: readonly RecordEvent[]): RecordEvent[] {
  const key = (event: RecordEvent): string => (event.event === 'participant' ? `${event.role} ${event.name}` : '');
  const there = new Set(lines.map(key));
  return expected.filter((event) => !there.has(key(event)));
}

/**
 * The custodians who gave a share and whom no script named, so that they can sign what they took part in. Their keys
 * are those that a roster has beside that very share.
 */
export function unnamedCustodians(lines: readonly RecordEvent[], rosters: readonly Roster[]): RecordEvent[] {
  const named = namesOf(lines);
  const entries = rosters.flatMap(({ shares }) => shares);
  const found = new Map<string, RecordEvent>();
  for (const line of lines) {
    if (line.event !== 'share.accepted' || line.who === undefined || named.has(line.who)) continue;
    const { who, fingerprint } = line;
    const entry = entries.find((one) => one.holder === who && `sha256:${one.fingerprint.sha256}` === fingerprint);
    if (entry !== undefined || !found.has(who)) found.set(who, custodianEvent(who, entry));
  }
  return [...found.values()];
}

/** Those of `holders` whom no script named: custodians who showed a share of `roster` that was sent nowhere. */
export function shownCustodians(
  lines: readonly RecordEvent[],
  roster: Roster,
  holders: readonly string[],
): RecordEvent[] {
  const named = namesOf(lines);
  return [...new Set(holders)].flatMap((name) => {
    const entry = roster.shares.find(({ holder }) => holder === name);
    return entry === undefined || named.has(name) ? [] : [custodianEvent(name, entry)];
  });
}

function namesOf(lines: readonly RecordEvent[]): ReadonlySet<string> {
  return new Set(lines.flatMap((line) => (line.event === 'participant' ? [line.name] : [])));
}

function custodianEvent(name: string, entry: RosterEntry | undefined): RecordEvent {
  return { event: 'participant', role: 'custodian', name, pgp: entry?.pgp, ssh: entry?.ssh };
}

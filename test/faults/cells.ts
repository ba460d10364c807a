/** The ceremonies and the faults that are played against each other. */

export const KINDS = ['init', 'unseal', 'rotate-root-key', 'rotate-recovery-key', 'root-token'] as const;
export type Kind = (typeof KINDS)[number];

export const FAULTS = [
  'before send',
  'before reply',
  'before sync',
  'quorate killed',
  'leader steps down',
  'leader killed',
  'followers frozen',
] as const;
export type Fault = (typeof FAULTS)[number];

export const FAULT_TEXT: Readonly<Record<Fault, string>> = {
  'before send': 'the connection breaks before the request is there',
  'before reply': 'the server has done it; the reply is lost, cut short, or a 500',
  'before sync': 'quorate is killed with the reply in its hands, before the record knows',
  'quorate killed': 'quorate is killed at any moment',
  'leader steps down': 'another peer leads, or the same one anew',
  'leader killed': 'SIGKILL of the server that leads',
  'followers frozen': 'SIGSTOP of all others, for longer than a leader leads without them',
};

export interface Cell {
  readonly kind: Kind;
  readonly fault: Fault;
}

/** What a cell may end in; the last two fail a run. */
export const VERDICTS = ['unchanged', 'done', 'repaired', 'unknown', 'lost'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** Faults of servers need three of them; one is enough, and faster, where quorate or the wire fails. */
export function peersOf(fault: Fault): 1 | 3 {
  return fault === 'leader steps down' || fault === 'leader killed' || fault === 'followers frozen' ? 3 : 1;
}

/** How many calls that change something a ceremony makes on so many peers, as counted without faults. */
export const CALLS: Readonly<Record<Kind, Readonly<Record<1 | 3, number>>>> = {
  'init': { 1: 16, 3: 20 },
  'unseal': { 1: 2, 3: 6 },
  'rotate-root-key': { 1: 16, 3: 16 },
  'rotate-recovery-key': { 1: 19, 3: 19 },
  'root-token': { 1: 8, 3: 8 },
};

/** Calls that change nothing, whatever their method says. */
const HARMLESS = /capabilities-self|audit-hash|auth\/token\/lookup|sys\/leases\/lookup/;

export function changes(request: string): boolean {
  return /^(?:PUT|POST|DELETE|PATCH) /.test(request) && !HARMLESS.test(request);
}

/** `init/before send`, and so on; a kind or a fault alone means all of its cells. @throws Error on a name that is none. */
export function cellsOf(only: string | undefined): readonly Cell[] {
  const all = KINDS.flatMap((kind) => FAULTS.map((fault) => ({ kind, fault })));
  if (only === undefined) return all;
  return only.split(',').flatMap((name) => {
    const found = all.filter(({ kind, fault }) => [kind, fault, `${kind}/${fault}`].includes(name.trim() as Kind));
    if (found.length === 0)
      throw new Error(`no cell ${name}; kinds: ${KINDS.join(', ')}; faults: ${FAULTS.join(', ')}`);
    return found;
  });
}

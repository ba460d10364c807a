import type { RecordLine } from './events.ts';
import { clock, ofKind, shown } from './report-events.ts';
import { type Html, code, facts, markup, table } from './report-html.ts';
import { digestWords } from './words.ts';

/** Who took part. */
export function people(lines: readonly RecordLine[]): Html | undefined {
  const rows = ofKind(lines, 'participant').map((line) => [
    line.name,
    line.role,
    line.affiliation,
    keys(line),
    line.checkedBy,
    line.arrived?.slice(0, 16).replace('T', ' '),
    line.left?.slice(0, 16).replace('T', ' '),
  ]);
  const columns = ['name', 'role', 'affiliation', 'keys', 'identity checked by', 'arrived (UTC)', 'left (UTC)'];
  return rows.length === 0 ? undefined : table(columns, rows);
}

function keys({
  pgp,
  ssh,
}: {
  readonly pgp?: string | undefined;
  readonly ssh?: string | undefined;
}): Html | undefined {
  if (pgp === undefined && ssh === undefined) return undefined;
  const kinds = [
    pgp === undefined ? undefined : markup`<span class="soft">OpenPGP</span> ${code(pgp)}`,
    ssh === undefined ? undefined : markup`<span class="soft">SSH</span> ${code(ssh)}`,
  ];
  return markup`${kinds.map((each) => each && markup`<div>${each}</div>`)}`;
}

/** The room and the peers, as each was found. */
export function environment(lines: readonly RecordLine[]): Html | undefined {
  const rooms = ofKind(lines, 'environment');
  const peers = ofKind(lines, 'peer');
  if (rooms.length + peers.length === 0) return undefined;
  const columns = ['UTC', 'peer', 'state', 'server', 'seal', 'shares', 'clock skew', 'cluster id', 'TLS certificate'];
  const rows = peers.map((line) => [
    clock(line.time),
    markup`${line.peer}<br /><span class="soft">${line.address}</span>`,
    line.state,
    `${line.flavour} ${line.version}`,
    line.seal,
    line.shares === undefined ? undefined : `${shownNumber(line.threshold)} of ${line.shares.toString()}`,
    line.skew === undefined ? undefined : `${line.skew.toString()} ms`,
    code(line.clusterId),
    code(line.certificate),
  ]);
  return markup`${rooms.map((line) =>
    facts([
      ['agreed clock', line.clock],
      ['network', line.network],
      ['recorder', line.recorder],
      ['permitted devices', line.devices],
    ]),
  )}${rows.length === 0 ? undefined : table(columns, rows)}`;
}

/** What was taken out of which bag. */
export function inventory(lines: readonly RecordLine[]): Html | undefined {
  const rows = ofKind(lines, 'inventory').map((line) => [
    line.item,
    line.serial,
    line.bagBefore,
    line.bagAfter,
    line.condition,
    line.openedBy,
  ]);
  return rows.length === 0
    ? undefined
    : table(['item', 'serial', 'bag before', 'bag after', 'condition', 'opened by'], rows);
}

/** The tokens and their keys. */
export function hsms(lines: readonly RecordLine[]): Html | undefined {
  const found = ofKind(lines, 'hsm');
  if (found.length === 0) return undefined;
  return markup`${found.map((line) =>
    facts(
      Object.entries(line)
        .filter(([name]) => !['seq', 'time', 'prev', 'mode', 'event', 'step'].includes(name))
        .map(([name, value]) => [name, shown(value)] as const),
    ),
  )}`;
}

/** What was looked at before anybody acted. */
export function checks(lines: readonly RecordLine[]): Html | undefined {
  const rows = ofKind(lines, 'check').map((line) => [
    line.ok ? markup`<span class="good">ok</span>` : markup`<span class="bad">FAIL</span>`,
    line.finding,
    line.facts === undefined ? undefined : shown(line.facts),
    line.mend,
    line.accepted,
    markup`${clock(line.time)} <span class="soft">${line.code}</span>`,
  ]);
  return rows.length === 0
    ? undefined
    : table(['result', 'finding', 'measured', 'to mend it', 'accepted', 'UTC'], rows);
}

/** Who holds which share, and whether they proved that they can read it. */
export function shares(lines: readonly RecordLine[]): Html | undefined {
  const issued = ofKind(lines, 'share.issued');
  const proved = ofKind(lines, 'share.proved');
  if (issued.length + proved.length === 0) return undefined;
  const unproved = issued.filter((line) => line.who !== undefined && !proved.some(({ who }) => who === line.who));
  const rows = [
    ...proved.map((line) => [
      code(line.x),
      line.who ?? 'not named',
      code(line.pgp ?? issued.find(({ who }) => who !== undefined && who === line.who)?.pgp),
      markup`${code(line.fingerprint)}<br /><span class="soft">salt ${code(line.salt)}</span>`,
      line.generation,
      markup`${line.how}<br /><span class="soft">${line.time.slice(0, 19).replace('T', ' ')} UTC</span>`,
      line.bag,
    ]),
    ...unproved.map((line) => [
      'unknown',
      line.who,
      code(line.pgp),
      markup`<span class="bad">not proved readable</span>`,
      '',
      '',
      '',
    ]),
  ];
  return table(['x', 'custodian', 'OpenPGP key', 'share fingerprint', 'generation', 'verified', 'bag or device'], rows);
}

/** What is gone, and the proof. */
export function destruction(lines: readonly RecordLine[]): Html | undefined {
  const rows = ofKind(lines, 'destroyed', 'token.revoked').map((line) =>
    line.event === 'destroyed'
      ? [line.time, line.what, line.how, line.witness]
      : [line.time, markup`token with accessor ${code(line.accessor)}`, `revoked: ${line.proof}`, undefined],
  );
  return rows.length === 0 ? undefined : table(['UTC', 'what', 'how, and the proof', 'witness'], rows);
}

/** The outcome and the digests of the outputs. */
export function closing(lines: readonly RecordLine[]): Html | undefined {
  const closed = ofKind(lines, 'ceremony.closed').at(-1);
  if (closed === undefined) return undefined;
  const outputs = Object.entries(closed.outputs).map(([name, value]) => [name, digest(value)]);
  return markup`${facts([
    ['result', closed.result],
    ['UTC', closed.time],
    ['next ceremony', closed.next],
  ])}${outputs.length === 0 ? markup`<p>No outputs.</p>` : table(['output', 'SHA-256'], outputs)}`;
}

/** A number that a record may leave out. */
export function shownNumber(value: number | undefined): string {
  return value === undefined ? 'not given' : value.toString();
}

/** A digest with its words, for one who reads aloud and one who compares. */
export function digest(value: string | undefined): Html | undefined {
  return value === undefined
    ? undefined
    : markup`${code(value)}<br /><span class="soft">${digestWords(value).join(' ')}</span>`;
}

import * as v from 'valibot';

/**
 * The closed schema of a record's events. What is not named here cannot be written, so that a share, a token,
 * a PIN or an OTP has no place. Text that people typed goes through `spoken`, which refuses what looks like one.
 */

/** A token of either flavour, 32 bytes or more in hexadecimal, 32 bytes in padded base64. */
const SHARE_LIKE = /[0-9a-f]{64}|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=|\b(?:hvs|hvb|hvr|s|b|r)\.[A-Za-z0-9_-]{20}/i;
/** 33 bytes (a share) and more in base64 need no padding, and then look much like a path without dots or dashes. */
const LONG_WORD = /[A-Za-z0-9+/]{44,}/g;

/**
 * Whether `text` may hold a share or a token. It errs on the side of refusing: what goes into a record is read by many.
 * A base64 run is told from a path by what 44 random characters have with near certainty: both cases, a digit or a
 * plus, and few slashes.
 */
export function looksSecret(text: string): boolean {
  if (SHARE_LIKE.test(text) || /[0-9a-f]{64}/i.test(text.replaceAll(/[\s:-]/g, ''))) return true;
  return (text.match(LONG_WORD) ?? []).some((word) => {
    const slashes = word.split('/').length - 1;
    const mixed = /[a-z]/.test(word) && /[A-Z]/.test(word);
    return mixed && slashes <= (/[0-9+]/.test(word) ? word.length / 7 : 1);
  });
}

const innocent = v.check((text: string) => !looksSecret(text), 'this looks like a share or a token');
const oneLine = v.regex(/^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u, 'no control characters');

/** A name, a path, an identifier. */
const line = v.pipe(v.string(), v.minLength(1), v.maxLength(400), oneLine, innocent);
/** Words of people or servers: one line, bounded, nothing that could be a share or a token in it. */
const spoken = v.pipe(v.string(), v.maxLength(400), oneLine, innocent);
const digest = v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/));
const coordinate = v.pipe(v.string(), v.regex(/^[0-9a-f]{2}$/));
const salt = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** Exactly as `Date.toISOString` writes it. */
const utc = v.pipe(
  v.string(),
  v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  v.check((text) => !Number.isNaN(Date.parse(text)), 'no such time'),
);
/** A whole OpenPGP fingerprint (version 4: 40 hexadecimal digits, version 6: 64), blanks allowed. */
const pgp = v.pipe(
  v.string(),
  v.maxLength(100),
  v.regex(/^[0-9A-F ]+$/i),
  v.check((text) => [40, 64].includes(text.replaceAll(' ', '').length), 'not a whole fingerprint'),
);
/** The fingerprint of an SSH key, as `ssh-keygen -l` prints it. */
const ssh = v.pipe(v.string(), v.regex(/^SHA256:[A-Za-z0-9+/]{43}$/));
const value = v.union([spoken, digest, v.pipe(v.number(), v.finite()), v.boolean(), v.null()]);
const facts = v.record(v.pipe(v.string(), v.regex(/^[a-z][a-z0-9 _-]{0,60}$/i), innocent), value);
const step = v.optional(line);
/** The quorate that wrote the record; its build is `source` when it ran from its source. */
const program = v.strictObject({ version: line, build: v.union([digest, v.literal('source')]) });

const EVENTS = {
  'ceremony.opened': v.strictObject({
    id: line,
    kind: line,
    title: line,
    cluster: line,
    namespace: v.optional(line),
    shares: v.optional(whole),
    threshold: v.optional(whole),
    script: digest,
    scriptFile: v.optional(line),
    config: v.optional(digest),
    quorate: program,
    place: v.optional(spoken),
    previous: v.optional(digest),
    previousId: v.optional(line),
  }),
  'ceremony.resumed': v.strictObject({ from: digest, quorate: program }),
  'participant': v.strictObject({
    step,
    role: v.picklist(['administrator', 'custodian', 'witness', 'scribe', 'auditor']),
    name: line,
    affiliation: v.optional(spoken),
    pgp: v.optional(pgp),
    ssh: v.optional(ssh),
    checkedBy: v.optional(spoken),
    arrived: v.optional(utc),
    left: v.optional(utc),
  }),
  'environment': v.strictObject({
    step,
    clock: v.optional(spoken),
    network: v.optional(spoken),
    recorder: v.optional(spoken),
    devices: v.optional(spoken),
  }),
  'inventory': v.strictObject({
    step,
    item: line,
    serial: v.optional(line),
    bagBefore: v.optional(line),
    bagAfter: v.optional(line),
    condition: v.optional(spoken),
    openedBy: v.optional(line),
  }),
  'hsm': v.strictObject({
    step,
    module: v.optional(line),
    manufacturer: v.optional(line),
    model: v.optional(line),
    serial: v.optional(line),
    firmware: v.optional(line),
    token: line,
    label: line,
    id: line,
    mechanism: line,
    sensitive: v.boolean(),
    extractable: v.boolean(),
    fips: v.optional(v.boolean()),
  }),
  'check': v.strictObject({
    step,
    code: line,
    ok: v.boolean(),
    finding: spoken,
    mend: v.optional(spoken),
    accepted: v.optional(spoken),
    facts: v.optional(facts),
  }),
  'peer': v.strictObject({
    step,
    peer: line,
    address: line,
    certificate: v.optional(digest),
    flavour: line,
    version: line,
    seal: line,
    state: v.picklist(['uninitialised', 'sealed', 'standby', 'active', 'unreachable']),
    skew: v.optional(v.pipe(v.number(), v.integer())),
    clusterId: v.optional(line),
    shares: v.optional(whole),
    threshold: v.optional(whole),
  }),
  'step.started': v.strictObject({ step: line, id: line, title: line, who: line }),
  'step.skipped': v.strictObject({ step: line, id: line, title: line, reason: spoken }),
  'step.done': v.strictObject({ step: line, id: line }),
  'request': v.strictObject({ step, peer: line, request: line, expected: facts, actual: facts, at: v.optional(utc) }),
  'people': v.strictObject({ step, say: spoken, fields: v.record(line, spoken), by: v.optional(line) }),
  'share.issued': v.strictObject({
    step,
    who: v.optional(line),
    pgp: v.optional(pgp),
    file: line,
    ciphertext: digest,
  }),
  'share.proved': v.strictObject({
    step,
    who: v.optional(line),
    pgp: v.optional(pgp),
    x: coordinate,
    salt,
    fingerprint: digest,
    generation: whole,
    how: spoken,
    bag: v.optional(line),
  }),
  'share.accepted': v.strictObject({
    step,
    who: v.optional(line),
    x: coordinate,
    fingerprint: v.optional(digest),
    generation: v.optional(whole),
    peer: line,
    request: line,
    expected: facts,
    actual: facts,
    nonce: v.optional(line),
  }),
  'share.refused': v.strictObject({ step, who: v.optional(line), reason: line, peer: v.optional(line) }),
  /** What a custodian who was not in the room handed over: signed by their key, and kept as a file. */
  'receipt': v.strictObject({ step, who: line, ssh, file: line, digest, answer: spoken }),
  'roster': v.strictObject({ step, generation: whole, file: line, digest }),
  'write': v.strictObject({ step, peer: line, request: line, fields: v.array(line), status: whole }),
  'login': v.strictObject({ step, method: line, mount: line, policies: v.array(line), root: v.boolean() }),
  'capability.proved': v.strictObject({
    step,
    what: spoken,
    request: line,
    started: v.boolean(),
    cancelled: v.boolean(),
  }),
  'token.revoked': v.strictObject({ step, accessor: line, proof: spoken }),
  'destroyed': v.strictObject({ step, what: spoken, how: spoken, witness: v.optional(line) }),
  'snapshot': v.strictObject({ step, file: line, digest, size: whole }),
  'exception': v.strictObject({ step, expected: spoken, happened: spoken, decision: spoken, by: line }),
  'error': v.strictObject({ step, code: line, message: spoken }),
  'note': v.strictObject({ step, text: spoken, by: v.optional(line) }),
  'ceremony.closed': v.strictObject({
    result: v.picklist(['complete', 'incomplete', 'abandoned']),
    outputs: v.record(line, digest),
    next: v.optional(spoken),
  }),
} as const;

export type EventName = keyof typeof EVENTS;

/** What a caller gives to `append` for one event: its name and its own fields. */
export type RecordEvent = {
  [N in EventName]: { readonly event: N } & v.InferInput<(typeof EVENTS)[N]>;
}[EventName];

const ENVELOPE = {
  seq: whole,
  time: utc,
  prev: v.union([digest, v.literal('none')]),
  mode: v.optional(v.literal('REHEARSAL')),
} as const;

/** One line of a record: the event in its envelope. */
export type RecordLine = RecordEvent & {
  /** From 1. */
  readonly seq: number;
  readonly time: string;
  /** `sha256:` of the bytes of the line before, without its newline; `none` in the first. */
  readonly prev: string;
  readonly mode?: 'REHEARSAL';
};

const compiled = new Map<string, v.GenericSchema<RecordLine>>();

/** The valibot schema of one whole line (envelope and event), by event name; made once for each name. */
export function lineSchema(name: string): v.GenericSchema<RecordLine> | undefined {
  if (!Object.hasOwn(EVENTS, name)) return undefined;
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const schema = v.strictObject({ ...ENVELOPE, event: v.literal(name), ...EVENTS[name as EventName].entries });
  // The entries are those of the event that `name` names, which the compiler cannot follow.
  const typed = schema as unknown as v.GenericSchema<RecordLine>;
  compiled.set(name, typed);
  return typed;
}

import * as v from 'valibot';

/**
 * The closed schema of a record's events. What is not named here cannot be written, so that a share, a token,
 * a PIN or an OTP has no place. Text that people typed goes through `spoken`, which refuses what looks like one.
 */

const SHARE_LIKE = /[0-9a-f]{64}|[A-Za-z0-9+/]{43}=|\b(?:hvs|hvb|hvr|s|b|r)\.[A-Za-z0-9_-]{20}/i;

const line = v.pipe(v.string(), v.minLength(1), v.maxLength(400), v.regex(/^[^\p{Cc}]*$/u, 'no control characters'));
/** Words of people or servers: one line, bounded, nothing that could be a share or a token in it. */
const spoken = v.pipe(
  v.string(),
  v.maxLength(400),
  v.regex(/^[^\p{Cc}]*$/u, 'no control characters'),
  v.check((text) => !SHARE_LIKE.test(text), 'this looks like a share or a token'),
);
const digest = v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/));
const coordinate = v.pipe(v.string(), v.regex(/^[0-9a-f]{2}$/));
const salt = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const whole = v.pipe(v.number(), v.integer(), v.minValue(0));
const utc = v.pipe(v.string(), v.isoTimestamp());
const value = v.union([spoken, v.number(), v.boolean(), v.null()]);
const facts = v.record(v.pipe(v.string(), v.regex(/^[a-z][a-z0-9 _-]{0,60}$/i)), value);
const step = v.optional(line);

const EVENTS = {
  'ceremony.opened': v.strictObject({
    id: line,
    kind: line,
    title: line,
    cluster: line,
    shares: v.optional(whole),
    threshold: v.optional(whole),
    script: digest,
    config: v.optional(digest),
    quorate: v.strictObject({ version: line, build: digest }),
    place: v.optional(spoken),
    previous: v.optional(digest),
  }),
  'ceremony.resumed': v.strictObject({ from: line, quorate: v.strictObject({ version: line, build: digest }) }),
  'participant': v.strictObject({
    role: v.picklist(['administrator', 'custodian', 'witness', 'scribe', 'auditor']),
    name: line,
    affiliation: v.optional(spoken),
    pgp: v.optional(line),
    ssh: v.optional(line),
  }),
  'check': v.strictObject({
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
    pgp: v.optional(line),
    file: line,
    ciphertext: digest,
  }),
  'share.proved': v.strictObject({
    step,
    who: v.optional(line),
    x: coordinate,
    salt,
    fingerprint: digest,
    generation: whole,
    how: spoken,
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

/** The valibot schema of one whole line (envelope and event), by event name. */
export function lineSchema(name: string): v.GenericSchema | undefined {
  if (!Object.hasOwn(EVENTS, name)) return undefined;
  return v.strictObject({ ...ENVELOPE, event: v.literal(name), ...EVENTS[name as EventName].entries });
}

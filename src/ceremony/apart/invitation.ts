import * as v from 'valibot';
import { QuorateError } from '../../errors.ts';
import { canonicalJson } from '../record/canonical.ts';
import { sha256 } from '../record/line.ts';
import { digestWords } from '../record/words.ts';
import { rosterSchema } from '../roster/schema.ts';
import { fromLine, toLine } from './armour.ts';
import { taskSchema } from './task.ts';

/**
 * What the administrator hands to custodians who are not in the room: which ceremony, by which script, what is asked
 * of them, and what they must see themselves. Nothing in it is secret, and nothing in it is believed: peers come from
 * the custodian's own quorate.yaml, and the words are compared over the telephone.
 */

const text = (longest: number): v.GenericSchema<string> =>
  v.pipe(v.string(), v.minLength(1), v.maxLength(longest), v.regex(/^[^\p{Cc}\p{Cs}]*$/u));

const invitation = v.strictObject({
  invitation: v.literal(1),
  ceremony: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/)),
  administrator: v.optional(text(200)),
  /** The namespace with a seal of its own whose shares are asked for, from the root on. */
  namespace: v.optional(text(500)),
  /** The script, byte for byte what was approved. */
  script: v.pipe(v.string(), v.minLength(1), v.maxLength(256 << 10)),
  step: v.strictObject({ number: text(10), id: text(100), title: text(400) }),
  task: taskSchema,
  /** From 0; counts sets of shares that turned out wrong, after which all are given again. */
  round: v.pipe(v.number(), v.integer(), v.minValue(0)),
  clusterId: v.optional(v.pipe(v.string(), v.uuid())),
  /** The certificates that the administrator's machine sees, SHA-256 in hexadecimal. */
  peers: v.array(
    v.strictObject({ name: text(200), certificate: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))) }),
  ),
  /** Whose shares are wanted, as people call them, and the roster that they are checked by. */
  wanted: text(100),
  roster: v.optional(rosterSchema),
  rehearsal: v.boolean(),
});

export type Invitation = v.InferOutput<typeof invitation>;

const KIND = 'quorate-invitation';
/** 96 bits: more than anybody can search for, few enough to be read over a telephone. */
const WORDS = 12;

/** The one line. @throws QuorateError `bug` when a field is not what it must be. */
export function renderInvitation(one: Invitation): string {
  if (!v.is(invitation, one)) throw new QuorateError('bug', 'an invitation is not what an invitation must be');
  return toLine(KIND, canonicalJson(one));
}

/** @throws QuorateError `invitation-invalid`; nothing of the line is quoted, for it could be a share. */
export function parseInvitation(line: string): Invitation {
  const checked = v.safeParse(invitation, parseJson(fromLine(KIND, line)));
  if (checked.success) return checked.output;
  throw new QuorateError('invitation-invalid', 'that is not an invitation', {
    hint: 'It is the file, or the one line from quorate-invitation: on, that the administrator hands out. Never paste a share.',
  });
}

/** The SHA-256 of all that an invitation says. */
export function invitationDigest(one: Invitation): string {
  return sha256(canonicalJson(one));
}

/** What the administrator and the custodian compare over the telephone. */
export function invitationWords(one: Invitation): readonly string[] {
  return digestWords(invitationDigest(one)).slice(0, WORDS);
}

/** Whether what a person typed names all of the words. */
export function saysWords(said: string, one: Invitation): boolean {
  return (
    said
      .trim()
      .toLowerCase()
      .split(/[\s,-]+/)
      .join(' ') === invitationWords(one).join(' ').toLowerCase()
  );
}

export function scriptDigest(one: Pick<Invitation, 'script'>): string {
  return sha256(one.script);
}

function parseJson(json: string | undefined): unknown {
  try {
    return json === undefined ? undefined : JSON.parse(json);
  } catch {
    return undefined;
  }
}

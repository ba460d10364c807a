import * as v from 'valibot';
import { looksSecret } from '../../record/events.ts';
import { COMMON, line } from '../../script.ts';

/** As `seal-status` names it: `shamir`, or the name in the seal stanza. */
const type = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9_-]{0,40}$/, 'a type of seal, such as shamir or pkcs11'));

/** The text of a stanza, for people to put into a server's configuration. Secrets come from files, not from here. */
const stanza = v.pipe(
  v.string(),
  v.minLength(1),
  v.maxLength(4000),
  v.check((text) => !looksSecret(text), 'this holds what looks like a key or a token; name a file or a variable'),
);

export const migrateSealScript = v.strictObject({
  'ceremony': v.literal('migrate-seal'),
  ...COMMON,
  'from': type,
  'to': type,
  /** Printed when it is wanted; without them only the types are named. */
  'stanza': v.optional(stanza),
  'old-stanza': v.optional(stanza),
  /** Where the snapshot from before the migration goes, and what becomes of it. */
  'snapshot': v.optional(v.strictObject({ folder: v.optional(line), kept: line, destroyed: line })),
});

export type MigrateSealScript = v.InferOutput<typeof migrateSealScript>;

export const SHAMIR = 'shamir';

/** What the shares are called before the seal is changed, and after. */
export const sharesOf = (seal: string): 'unseal' | 'recovery' => (seal === SHAMIR ? 'unseal' : 'recovery');

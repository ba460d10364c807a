import * as v from 'valibot';
import { fileNameOf, personName } from '../script.ts';

/**
 * The roster's file: who holds which share of a cluster, by what each share is recognised, and how that is known.
 * People review and commit it; nothing in it is secret.
 */

const MAX_SHARES = 255;

/** A cluster as quorate.yaml calls it; for the shares of a namespace with that behind it: `prod-eu/team/a`. */
export const CLUSTER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63})*$/;

const whole = v.pipe(v.number(), v.integer(), v.minValue(1));
const utc = v.pipe(v.string(), v.isoTimestamp());

const coordinate = v.pipe(v.string(), v.regex(/^[0-9a-f]{2}$/, 'two lower-case hexadecimal digits'));

/** SHA-256 over the salt's bytes and then the share's; see `fingerprintShare`. */
const fingerprint = v.strictObject({
  salt: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/, '32 lower-case hexadecimal digits')),
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, '64 lower-case hexadecimal digits')),
});

const pgp = v.pipe(
  v.string(),
  v.transform((text) => text.replace(/\s+/g, '').toUpperCase()),
  v.regex(/^([0-9A-F]{40}|[0-9A-F]{64})$/, 'the full fingerprint: 40 or 64 hexadecimal digits'),
);

const ssh = v.pipe(v.string(), v.regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'as ssh-keygen -l prints it: SHA256:...'));

const entries = {
  'holder': personName,
  'x': coordinate,
  fingerprint,
  /** The OpenPGP key that the share was encrypted to, and the SSH key that its holder signs with. */
  'pgp': v.optional(pgp),
  'ssh': v.optional(ssh),
  /** `proved`: a server issued it to this holder, or a drill has covered it. `claimed`: its holder says so. */
  'status': v.picklist(['proved', 'claimed']),
  'proved-at': v.optional(utc),
};
const entry = v.pipe(
  v.strictObject(entries),
  v.check(
    (one) => (one.status === 'proved') === (one['proved-at'] !== undefined),
    'a proved share has `proved-at`, a claimed one has not',
  ),
);

const old = v.strictObject({ generation: whole, holder: personName, x: coordinate, fingerprint });

const roster = v.pipe(
  v.strictObject({
    'cluster': v.pipe(v.string(), v.regex(CLUSTER_NAME, 'the name of a cluster, and behind a slash its namespace')),
    'cluster-id': v.optional(v.pipe(v.string(), v.uuid('a cluster id, as the server gives it'))),
    'generation': whole,
    'threshold': whole,
    /** Which key the shares are of: the unseal key of a Shamir seal, or the recovery key of an auto-unseal seal. */
    'seal': v.optional(v.picklist(['shamir', 'recovery']), 'shamir'),
    'shares': v.pipe(v.array(entry), v.minLength(1), v.maxLength(MAX_SHARES)),
    /** Shares of the cluster whose holders have not enrolled yet. */
    'unlisted': v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
    /** Shares of earlier generations, so that they are recognised. */
    'previous': v.optional(v.array(old)),
  }),
  v.forward(
    v.check((one) => one.threshold <= shareCount(one), 'the threshold is larger than the number of shares'),
    ['threshold'],
  ),
  v.forward(
    v.check((one) => distinct(one.shares.map(({ x }) => x)), 'two shares have the same x'),
    ['shares'],
  ),
  v.forward(
    v.check(
      (one) => distinct(one.shares.map(({ holder }) => fileNameOf(holder))),
      'two holders have names that are the same, or differ in signs only',
    ),
    ['shares'],
  ),
  v.forward(
    v.check((one) => distinct(one.shares.flatMap((share) => share.pgp ?? [])), 'two shares have the same OpenPGP key'),
    ['shares'],
  ),
  v.forward(
    v.check(
      (one) => one.shares.every(({ x }) => x !== '00') || shareCount(one) === 1,
      'x is 00 for the only share of a 1 of 1, and for no other',
    ),
    ['shares'],
  ),
  v.forward(
    v.check(
      (one) => (one.previous ?? []).every(({ generation }) => generation < one.generation),
      'a previous share is of an earlier generation',
    ),
    ['previous'],
  ),
);

export const entrySchema = entry;
export const rosterSchema = roster;

export type RosterEntry = v.InferOutput<typeof entry>;
export type OldEntry = v.InferOutput<typeof old>;
export type Roster = v.InferOutput<typeof roster>;

/** How many shares the cluster has in all, listed or not. */
export function shareCount(one: {
  readonly shares: readonly unknown[];
  readonly unlisted?: number | undefined;
}): number {
  return one.shares.length + (one.unlisted ?? 0);
}

function distinct(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}

import * as v from 'valibot';

/** The parts of a script that every kind of ceremony has, and the building blocks that several share. */

export const line = v.pipe(v.string(), v.minLength(1), v.maxLength(200), v.regex(/^[^\p{Cc}]*$/u, 'one line of text'));
const path = v.pipe(v.string(), v.minLength(1), v.maxLength(1000));

/** A name that can also be a file's name and an SSH principal: letters, digits, blanks and a few signs. */
export const personName = v.pipe(
  v.string(),
  v.maxLength(80),
  v.regex(/^[\p{L}\p{N}][\p{L}\p{N} .'@_-]*$/u, "a name of letters, digits, blanks and . ' @ _ -"),
);

export const namespace = v.pipe(
  v.string(),
  v.maxLength(400),
  v.regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63})*$/,
    'a namespace from the root on, such as team/a',
  ),
);

export const pgpKey = v.strictObject({
  file: path,
  /** All of it: the script's hash then binds the key. Blanks are for the eye. */
  fingerprint: v.pipe(
    v.string(),
    v.transform((text) => text.replace(/\s+/g, '').toUpperCase()),
    v.regex(/^([0-9A-F]{40}|[0-9A-F]{64})$/, 'the full fingerprint: 40 or 64 hexadecimal digits'),
  ),
});

export const sshKey = v.strictObject({
  file: v.optional(path),
  fingerprint: v.pipe(v.string(), v.regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'as ssh-keygen -l prints it: SHA256:...')),
});

const person = { name: personName, affiliation: v.optional(line), ssh: v.optional(sshKey) } as const;
export const participant = v.strictObject(person);
/** Without a key only in a lab's init; kinds that issue shares refuse it. */
export const custodian = v.strictObject({ ...person, pgp: v.optional(pgpKey) });

/** Entries of the schema that every kind spreads into its own. */
export const COMMON = {
  title: line,
  cluster: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'the name of a cluster in quorate.yaml')),
  /** A namespace with a seal of its own, named from the root, in which the ceremony works instead of the cluster. */
  namespace: v.optional(namespace),
  place: v.optional(line),
  next: v.optional(line),
  administrator: v.optional(participant),
  witnesses: v.optional(v.array(participant), []),
  people: v.optional(
    v.array(
      v.strictObject({
        before: v.pipe(v.string(), v.regex(/^[a-z][a-z-]*$/, 'the id of a step')),
        say: v.pipe(v.string(), v.minLength(1), v.maxLength(400)),
        record: v.optional(v.array(line), []),
      }),
    ),
    [],
  ),
} as const;

export type Participant = v.InferOutput<typeof participant>;
export type Custodian = v.InferOutput<typeof custodian>;

export type CommonScript = v.InferOutput<
  v.ObjectSchema<{ readonly ceremony: v.StringSchema<undefined> } & typeof COMMON, undefined>
>;

/** `Alice Example` as a file name: `alice-example`. Names that differ only in signs give the same one; scripts refuse that. */
export function fileNameOf(name: string): string {
  return name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '');
}

/** Faults in who takes part: two people of one name, a witness who holds a share. */
export function participantFaults(script: CommonScript, custodians: readonly Custodian[] = []): string[] {
  const faults: string[] = [];
  const seen = new Map<string, string>();
  const roles: [string, readonly { readonly name: string }[]][] = [
    ['custodian', custodians],
    ['witness', script.witnesses],
    ['administrator', script.administrator === undefined ? [] : [script.administrator]],
  ];
  for (const [role, people] of roles) {
    for (const { name } of people) {
      const key = fileNameOf(name);
      const other = seen.get(key);
      if (other !== undefined) faults.push(`${name} is named twice: as ${other} and as ${role}`);
      seen.set(key, role);
    }
  }
  const keys = custodians.flatMap(({ pgp }) => pgp?.fingerprint ?? []);
  for (const [index, key] of keys.entries()) {
    if (keys.indexOf(key) !== index) faults.push(`two custodians have the same OpenPGP key ${key}`);
  }
  return faults;
}

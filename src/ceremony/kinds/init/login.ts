import * as v from 'valibot';

const name = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'letters, digits, dots, dashes'));
const policies = v.pipe(v.array(name), v.minLength(1));

/**
 * The login that remains when the last root token is gone. The auth method and the policies themselves are made by
 * `first-writes`, where reviewers see them; quorate makes the login, because only that involves a secret.
 */
export const ceremonyLogin = v.variant('method', [
  v.strictObject({
    'method': v.literal('approle'),
    'mount': v.optional(name, 'approle'),
    'role': name,
    policies,
    /** Created exclusively, mode 0600, with the secret id in it. Relative to the script. */
    'secret-id-file': v.pipe(v.string(), v.minLength(1)),
  }),
  v.strictObject({
    method: v.literal('userpass'),
    mount: v.optional(name, 'userpass'),
    username: name,
    policies,
  }),
]);

export type CeremonyLogin = v.InferOutput<typeof ceremonyLogin>;

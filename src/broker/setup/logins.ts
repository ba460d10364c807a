import * as v from 'valibot';
import { DURATION, parseDuration } from '../../duration.ts';

/**
 * Names of mounts, connections, roles and logins: they become segments of paths and go into policies, and, with the
 * characters that are left, need no escaping there.
 */
export const setupName = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9_-]{0,47}$/, 'small letters, digits, - and _'));
export const setupSeconds = v.pipe(
  v.string(),
  v.regex(DURATION, 'a time such as 90s, 15m or 1h30m'),
  v.transform((text) => parseDuration(text) ?? 0),
  v.minValue(10, 'at least 10s'),
);
const text = v.pipe(v.string(), v.minLength(1));

/** What jobs of any project can have in their tokens: to be bound to these alone is to be open to all of an issuer. */
const COMMON = new Set([
  ...['aud', 'iss', 'exp', 'iat', 'nbf', 'jti'],
  ...['ref', 'ref_type', 'ref_path', 'ref_protected', 'base_ref', 'head_ref', 'sha', 'event_name', 'pipeline_source'],
  ...['environment', 'environment_protected', 'environment_action', 'deployment_tier', 'repository_visibility'],
  ...['workflow', 'run_attempt', 'run_number', 'runner_environment', 'job_source', 'user_access_level'],
]);

type ClaimValue = string | readonly string[];
const valuesOf = (value: ClaimValue): readonly string[] => (typeof value === 'string' ? [value] : value);

/** Whether the claims say whose jobs are meant. */
function namesOwner(claims: Readonly<Record<string, ClaimValue>>): boolean {
  return Object.entries(claims).some(
    ([name, value]) => !COMMON.has(name) && valuesOf(value).every((one) => !one.startsWith('*')),
  );
}

const common = {
  name: setupName,
  roles: v.pipe(v.array(setupName), v.minLength(1)),
  ttl: v.optional(setupSeconds, '1h'),
};

const approle = v.strictObject({
  'method': v.literal('approle'),
  ...common,
  'mount': v.optional(setupName, 'approle'),
  'secret-id-uses': v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 0),
  'secret-id-ttl': v.optional(setupSeconds, '24h'),
});

const jwt = v.pipe(
  v.strictObject({
    'method': v.literal('jwt'),
    ...common,
    'mount': v.optional(setupName, 'jwt'),
    /** Whose tokens are believed. Without it the method is somebody else's to enable and configure. */
    'issuer': v.optional(v.pipe(v.string(), v.regex(/^https:\/\/[^\s?#@]+$/, 'an https address'))),
    /** In place of asking the issuer for its keys: a file of them, in PEM. */
    'public-keys': v.optional(text),
    /** The authority of the issuer's own https, where that is no public one. */
    'issuer-ca': v.optional(text),
    'audience': text,
    'user-claim': v.optional(text, 'sub'),
    'match': v.optional(v.picklist(['exact', 'glob'], 'exact or glob'), 'exact'),
    'claims': v.pipe(
      v.record(text, v.union([text, v.pipe(v.array(text), v.minLength(1))])),
      v.check(
        (claims) => namesOwner(claims),
        "name whose jobs may log in, such as repository, project_path or sub: any project's jobs have the rest",
      ),
    ),
  }),
  v.check(
    ({ match, claims }) =>
      match === 'glob' ||
      !Object.values(claims)
        .flatMap(valuesOf)
        .some((one) => one.includes('*')),
    'a claim with * matches nothing but that text: say match: glob',
  ),
  v.check(
    (one) => one.issuer !== undefined || (one['public-keys'] === undefined && one['issuer-ca'] === undefined),
    'public-keys and issuer-ca go with issuer',
  ),
  v.check(
    (one) => one['public-keys'] === undefined || one['issuer-ca'] === undefined,
    'either public-keys or issuer-ca',
  ),
);

const login = v.variant('method', [approle, jwt]);
export type SetupLogin = v.InferOutput<typeof login>;

/** For `v.check`. */
export const unique = (names: readonly string[]): boolean => new Set(names).size === names.length;

/** Those that share a mount share what is believed there. */
function agree(logins: readonly SetupLogin[]): boolean {
  const trusts = new Map<string, string>();
  return logins.every((one) => {
    const { mount, method } = one;
    const trust = JSON.stringify(method === 'jwt' ? [one.issuer, one['public-keys'], one['issuer-ca']] : method);
    if (!trusts.has(mount)) trusts.set(mount, trust);
    return trusts.get(mount) === trust;
  });
}

/** The logins of a setup, for CI. */
export const setupLogins = v.pipe(
  v.array(login),
  v.check((logins) => unique(logins.map((one) => `${one.mount}/${one.name}`)), 'two logins have the same name'),
  v.check((logins) => agree(logins), 'two logins at one mount differ in method or issuer'),
);

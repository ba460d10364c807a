import { resolve } from 'node:path';
import * as v from 'valibot';
import { QuorateError } from './errors.ts';

const PART = '[A-Za-z0-9][A-Za-z0-9._-]{0,63}';
const mount = v.pipe(
  v.string(),
  v.regex(new RegExp(`^${PART}(?:/${PART}){0,4}$`), 'where the auth method is: letters, digits, dots, dashes, slashes'),
);
const name = v.pipe(v.string(), v.regex(new RegExp(`^${PART}$`), 'letters, digits, dots, dashes'));
const path = v.pipe(v.string(), v.minLength(1, 'the name of a file'));
const text = v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,256}$/, 'visible ASCII without blanks'));
const variable = v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'the name of a variable'));

/** Where Kubernetes puts the token of a pod's own service account. */
const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

const exactlyOne = (...values: readonly unknown[]): boolean =>
  values.filter((value) => value !== undefined).length === 1;

const approle = v.pipe(
  v.strictObject({
    'method': v.literal('approle'),
    'mount': v.optional(mount, 'approle'),
    'role-id': text,
    'secret-id-file': v.optional(path),
    /** A file with a wrapping token, which opens once. */
    'wrapped-secret-id-file': v.optional(path),
  }),
  v.check(
    (one) => exactlyOne(one['secret-id-file'], one['wrapped-secret-id-file']),
    'either secret-id-file or wrapped-secret-id-file',
  ),
);

const jwt = v.pipe(
  v.strictObject({
    'method': v.literal('jwt'),
    'mount': v.optional(mount, 'jwt'),
    'role': name,
    /** The token of the GitHub job, made for this audience. */
    'github-audience': v.optional(text),
    /** A variable that holds the token, as GitLab's `id_tokens` makes. */
    'variable': v.optional(variable),
    'file': v.optional(path),
  }),
  v.check(
    (one) => exactlyOne(one['github-audience'], one.variable, one.file),
    'one of github-audience, variable and file',
  ),
);

const cert = v.pipe(
  v.strictObject({
    method: v.literal('cert'),
    mount: v.optional(mount, 'cert'),
    /** Without one the server looks through all of them. */
    role: v.optional(name),
    /** PEM; without them the client certificate of the cluster, or of the environment. */
    certificate: v.optional(path),
    key: v.optional(path),
  }),
  v.check((one) => (one.certificate === undefined) === (one.key === undefined), 'both certificate and key, or neither'),
);

/** How to log in: `auth` in `quorate.yaml`, and what `--login` says in one line. */
export const authSchema = v.variant('method', [
  v.strictObject({ method: v.literal('token') }),
  v.strictObject({ method: v.literal('token-file'), file: path }),
  approle,
  v.strictObject({
    'method': v.literal('userpass'),
    'mount': v.optional(mount, 'userpass'),
    'username': name,
    'password-file': v.optional(path),
  }),
  jwt,
  cert,
  v.strictObject({
    method: v.literal('kubernetes'),
    mount: v.optional(mount, 'kubernetes'),
    role: name,
    file: v.optional(path, SERVICE_ACCOUNT_TOKEN),
  }),
]);

export type AuthSettings = v.InferOutput<typeof authSchema>;
export type AuthMethod = AuthSettings['method'];
/** The settings of one method. */
export type AuthOf<M extends AuthMethod> = Extract<AuthSettings, { readonly method: M }>;

const FILES = ['file', 'secret-id-file', 'wrapped-secret-id-file', 'password-file', 'certificate', 'key'] as const;

/** The same with its files named absolutely; relative ones start from `folder`. */
export function withAbsoluteFiles(auth: AuthSettings, folder: string): AuthSettings {
  const absolute: Record<string, unknown> = { ...auth };
  for (const key of FILES) {
    const value = absolute[key];
    if (typeof value === 'string') absolute[key] = resolve(folder, value);
  }
  return absolute as AuthSettings;
}

/**
 * `jwt,role=ci,github-audience=https://vault.example`: a method, and its settings as `quorate.yaml` names them.
 * @throws QuorateError `usage`. Values are not quoted: somebody may put a secret there.
 */
export function parseLogin(line: string, folder: string): AuthSettings {
  const [method = '', ...parts] = line.split(',');
  const settings: Record<string, string> = { method };
  for (const part of parts) {
    const [, key, value] = /^([a-z-]+)=(.+)$/.exec(part) ?? [];
    if (key === undefined || value === undefined || Object.hasOwn(settings, key)) {
      throw new QuorateError('usage', '--login takes METHOD,NAME=VALUE,... with each name once', { hint: HINT });
    }
    settings[key] = value;
  }
  const result = v.safeParse(authSchema, settings);
  if (result.success) return withAbsoluteFiles(result.output, folder);
  const faults = result.issues.map(({ path: at, kind, message }) => {
    const own = kind === 'validation' ? message : 'missing, or not known here';
    const [key] = at ?? [];
    if (key === undefined) return own;
    const setting = String(key.key);
    return setting === 'method' || !/^[a-z-]{1,30}$/.test(setting) ? 'no such method or setting' : `${setting}: ${own}`;
  });
  throw new QuorateError('usage', `--login does not say how to log in: ${faults.join('; ')}`, { hint: HINT });
}

const HINT =
  'For example jwt,role=ci,github-audience=https://vault.example; the names are those of auth in quorate.yaml.';

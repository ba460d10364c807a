import type { AuthOf } from '../../auth.ts';
import { QuorateError } from '../../errors.ts';
import { readSecretFile } from '../../files.ts';
import { Secret } from '../../secret.ts';
import type { LoginMethod, Surroundings } from './method.ts';
import { loginAt } from './outcome.ts';

/**
 * With a signed token that says who this job is: GitHub's, which is asked for, or one from a variable or a file.
 * @throws QuorateError as `loginAt`, `understandToken` and `githubToken`; `token-missing`.
 */
export const withJwt: LoginMethod<'jwt'> = async (peer, auth, surroundings, options) => {
  const jwt = await tokenFor(auth, surroundings);
  try {
    const { understandToken } = await import('./token-refusal.ts');
    const refused = understandToken({ peer, mount: auth.mount, role: auth.role, token: jwt, options });
    return await loginAt(peer, `auth/${auth.mount}/login`, { role: auth.role, jwt }, options, refused);
  } finally {
    jwt.wipe();
  }
};

async function tokenFor(auth: AuthOf<'jwt'>, { env, signal }: Surroundings): Promise<Secret> {
  const { 'github-audience': audience, variable = '', file } = auth;
  if (audience !== undefined) return (await import('./github.ts')).githubToken(env, audience, signal);
  if (file !== undefined) return readSecretFile(file);
  const value = env[variable]?.trim() ?? '';
  if (value !== '') return Secret.fromText(value);
  throw new QuorateError('token-missing', `the variable ${variable} holds no token`, {
    hint: 'In GitLab a job has it by id_tokens, with aud; not in jobs that a fork started.',
  });
}

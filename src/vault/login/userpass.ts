import type { AuthOf } from '../../auth.ts';
import { QuorateError } from '../../errors.ts';
import { readSecretFile } from '../../files.ts';
import type { LoginMethod } from './method.ts';
import { loginAt } from './outcome.ts';
import type { Secret } from '../../secret.ts';

/** With a password from a file that is its owner's alone, or from a person. */
export const withUserpass: LoginMethod<'userpass'> = async (peer, auth, { password: ask }, options) => {
  const password = await passwordFor(auth, ask);
  try {
    return await loginAt(peer, `auth/${auth.mount}/login/${auth.username}`, { password }, options);
  } finally {
    password.wipe();
  }
};

async function passwordFor(auth: AuthOf<'userpass'>, ask: (() => Promise<Secret>) | undefined): Promise<Secret> {
  const file = auth['password-file'];
  if (file !== undefined) return readSecretFile(file);
  if (ask !== undefined) return ask();
  throw new QuorateError('token-missing', `there is no password for ${auth.username}`, {
    hint: 'Name a file with mode 0600 as password-file, or log in at a terminal.',
  });
}

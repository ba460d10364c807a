import { QuorateError } from '../../errors.ts';
import { readSecretFile } from '../../files.ts';
import { loginAt, type Login } from './outcome.ts';
import type { CallOptions, Peer } from '../peer.ts';
import type { Secret } from '../../secret.ts';
import type { AuthSettings } from './settings.ts';

/** With a password from a file that is its owner's alone, or from a person. */
export async function loginWithUserpass(
  peer: Peer,
  auth: Extract<AuthSettings, { method: 'userpass' }>,
  ask: (() => Promise<Secret>) | undefined,
  options: CallOptions,
): Promise<Login> {
  const password = await passwordFor(auth, ask);
  try {
    return await loginAt(peer, `auth/${auth.mount}/login/${auth.username}`, { password }, options);
  } finally {
    password.wipe();
  }
}

async function passwordFor(
  auth: Extract<AuthSettings, { method: 'userpass' }>,
  ask: (() => Promise<Secret>) | undefined,
): Promise<Secret> {
  const file = auth['password-file'];
  if (file !== undefined) return readSecretFile(file);
  if (ask !== undefined) return ask();
  throw new QuorateError('token-missing', `there is no password for ${auth.username}`, {
    hint: 'Name a file with mode 0600 as password-file, or log in at a terminal.',
  });
}

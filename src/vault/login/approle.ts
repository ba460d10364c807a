import { readSecretFile } from '../../files.ts';
import { loginAt, type Login } from './outcome.ts';
import type { CallOptions, Peer } from '../peer.ts';
import type { AuthSettings } from './settings.ts';

/** With a role id from the settings and a secret id from a file that is its owner's alone. */
export async function loginWithAppRole(
  peer: Peer,
  auth: Extract<AuthSettings, { method: 'approle' }>,
  options: CallOptions,
): Promise<Login> {
  const secretId = await readSecretFile(auth['secret-id-file']);
  try {
    return await loginAt(peer, `auth/${auth.mount}/login`, { role_id: auth['role-id'], secret_id: secretId }, options);
  } finally {
    secretId.wipe();
  }
}

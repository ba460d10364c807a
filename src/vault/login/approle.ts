import type { AuthOf } from '../../auth.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { readSecretFile } from '../../files.ts';
import type { CallOptions, Peer } from '../peer.ts';
import type { Secret } from '../../secret.ts';
import type { LoginMethod, Surroundings } from './method.ts';
import { loginAt, type Understand } from './outcome.ts';

/**
 * With a role id from the settings and a secret id from a file that is its owner's alone, be it wrapped.
 * @throws QuorateError as `loginAt`; `login-wrap-opened`, `outcome-unknown`, as `unwrapSecretId`.
 */
export const withAppRole: LoginMethod<'approle'> = async (peer, auth, surroundings, options) => {
  const secretId = await secretIdFor(peer, auth, surroundings, options);
  try {
    const body = { role_id: auth['role-id'], secret_id: secretId };
    return await loginAt(peer, `auth/${auth.mount}/login`, body, options, understand(peer, auth.mount));
  } catch (error) {
    if (isQuorateError(error, 'denied')) forget(auth, surroundings);
    throw error;
  } finally {
    secretId.wipe();
  }
};

/** OpenBao 2.7.2 does not say which of the two is wrong; Vault 1.14 names the role id. */
const understand =
  ({ name }: Peer, mount: string): Understand =>
  ({ status, errors }) => {
    if (status !== 400 || !errors.some((line) => /invalid (?:role|secret)/i.test(line))) return undefined;
    return new QuorateError('denied', `${name} refused the role id or the secret id at auth/${mount}`, {
      hint: 'A secret id expires, and may be good for a few logins only: issue a new one. A role id stays.',
    });
  };

/** The caller wipes it. */
async function secretIdFor(
  peer: Peer,
  auth: AuthOf<'approle'>,
  { unwrapped }: Surroundings,
  options: CallOptions,
): Promise<Secret> {
  const file = auth['wrapped-secret-id-file'];
  if (file === undefined) return readSecretFile(auth['secret-id-file'] ?? '');
  const known = unwrapped?.get(file);
  if (known !== undefined) return known.clone();
  const wrapping = await readSecretFile(file);
  try {
    const { unwrapSecretId } = await import('./wrapped.ts');
    const secretId = await unwrapSecretId(peer, wrapping, auth.mount, options);
    // A second login of the same command cannot open it again.
    unwrapped?.set(file, secretId.clone());
    return secretId;
  } finally {
    wrapping.wipe();
  }
}

function forget(auth: AuthOf<'approle'>, { unwrapped }: Surroundings): void {
  const file = auth['wrapped-secret-id-file'] ?? '';
  unwrapped?.get(file)?.wipe();
  unwrapped?.delete(file);
}

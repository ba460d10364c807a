import { loginWithAppRole } from './approle.ts';
import { QuorateError } from '../../errors.ts';
import type { Environment } from '../environment.ts';
import type { Peer } from '../peer.ts';
import type { AuthSettings } from './settings.ts';
import type { Secret } from '../../secret.ts';
import { loginWithToken, tokenFromFile, tokenFromSurroundings } from './token.ts';
import type { Login } from './outcome.ts';
import { loginWithUserpass } from './userpass.ts';

/** Where a login looks for what the settings do not hold. */
export interface Surroundings {
  readonly env: Environment;
  /** The user's home folder. */
  readonly home: string;
  /** Asks a person; called only when it is needed. */
  readonly password?: () => Promise<Secret>;
  readonly signal?: AbortSignal;
  /**
   * A token that is at hand already is not looked up: its first use tells whether it is any good. The login then names
   * neither accessor nor policies.
   */
  readonly unchecked?: boolean;
}

/**
 * Logs in on one server. The caller closes the session.
 * @throws QuorateError `token-missing` (no token anywhere, no password), `denied`, `server-unsupported` (the server
 * wants a second factor), the file errors of `readSecretFile`, `program-failed` (the token helper), and what the
 * peer's calls throw.
 */
export async function login(peer: Peer, auth: AuthSettings, surroundings: Surroundings): Promise<Login> {
  const { signal, unchecked = false } = surroundings;
  const options = signal === undefined ? {} : { signal };
  switch (auth.method) {
    case 'token':
      return loginWithToken(peer, await tokenFromSurroundings(surroundings), options, unchecked);
    case 'token-file':
      return loginWithToken(peer, await tokenFromFile(auth.file), options, unchecked);
    case 'approle':
      return loginWithAppRole(peer, auth, options);
    case 'userpass':
      return loginWithUserpass(peer, auth, surroundings.password, options);
    default:
      throw new QuorateError('bug', 'an unknown way to log in');
  }
}

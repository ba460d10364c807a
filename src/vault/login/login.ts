import type { AuthMethod, AuthSettings } from '../../auth.ts';
import type { Peer } from '../peer.ts';
import type { LoginMethod, Surroundings } from './method.ts';
import type { Login } from './outcome.ts';
import { withSurroundingToken, withTokenFile } from './token.ts';

/** Every way to log in; what is not used is not loaded. */
const METHODS: { readonly [M in AuthMethod]: () => LoginMethod<M> | Promise<LoginMethod<M>> } = {
  'token': () => withSurroundingToken,
  'token-file': () => withTokenFile,
  'approle': async () => (await import('./approle.ts')).withAppRole,
  'userpass': async () => (await import('./userpass.ts')).withUserpass,
  'jwt': async () => (await import('./jwt.ts')).withJwt,
  'cert': async () => (await import('./cert.ts')).withCertificate,
  'kubernetes': async () => (await import('./kubernetes.ts')).withServiceAccount,
};

/**
 * Logs in on one server. The caller closes the session.
 * @throws QuorateError `token-missing` (no token anywhere, no password, the CI system gives none); `denied`;
 * `login-audience`, `login-claims`, `login-expired`, `login-clock`, `login-untrusted`, `login-role` as the method
 * understands the refusal; `login-wrap-opened`; `server-unsupported` (the server wants a second factor); `not-ready` (a
 * standby without a leader); the file errors of `readSecretFile`; `program-failed` (the token helper); and what the
 * peer's calls throw.
 */
export async function login(peer: Peer, auth: AuthSettings, surroundings: Surroundings): Promise<Login> {
  const { signal } = surroundings;
  const method = (await METHODS[auth.method]()) as LoginMethod<AuthMethod>;
  return method(peer, auth, surroundings, signal === undefined ? {} : { signal });
}

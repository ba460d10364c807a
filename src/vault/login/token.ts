import { join, resolve } from 'node:path';
import { type Environment, readVariable } from '../environment.ts';
import { isQuorateError, QuorateError } from '../../errors.ts';
import { readSecretFile } from '../../files.ts';
import { configuredHelper, tokenFromHelper } from './helper.ts';
import type { LoginMethod } from './method.ts';
import type { Login } from './outcome.ts';
import type { CallOptions, Peer } from '../peer.ts';
import { readLookup } from '../responses.ts';
import { Secret } from '../../secret.ts';

/** With the token that is at hand. */
export const withSurroundingToken: LoginMethod<'token'> = async (peer, _auth, surroundings, options) =>
  loginWithToken(peer, await tokenFromSurroundings(surroundings), options, surroundings.unchecked);

/** With a token from a file that is its owner's alone. */
export const withTokenFile: LoginMethod<'token-file'> = async (peer, { file }, { unchecked }, options) =>
  loginWithToken(peer, await readSecretFile(file), options, unchecked);

/**
 * Opens a session with `token` (which is wiped here) after the server has said whose it is, or with `unchecked` without.
 * @throws QuorateError `denied` when the server does not know the token, or it may not look itself up.
 */
async function loginWithToken(peer: Peer, token: Secret, options: CallOptions, unchecked = false): Promise<Login> {
  try {
    checkToken(token);
    const session = peer.session(token);
    if (unchecked) return { session, accessor: undefined, policies: [], own: false };
    try {
      const data = await session.read('auth/token/lookup-self', options);
      const { accessor, policies } = readLookup(peer.name, data);
      return { session, accessor: accessor || undefined, policies, own: false };
    } catch (error) {
      session.close();
      throw error;
    }
  } finally {
    token.wipe();
  }
}

/**
 * Where `bao` and `vault` look, in their order: BAO_TOKEN, VAULT_TOKEN, the token helper that BAO_CONFIG_PATH
 * (default ~/.bao, then ~/.vault) names, the file that BAO_TOKEN_PATH names (default ~/.vault-token).
 * @throws QuorateError `token-missing`; `file-mode` for a token file that others can read; `program-failed`.
 */
async function tokenFromSurroundings(
  surroundings: Readonly<{ env: Environment; home: string; signal?: AbortSignal }>,
): Promise<Secret> {
  const { env, home, signal } = surroundings;
  const given = readVariable(env, 'TOKEN');
  if (given !== undefined) return Secret.fromText(given);
  const helper = await configuredHelper(env, home);
  const found = helper === undefined ? await fromTokenFile(env, home) : await tokenFromHelper(helper, env, signal);
  if (found !== undefined && found.length > 0) return found;
  throw new QuorateError('token-missing', 'there is no token', {
    hint: 'Log in with bao login, set BAO_TOKEN, or describe a login under auth in quorate.yaml.',
  });
}

async function fromTokenFile(env: Environment, home: string): Promise<Secret | undefined> {
  const named = readVariable(env, 'TOKEN_PATH');
  const file = named === undefined ? join(home, '.vault-token') : resolve(named);
  try {
    return await readSecretFile(file);
  } catch (error) {
    if (named === undefined && isQuorateError(error, 'file-missing')) return undefined;
    throw error;
  }
}

/** A token is sent as a header: visible ASCII only, so that nothing in it becomes another header. */
function checkToken(token: Secret): void {
  const fine = token.expose((bytes) => bytes.length > 0 && bytes.every((byte) => byte > 0x20 && byte < 0x7f));
  if (!fine) {
    throw new QuorateError('file-invalid', 'what should be a token is empty or holds characters that no token has', {
      hint: 'A token is one line without blanks, such as bao login stores it.',
    });
  }
}

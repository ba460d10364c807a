import { join, resolve } from 'node:path';
import { isQuorateError, QuorateError } from '../../../errors.ts';
import { readSecretFile, readText, replaceFile, writeExclusive } from '../../../files.ts';
import { Secret } from '../../../secret.ts';
import type { Session } from '../../../vault/peer.ts';
import { applyWrites } from '../../first-writes.ts';
import type { Run } from '../../kind.ts';
import type { CeremonyLogin } from './login.ts';
import { activePeer } from '../../leadership.ts';

/** Minutes are enough to start and cancel two operations. */
const TOKEN_TTL = '15m';

/** Names the AppRole; not a secret, and needed beside the secret id to log in. */
const ROLE_ID_FILE = 'ceremony-login.role-id';

/** The password of a ceremony login, kept from when it was chosen or first asked for until the ceremony needs it no more. */
export class KnownPassword {
  #password: Secret | undefined;

  learn(password: Secret): void {
    this.forget();
    this.#password = password.clone();
  }

  /** A copy, which the caller wipes. */
  async get(run: Pick<Run, 'people'>, username: string): Promise<Secret> {
    this.#password ??= await run.people.password(`Password of the ceremony login ${username}`);
    return this.#password.clone();
  }

  forget(): void {
    this.#password?.wipe();
    this.#password = undefined;
  }
}

/**
 * Makes the login that remains: an AppRole role with a secret id in a 0600 file, or a user with a new password.
 * Done again after an interruption it makes no second secret id while the first one's file is there.
 * @throws QuorateError `no-way-back` when the server does not make it, `file-exists` for a secret id of another cluster.
 */
export async function makeLogin(run: Run, root: Session, login: CeremonyLogin, known: KnownPassword): Promise<void> {
  try {
    if (login.method === 'approle') await makeRole(run, root, login);
    else await makeUser(run, root, login, known);
  } catch (error) {
    if (!isQuorateError(error, 'server-error')) throw error;
    throw new QuorateError('no-way-back', `the ceremony login could not be made: ${error.message}`, {
      hint: `Does a first-write enable ${login.method} at auth/${login.mount}? Enable it by the root token, and resume.`,
    });
  }
}

/** A session of the ceremony login on the active peer. The caller revokes it. @throws `no-way-back` when it cannot log in. */
export async function loginAs(run: Run, login: CeremonyLogin, known: KnownPassword): Promise<Session> {
  const peer = await activePeer(run);
  const anonymous = peer.session(Secret.fromText(''));
  const { path, body, secrets } = await credentials(run, login, known);
  try {
    const reply = await anonymous.request('POST', path, body, { signal: run.signal });
    const auth = (reply.body as { auth?: { client_token?: unknown; policies?: unknown } } | null)?.auth;
    if (reply.status !== 200 || typeof auth?.client_token !== 'string') {
      known.forget();
      throw new QuorateError('no-way-back', `the ceremony login was refused (${reply.status.toString()})`, {
        hint: 'Check that first-writes enable its auth method. The root token was kept.',
      });
    }
    const policies = Array.isArray(auth.policies) ? auth.policies.map(String) : [];
    const root = policies.includes('root');
    const session = openSession(peer, auth.client_token);
    try {
      await run.record({ event: 'login', method: login.method, mount: login.mount, policies, root });
      if (root)
        throw new QuorateError('no-way-back', 'the ceremony login is root itself; it must have policies of its own');
      return session;
    } catch (error) {
      await session.request('POST', 'auth/token/revoke-self', {}).catch(() => undefined);
      session.close();
      throw error;
    }
  } finally {
    for (const secret of secrets) secret.wipe();
  }
}

function openSession(peer: Session['peer'], text: string): Session {
  const token = Secret.fromText(text);
  try {
    return peer.session(token);
  } finally {
    token.wipe();
  }
}

async function makeRole(run: Run, root: Session, login: CeremonyLogin & { method: 'approle' }): Promise<void> {
  const role = `auth/${login.mount}/role/${login.role}`;
  const data = { token_policies: login.policies, token_ttl: TOKEN_TTL, token_max_ttl: '1h' };
  await applyWrites(run, root, [{ path: role, data }]);
  const file = resolve(run.scriptFolder, login['secret-id-file']);
  const there = await readSecretFile(file).catch((error: unknown) => {
    if (isQuorateError(error, 'file-missing')) return undefined;
    throw error;
  });
  if (there === undefined) await makeSecretId(run, root, role, file);
  else await refuseStale(run, root, role, file, there);
  const named = await root.read(`${role}/role-id`, { signal: run.signal });
  const roleId = (named as { role_id?: unknown } | null)?.role_id;
  if (typeof roleId !== 'string') throw new QuorateError('server-response', 'the server tells no role id');
  await replaceFile(join(run.folder, ROLE_ID_FILE), `${roleId}\n`);
}

async function makeSecretId(run: Run, root: Session, role: string, file: string): Promise<void> {
  // One that was made right before an interruption is in nobody's hands.
  for (const accessor of await root.list(`${role}/secret-id`, { signal: run.signal })) {
    await root.write(`${role}/secret-id-accessor/destroy`, { secret_id_accessor: accessor }, { signal: run.signal });
  }
  const made = await root.write(`${role}/secret-id`, {}, { signal: run.signal });
  const id = (made as { secret_id?: unknown } | null)?.secret_id;
  if (typeof id !== 'string') throw new QuorateError('server-response', 'the server made no secret id');
  await writeExclusive(file, id);
}

/** A file from another cluster, or one that an interruption cut short, would be a login that fails when it is needed. */
async function refuseStale(run: Run, root: Session, role: string, file: string, there: Secret): Promise<void> {
  try {
    const looked = await root.request('POST', `${role}/secret-id/lookup`, { secret_id: there }, { signal: run.signal });
    if (looked.status === 200) return;
  } finally {
    there.wipe();
  }
  throw new QuorateError('file-exists', `${file} is there, and the cluster does not know what is in it`, {
    hint: 'It is left from another init, or was cut short. Move it away and resume the ceremony.',
  });
}

async function makeUser(
  run: Run,
  root: Session,
  login: CeremonyLogin & { method: 'userpass' },
  known: KnownPassword,
): Promise<void> {
  const path = `auth/${login.mount}/users/${login.username}`;
  const password = await run.people.newPassword(`New password of the ceremony login ${login.username}`);
  try {
    await root.write(path, { password, token_policies: login.policies, token_ttl: TOKEN_TTL }, { signal: run.signal });
    known.learn(password);
  } finally {
    password.wipe();
  }
  await run.record({
    event: 'write',
    peer: root.peer.name,
    request: `POST ${path}`,
    fields: ['password', 'token_policies', 'token_ttl'],
    status: 200,
  });
}

interface Credentials {
  readonly path: string;
  readonly body: unknown;
  readonly secrets: readonly Secret[];
}

async function credentials(run: Run, login: CeremonyLogin, known: KnownPassword): Promise<Credentials> {
  if (login.method === 'userpass') {
    const password = await known.get(run, login.username);
    return { path: `auth/${login.mount}/login/${login.username}`, body: { password }, secrets: [password] };
  }
  const secretId = await readSecretFile(resolve(run.scriptFolder, login['secret-id-file']));
  const roleId = (await readText(join(run.folder, ROLE_ID_FILE))).trim();
  return { path: `auth/${login.mount}/login`, body: { role_id: roleId, secret_id: secretId }, secrets: [secretId] };
}

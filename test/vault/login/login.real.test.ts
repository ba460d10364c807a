import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Peer } from '../../../src/vault/peer.ts';
import { sharedCluster } from '../../support/cluster.ts';
import { codeOf } from '../../support/errors.ts';
import { HeldLogin } from '../../../src/vault/login/held.ts';
import { connectPeer, login, Secret } from '../subject.ts';

const live = sharedCluster({ peers: 1 });
const settings = (): Parameters<typeof connectPeer>[0] => {
  const { cluster } = live();
  return { name: 'p', address: cluster.peers[0]?.address ?? '', ca: cluster.caFile };
};
let peer: Peer;
let home = '';
const made = { roleId: '', secretId: '' };

beforeAll(async () => {
  peer = connectPeer(settings());
  const root = peer.session(Secret.fromText(live().rootToken));
  await root.write('sys/auth/approle', { type: 'approle' });
  await root.write('sys/auth/people', { type: 'userpass' });
  await root.write('auth/approle/role/job', { token_policies: ['job'], secret_id_num_uses: 1 });
  await root.write('auth/people/users/alice', { password: 'correct horse', token_policies: ['ceremony'] });
  made.roleId = ((await root.read('auth/approle/role/job/role-id')) as { role_id: string }).role_id;
  made.secretId = ((await root.write('auth/approle/role/job/secret-id', {})) as { secret_id: string }).secret_id;
});

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'quorate-home-'));
});

afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

const write = async (name: string, text: string, mode = 0o600): Promise<string> => {
  const file = join(home, name);
  await writeFile(file, text);
  await chmod(file, mode);
  return file;
};

describe('a token', () => {
  const withEnv = (env: Record<string, string> = {}): ReturnType<typeof login> =>
    login(peer, { method: 'token' }, { env, home });

  it('comes from BAO_TOKEN before VAULT_TOKEN', async () => {
    const { session, accessor, policies } = await withEnv({ BAO_TOKEN: live().rootToken, VAULT_TOKEN: 's.wrong' });
    expect(policies).toEqual(['root']);
    expect(accessor).toMatch(/^[A-Za-z0-9]{20,}$/);
    expect(await session.read('sys/mounts')).toHaveProperty('sys/');
    session.close();
  });

  it('comes from ~/.vault-token, which others must not read', async () => {
    await write('.vault-token', live().rootToken);
    expect((await withEnv()).policies).toEqual(['root']);
    await chmod(join(home, '.vault-token'), 0o640);
    expect(await codeOf(withEnv())).toBe('file-mode');
  });

  it('comes from the file that BAO_TOKEN_PATH names', async () => {
    const file = await write('elsewhere', `${live().rootToken}\n`);
    expect((await withEnv({ BAO_TOKEN_PATH: file })).policies).toEqual(['root']);
    expect(await codeOf(withEnv({ BAO_TOKEN_PATH: `${file}.none` }))).toBe('file-missing');
  });

  it('comes from the token helper that ~/.bao, else ~/.vault, names', async () => {
    await write('.vault-token', 's.wrong');
    const helper = await write('helper', `#!/bin/sh\n[ "$1" = get ] && cat "$0.token"\n`, 0o700);
    await write('helper.token', `${live().rootToken}\n`);
    await write('.vault', `# the helper\ntoken_helper = "${helper}"\n`);
    expect((await withEnv()).policies).toEqual(['root']);
    await write('.bao', '{"token_helper": "/does/not/exist"}');
    expect(await codeOf(withEnv())).toBe('program-missing');
    await write('.bao', 'token_helper = "helper"');
    expect(await codeOf(withEnv())).toBe('file-invalid');
    const failing = await write('failing', '#!/bin/sh\necho s.almost\nexit 3\n', 0o700);
    expect(await codeOf(withEnv({ BAO_CONFIG_PATH: await write('config', `token_helper="${failing}"`) }))).toBe(
      'program-failed',
    );
  });

  it('may be missing, wrong, or not a token at all', async () => {
    expect(await codeOf(withEnv())).toBe('token-missing');
    expect(await codeOf(withEnv({ VAULT_TOKEN: 's.wrongwrongwrongwrongwrong' }))).toBe('denied');
    expect(await codeOf(withEnv({ VAULT_TOKEN: 's.x\r\nX-Other: y' }))).toBe('file-invalid');
  });

  it('comes from a named file', async () => {
    const file = await write('token', `${live().rootToken}\n`);
    const { policies } = await login(peer, { method: 'token-file', file }, { env: {}, home });
    expect(policies).toEqual(['root']);
  });
});

describe('an approle', () => {
  it('logs in with a secret id from a file, once when it is good for one use', async () => {
    const file = await write('secret-id', `${made.secretId}\n`);
    const auth = { 'method': 'approle', 'mount': 'approle', 'role-id': made.roleId, 'secret-id-file': file } as const;
    const { session, accessor, policies } = await login(peer, auth, { env: {}, home });
    expect(policies).toEqual(['default', 'job']);
    expect(await session.read('auth/token/lookup-self')).toMatchObject({ accessor });
    expect(await codeOf(login(peer, auth, { env: {}, home }))).toBe('denied');
    await chmod(file, 0o644);
    expect(await codeOf(login(peer, auth, { env: {}, home }))).toBe('file-mode');
  });
});

describe('a user', () => {
  const auth = { method: 'userpass', mount: 'people', username: 'alice' } as const;

  it('logs in with a password that is asked for, which is wiped', async () => {
    const password = Secret.fromText('correct horse');
    const { policies } = await login(peer, auth, { env: {}, home, password: () => Promise.resolve(password) });
    expect(policies).toEqual(['ceremony', 'default']);
    expect(password.wiped).toBe(true);
  });

  it('logs in with a password from a file', async () => {
    const file = await write('password', 'correct horse\n');
    const { accessor } = await login(peer, { ...auth, 'password-file': file }, { env: {}, home });
    expect(accessor).toBeDefined();
  });

  it('is denied with a wrong password, and asked nothing without a way to ask', async () => {
    const wrong = (): Promise<Secret> => Promise.resolve(Secret.fromText('battery staple'));
    expect(await codeOf(login(peer, auth, { env: {}, home, password: wrong }))).toBe('denied');
    expect(await codeOf(login(peer, auth, { env: {}, home }))).toBe('token-missing');
  });
});

describe('a held login', () => {
  const accessors = async (): Promise<readonly string[]> =>
    peer.session(Secret.fromText(live().rootToken)).list('auth/token/accessors');

  it('is made once for calls side by side, made anew when the server forgot it, and all of it is revoked', async () => {
    let asked = 0;
    const auth = { method: 'userpass', mount: 'people', username: 'alice' } as const;
    const password = (): Promise<Secret> => {
      asked += 1;
      return Promise.resolve(Secret.fromText('correct horse'));
    };
    const before = await accessors();
    const held = new HeldLogin((one) => login(one, auth, { env: {}, home, password }));
    const all = await Promise.all([held.login(peer), held.login(peer)]);
    const again = await held.login(peer);
    expect(asked).toBe(1);
    expect(new Set([...all, again].map(({ accessor }) => accessor)).size).toBe(1);
    for (const { session } of all) session.close();
    await again.session.request('POST', 'auth/token/revoke-self', {});
    expect((await held.login(peer)).accessor).not.toBe(again.accessor);
    expect(asked).toBe(2);
    expect(await held.end([peer])).toEqual([]);
    expect(await accessors()).toEqual(before);
  });

  it('does not take a token for revoked that may only not ask about itself', async () => {
    const root = peer.session(Secret.fromText(live().rootToken));
    const body = { password: 'x', token_policies: ['nothing'], token_no_default_policy: true };
    await root.write('auth/people/users/bo', body);
    const auth = { method: 'userpass', mount: 'people', username: 'bo' } as const;
    const password = (): Promise<Secret> => Promise.resolve(Secret.fromText('x'));
    const held = new HeldLogin((one) => login(one, auth, { env: {}, home, password }));
    const { accessor } = await held.login(peer);
    expect((await held.login(peer)).accessor).toBe(accessor);
    expect(await held.end([peer])).toEqual([accessor]);
    expect(await accessors()).toContain(accessor);
  });

  it('says what it could not revoke', async () => {
    const auth = { method: 'userpass', mount: 'people', username: 'alice' } as const;
    const password = (): Promise<Secret> => Promise.resolve(Secret.fromText('correct horse'));
    const gone = connectPeer({ ...settings(), address: 'https://127.0.0.1:1' });
    const held = new HeldLogin(async (one) => {
      const made = await login(one, auth, { env: {}, home, password });
      return { ...made, session: made.session.at(gone) };
    });
    const { accessor } = await held.login(peer);
    expect(await held.end([gone])).toEqual([accessor]);
  });
});

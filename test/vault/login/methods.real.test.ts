import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeCertificates } from '../../../src/rehearsal/certificates.ts';
import type { Peer, Session } from '../../../src/vault/peer.ts';
import { sharedCluster, temporaryFolder } from '../../support/cluster.ts';
import { codeOf } from '../../support/errors.ts';
import { makeIssuer, startGithub, startService } from '../../support/issuer.ts';
import { vaultBinary } from '../../support/vault-binary.ts';
import { connectPeer, login, Secret } from '../subject.ts';

const AUDIENCE = 'https://vault.example';
const CLAIMS = { iss: 'https://issuer.example', aud: AUDIENCE, sub: 'repo:octo/app', repository: 'octo/app' };

describe.each(['openbao', 'vault'] as const)('%s', (flavour) => {
  describe.skipIf(flavour === 'vault' && vaultBinary() === undefined)('takes a login', () => {
    const live = sharedCluster({ peers: 1, flavour });
    const issuer = makeIssuer();
    let peer: Peer;
    let root: Session;
    let folder = '';
    const connect = (more: Partial<Parameters<typeof connectPeer>[0]> = {}): Peer => {
      const { cluster } = live();
      return connectPeer({ name: 'p', address: cluster.peers[0]?.address ?? '', ca: cluster.caFile, ...more });
    };
    const write = async (name: string, text: string, mode = 0o600): Promise<string> => {
      const file = join(folder, name);
      await writeFile(file, text, { mode });
      return file;
    };
    type Auth = Parameters<typeof login>[1];
    const enter = (auth: Auth, env: Record<string, string> = {}, at = peer): ReturnType<typeof login> =>
      login(at, auth, { env, home: folder });
    /** The policies of a login, which is ended. */
    const policiesOf = async (made: ReturnType<typeof login>): Promise<readonly string[]> => {
      const { session, policies, own, accessor } = await made;
      expect(own).toBe(true);
      expect(await session.read('auth/token/lookup-self')).toMatchObject({ accessor });
      session.close();
      return policies;
    };

    beforeAll(async () => {
      folder = await temporaryFolder();
      peer = connect();
      root = peer.session(Secret.fromText(live().rootToken));
      const policy =
        'path "auth/token/lookup-self" { capabilities = ["read"] } path "auth/token/revoke-self" { capabilities = ["update"] }';
      await root.write('sys/policies/acl/job', { policy });
    });

    describe('with a signed token', () => {
      const token = { token_policies: ['job'], token_no_default_policy: true };
      const env = (claims: Record<string, unknown>, by = issuer): Record<string, string> => ({
        ID_TOKEN: by.token({ ...CLAIMS, ...claims }),
      });
      const auth = { method: 'jwt', mount: 'ci/jwt', role: 'ci', variable: 'ID_TOKEN' } as const;
      const refused = (claims: Record<string, unknown>, by = issuer): Promise<string | undefined> =>
        codeOf(enter(auth, env(claims, by)));

      beforeAll(async () => {
        await root.write('sys/auth/ci/jwt', { type: 'jwt' });
        const config = { jwt_validation_pubkeys: [issuer.publicKey], bound_issuer: CLAIMS.iss };
        await root.write('auth/ci/jwt/config', config);
        await root.write('auth/ci/jwt/role/ci', {
          ...token,
          role_type: 'jwt',
          user_claim: 'sub',
          bound_audiences: [AUDIENCE],
          bound_claims: { repository: 'octo/app' },
        });
      });

      it('of a variable or a file', async () => {
        expect(await policiesOf(enter(auth, env({})))).toEqual(['job']);
        const file = await write('id-token', `${env({})['ID_TOKEN'] ?? ''}\n`);
        const byFile = { method: 'jwt', mount: 'ci/jwt', role: 'ci', file } as const;
        expect(await policiesOf(enter(byFile))).toEqual(['job']);
        expect(await codeOf(enter(auth))).toBe('token-missing');
        const loose = await write('loose', 'x', 0o644);
        expect(await codeOf(enter({ ...byFile, file: loose }))).toBe('file-mode');
      });

      it('that GitHub gives the job, tried again when the service is away', async () => {
        const github = await startGithub((aud) => issuer.token({ ...CLAIMS, aud }));
        const byGithub = { 'method': 'jwt', 'mount': 'ci/jwt', 'role': 'ci', 'github-audience': AUDIENCE } as const;
        github.failures = 2;
        expect(await policiesOf(enter(byGithub, github.env))).toEqual(['job']);
        expect(github.service.asked).toBe(3);
        const other = { ...byGithub, 'github-audience': 'https://other.example' };
        expect(await codeOf(enter(other, github.env))).toBe('login-audience');
        expect(await codeOf(enter(byGithub))).toBe('token-missing');
        const wrong = { ...github.env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'wrong' };
        expect(await codeOf(enter(byGithub, wrong))).toBe('denied');
        const plain = { ...github.env, ACTIONS_ID_TOKEN_REQUEST_URL: 'http://tokens.example/' };
        expect(await codeOf(enter(byGithub, plain))).toBe('environment-hostile');
      });

      it('and says what it refuses it for', async () => {
        const now = Math.floor(Date.now() / 1000);
        expect(await refused({ aud: 'other' })).toBe('login-audience');
        expect(await refused({ repository: 'evil/app' })).toBe('login-claims');
        expect(await refused({ repository: undefined })).toBe('login-claims');
        expect(await refused({ sub: undefined })).toBe('login-claims');
        expect(await refused({ iss: 'https://other.example' })).toBe('login-untrusted');
        expect(await refused({}, makeIssuer())).toBe('login-untrusted');
        expect(await refused({ exp: now - 900, iat: now - 1800, nbf: now - 1800 })).toBe('login-expired');
        expect(await refused({ iat: now + 900, nbf: now + 900, exp: now + 1800 })).toBe('login-clock');
        expect(await codeOf(enter({ ...auth, role: 'none' }, env({})))).toBe('login-role');
        expect(await codeOf(enter({ ...auth, mount: 'none' }, env({})))).toBe('denied');
        expect(await codeOf(enter(auth, { ID_TOKEN: 'no token' }))).toBe('login-untrusted');
      });

      it('and shows what differs, and nothing of the token', async () => {
        const secret = env({ repository: 'evil/app' });
        const error = (await enter(auth, secret).catch((one: unknown) => one)) as { message: string; hint: string };
        expect(error.hint).toContain('repository = evil/app');
        expect(JSON.stringify(error)).not.toContain(secret['ID_TOKEN']?.slice(-20));
      });
    });

    describe('with a service account of Kubernetes', () => {
      const user = { username: 'system:serviceaccount:ns:job', uid: 'u1' };
      const audiences = ['https://kubernetes'];
      const state = { answer: { authenticated: true, user, audiences } as unknown, status: 200 };
      const account = (name = 'job', namespace = 'ns', claims: Record<string, unknown> = {}): string =>
        issuer.token({
          'iss': 'https://kubernetes',
          'aud': audiences,
          'sub': `system:serviceaccount:${namespace}:${name}`,
          'kubernetes.io': { namespace, serviceaccount: { name, uid: 'u1' } },
          ...claims,
        });
      const auth = async (text: string, role = 'job'): Promise<Auth> => {
        // As the kubelet writes it: readable by others.
        return { method: 'kubernetes', mount: 'kubernetes', role, file: await write('token', text, 0o644) };
      };

      beforeAll(async () => {
        const api = await startService(({ body, url }) => ({
          status: url.pathname === '/apis/authentication.k8s.io/v1/tokenreviews' ? state.status : 404,
          body: { ...(body as object), status: state.answer },
        }));
        await root.write('sys/auth/kubernetes', { type: 'kubernetes' });
        await root.write('auth/kubernetes/config', {
          kubernetes_host: api.address,
          kubernetes_ca_cert: await readFile(live().cluster.caFile, 'utf8'),
          token_reviewer_jwt: account('reviewer'),
          disable_local_ca_jwt: true,
        });
        await root.write('auth/kubernetes/role/job', {
          bound_service_account_names: ['job'],
          bound_service_account_namespaces: ['ns'],
          token_policies: ['job'],
          token_no_default_policy: true,
        });
      });

      it('that Kubernetes confirms', async () => {
        expect(await policiesOf(enter(await auth(`${account()}\n`)))).toEqual(['job']);
      });

      it('and says what it refuses it for', async () => {
        expect(await codeOf(enter(await auth(account('other'))))).toBe('login-claims');
        expect(await codeOf(enter(await auth(account('job', 'other'))))).toBe('login-claims');
        expect(await codeOf(enter(await auth(account(), 'none')))).toBe('login-role');
        const now = Math.floor(Date.now() / 1000);
        const old = { exp: now - 900, iat: now - 1800, nbf: now - 1800 };
        expect(await codeOf(enter(await auth(account('job', 'ns', old))))).toBe('login-expired');
        state.answer = { authenticated: false, error: 'the account is gone' };
        expect(await codeOf(enter(await auth(account())))).toBe('login-untrusted');
        state.status = 403;
        expect(await codeOf(enter(await auth(account())))).toBe('login-untrusted');
        const gone = { method: 'kubernetes', mount: 'kubernetes', role: 'job', file: join(folder, 'none') } as const;
        expect(await codeOf(enter(gone))).toBe('file-missing');
      });
    });

    describe('with a certificate', () => {
      it('that it trusts, and says what it refuses it for', async () => {
        const [trusted, foreign] = await Promise.all([makeCertificates(['job', 'other']), makeCertificates(['job'])]);
        await root.write('sys/auth/cert', { type: 'cert' });
        await root.write('auth/cert/certs/job', {
          certificate: trusted.ca,
          allowed_common_names: ['job'],
          token_policies: ['job'],
          token_no_default_policy: true,
        });
        const showing = async (name: string, one = trusted.peers[0]): Promise<Peer> => {
          const clientCertificate = await write(`${name}.pem`, one?.certificate ?? '');
          const clientKey = await write(`${name}.key`, one?.key.exposeText() ?? '');
          return connect({ clientCertificate, clientKey });
        };
        const auth = { method: 'cert', mount: 'cert', role: 'job' } as const;
        const good = await showing('good');
        expect(await policiesOf(enter(auth, {}, good))).toEqual(['job']);
        expect(await policiesOf(enter({ method: 'cert', mount: 'cert' }, {}, good))).toEqual(['job']);
        expect(await codeOf(enter({ ...auth, role: 'none' }, {}, good))).toBe('login-untrusted');
        const named = await showing('other', trusted.peers[1]);
        expect(await codeOf(enter(auth, {}, named))).toBe('login-claims');
        expect(await codeOf(enter(auth, {}, await showing('foreign', foreign.peers[0])))).toBe('login-untrusted');
        expect(await codeOf(enter(auth))).toBe('login-untrusted');
      });
    });

    describe('with a wrapped secret id', () => {
      let roleId = '';
      const auth = (file: string): Auth => ({
        'method': 'approle',
        'mount': 'approle',
        'role-id': roleId,
        'wrapped-secret-id-file': file,
      });
      const wrap = async (name: string, path = 'auth/approle/role/job/secret-id'): Promise<string> => {
        const reply = await root.request('POST', path, {}, { wrapTtl: 60 });
        return write(name, (reply.body as { wrap_info: { token: string } }).wrap_info.token);
      };

      beforeAll(async () => {
        await root.write('sys/auth/approle', { type: 'approle' });
        await root.write('auth/approle/role/job', { token_policies: ['job'], token_no_default_policy: true });
        roleId = ((await root.read('auth/approle/role/job/role-id')) as { role_id: string }).role_id;
      });

      it('which it opens once, also for a command that logs in twice', async () => {
        const file = await wrap('wrapped');
        const unwrapped = new Map<string, Secret>();
        const surroundings = { env: {}, home: folder, unwrapped };
        expect(await policiesOf(login(peer, auth(file), surroundings))).toEqual(['job']);
        expect(await policiesOf(login(peer, auth(file), surroundings))).toEqual(['job']);
        for (const secret of unwrapped.values()) secret.wipe();
        expect(await codeOf(enter(auth(file)))).toBe('login-wrap-opened');
      });

      it('and not one that somebody has opened, or put in its place', async () => {
        const opened = await wrap('opened');
        const thief = peer.session(Secret.fromText(await readFile(opened, 'utf8')));
        expect((await thief.request('POST', 'sys/wrapping/unwrap', {})).status).toBe(200);
        expect(await codeOf(enter(auth(opened)))).toBe('login-wrap-opened');
        const swapped = await wrap('swapped', 'sys/wrapping/wrap');
        expect(await codeOf(enter(auth(swapped)))).toBe('login-wrap-opened');
        // It was looked at, and is not opened.
        const still = peer.session(Secret.fromText(await readFile(swapped, 'utf8')));
        expect((await still.request('POST', 'sys/wrapping/unwrap', {})).status).toBe(200);
        expect(await codeOf(enter(auth(await write('none', 's.nothing'))))).toBe('login-wrap-opened');
      });
    });
  });
});

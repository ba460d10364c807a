import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Receipt } from '../../src/broker/exec/receipt.ts';
import { renderYaml } from '../../src/document.ts';
import { makeCertificates } from '../../src/rehearsal/certificates.ts';
import { setupOf, sharedBroker } from '../support/broker.ts';
import { callPeer, temporaryFolder } from '../support/cluster.ts';
import { at } from '../support/http.ts';
import { makeIssuer, startGithub } from '../support/issuer.ts';
import { MAIN } from '../support/quorate.ts';
import { waitUntil } from '../support/wait.ts';
import { ROOT } from '../structure/source-tree.ts';
import { type ActionRun, runAction } from './runner.ts';

const shared = sharedBroker({ engine: 'postgresql' });
const ISSUER = 'https://token.actions.githubusercontent.com';
const AUDIENCE = 'https://vault.example';
const issuer = makeIssuer();
let folder = '';
let job: Readonly<Record<string, string>> = {};
let common: Readonly<Record<string, string>> = {};

const run = (
  inputs: Readonly<Record<string, string>>,
  more: { readonly env?: Readonly<Record<string, string>>; readonly onStart?: (pid: number) => void } = {},
): Promise<ActionRun> =>
  runAction(
    { ...common, ...inputs },
    { ...more, cwd: folder, env: { ...job, ...more.env }, path: join(folder, 'bin') },
  );

/** Logins of this setup that are left in the database. */
const left = async (): Promise<number> =>
  (await shared().database.sql("SELECT 1 FROM pg_roles WHERE rolname LIKE 'app-%'")).length;

beforeAll(async () => {
  const broker = shared();
  folder = await temporaryFolder();
  await writeFile(join(broker.folder, 'issuer.pem'), issuer.publicKey);
  const login = {
    'name': 'ci',
    'method': 'jwt',
    'issuer': ISSUER,
    'public-keys': 'issuer.pem',
    'audience': AUDIENCE,
    'claims': { repository: 'octo/app', ref: ['refs/heads/main'] },
    'roles': ['read'],
  };
  const setup = { ...setupOf({ engine: 'postgresql' }, broker.proxy.port, broker.folder), login: [login] };
  await writeFile(join(broker.folder, 'jwt.yaml'), renderYaml(setup));
  const applied = await broker.run(['db', 'setup', 'jwt.yaml', '--yes'], broker.root);
  if (applied.status !== 0) throw new Error(applied.stderr);
  await mkdir(join(folder, 'bin'));
  const program = `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`;
  await writeFile(join(folder, 'bin/quorate'), program, { mode: 0o755 });
  const { cluster } = broker.live;
  // Its certificate is of an authority that the machine was told of besides.
  const [peer] = cluster.peers;
  const tls = {
    cert: await readFile(peer?.certificateFile ?? '', 'utf8'),
    key: await readFile(peer?.keyFile ?? '', 'utf8'),
  };
  const claims = {
    iss: ISSUER,
    sub: 'repo:octo/app:ref:refs/heads/main',
    repository: 'octo/app',
    ref: 'refs/heads/main',
  };
  const github = await startGithub((aud) => issuer.token({ ...claims, aud }), tls);
  job = { ...github.env, NODE_EXTRA_CA_CERTS: cluster.caFile };
  common = {
    'address': peer?.address ?? '',
    'ca': cluster.caFile,
    'audience': AUDIENCE,
    'login-role': 'ci',
  };
}, 180_000);

describe('db setup with a login by signed tokens', () => {
  it('finds whoever is let in besides, and mends it', async () => {
    const { root, live } = shared();
    const check = () => shared().run(['db', 'setup', 'jwt.yaml', '--check'], root);
    const post = (path: string, body: unknown) =>
      callPeer(live.cluster, 0, 'POST', path, { token: live.rootToken, body });
    expect((await check()).status).toBe(0);
    const more = [issuer.publicKey, makeIssuer().publicKey];
    expect((await post('auth/jwt/config', { bound_issuer: ISSUER, jwt_validation_pubkeys: more })).status).toBe(204);
    const role = { role_type: 'jwt', user_claim: 'sub', bound_audiences: [AUDIENCE] };
    expect((await post('auth/jwt/role/ci', { ...role, bound_claims: { repository: 'evil/app' } })).status).toBe(204);
    const found = await check();
    expect(found.status).toBe(5);
    expect(found.stderr).toContain('jwt_validation_pubkeys');
    expect(found.stderr).toContain('evil/app');
    expect((await shared().run(['db', 'setup', 'jwt.yaml', '--yes'], root)).status).toBe(0);
    expect((await check()).status).toBe(0);
  });
});

describe('the action with a script', () => {
  it('runs it with a login of its own, masked, and revokes that with proof', async () => {
    const script =
      'psql -X -A -t -c "SELECT session_user" > who\nenv > env\necho "password: $PGPASSWORD"\nfalse | true';
    const { status, log, raw, outputs, env } = await run({ role: 'read', prove: 'true', run: script });
    // As in a step of one's own: -eo pipefail.
    expect(status, log).toBe(1);
    const receipt = JSON.parse(await readFile(outputs['receipt'] ?? '', 'utf8')) as Receipt;
    expect(receipt).toMatchObject({ proved: true, proof: { lease: 'gone', database: { login: 'refused' } } });
    expect((await readFile(join(folder, 'who'), 'utf8')).trim()).toBe(receipt.username);
    const [, password = 'none'] = /^PGPASSWORD=(.*)$/m.exec(await readFile(join(folder, 'env'), 'utf8')) ?? [];
    expect(raw).toContain(`password: ${password}`);
    expect(log).toContain('password: ***');
    expect(log).not.toContain(password);
    expect(await readFile(join(folder, 'env'), 'utf8')).not.toMatch(/^INPUT_/m);
    expect(env).toEqual({});
    expect(await left()).toBe(0);
  });

  it('revokes when the job is cancelled', async () => {
    let pid = 0;
    const started = run(
      { role: 'read', run: 'echo > begun; exec sleep 300' },
      {
        onStart: (step) => {
          pid = step;
        },
      },
    );
    await waitUntil('the script runs', () =>
      readFile(join(folder, 'begun')).then(
        () => true,
        () => false,
      ),
    );
    // The runner's own way: first this, to the process that it started.
    process.kill(pid, 'SIGINT');
    const { status } = await started;
    expect(status).toBe(130);
    expect(await left()).toBe(0);
  });

  it('has the status of quorate where the login is refused', async () => {
    const { status, raw } = await run({ role: 'read', run: 'echo ran', audience: 'https://other.example' });
    expect([status, raw.includes('ran\n')]).toEqual([125, false]);
    expect(raw).toContain('login-audience');
  });
});

describe('the action without a script', () => {
  it('exports a login to the later steps, masked first, which a last step revokes', async () => {
    const first = await run({ role: 'read', env: 'APP_USER=username\nAPP_PASSWORD=password\n', preset: 'pg\nurl' });
    expect(first.status, first.log).toBe(0);
    const { APP_USER: user = '', APP_PASSWORD: password = '' } = first.env;
    expect(first.env).toMatchObject({ PGUSER: user, PGPASSWORD: password, QUORATE_LEASE: first.outputs['lease'] });
    expect(first.env['DATABASE_URL']).toContain(user);
    expect(first.raw).toContain(`::add-mask::${password}`);
    expect(first.log).not.toContain(password);
    expect(await shared().database.canLogIn({ user, password })).toBe(true);
    const last = await run({ revoke: first.outputs['lease'] ?? '' }, { env: first.env });
    expect(last.status, last.log).toBe(0);
    expect(await left()).toBe(0);
    expect(await shared().database.canLogIn({ user, password })).toBe(false);
  });

  it('writes other formats to a file of mode 0600', async () => {
    const { status, log, outputs } = await run({ role: 'read', format: 'pgpass', output: 'login.pgpass' });
    expect(status, log).toBe(0);
    expect((await stat(join(folder, 'login.pgpass'))).mode & 0o777).toBe(0o600);
    expect(outputs['lease']).toBe('');
    expect((await run({ role: 'read', format: 'pgpass' })).status).toBe(1);
    const { live } = shared();
    await callPeer(live.cluster, 0, 'PUT', 'sys/leases/revoke-prefix/database/creds/read', {
      token: live.rootToken,
      body: { sync: true },
    });
  });
});

describe('a job elsewhere', () => {
  const server = (): Readonly<Record<string, string>> => ({
    BAO_ADDR: common['address'] ?? '',
    BAO_CACERT: common['ca'] ?? '',
  });
  const asRoot = (method: string, path: string, body?: unknown) =>
    callPeer(shared().live.cluster, 0, method, path, { token: shared().live.rootToken, body });
  const tokens = async (): Promise<number> =>
    Number(at((await asRoot('LIST', 'auth/token/accessors')).body, 'data', 'keys', 'length'));

  it('on GitLab logs in by the token of a variable, which its program does not get; nothing of it is left', async () => {
    const token = issuer.token({
      iss: ISSUER,
      aud: AUDIENCE,
      sub: 'x',
      repository: 'octo/app',
      ref: 'refs/heads/main',
    });
    const before = await tokens();
    const words = ['db', 'exec', 'read', '--login', 'jwt,role=ci,variable=ID_TOKEN', '--'];
    const ended = await shared().run([...words, 'sh', '-c', 'env; psql -X -A -t -c "SELECT 1"'], {
      ...server(),
      ID_TOKEN: token,
    });
    expect(ended.status, ended.stderr).toBe(0);
    expect(ended.stdout).toMatch(/^1$/m);
    expect(ended.stdout).not.toContain(token);
    expect(await tokens()).toBe(before);
    // A token by which something lives on has to live on itself.
    const creds = await shared().run(['db', 'creds', ...words.slice(2, 5)], { ...server(), ID_TOKEN: token });
    const { lease } = JSON.parse(creds.stdout) as { lease: { id: string } };
    expect(await tokens()).toBe(before + 1);
    const revoked = await shared().run(['db', 'revoke', lease.id, ...words.slice(3, 5)], {
      ...server(),
      ID_TOKEN: token,
    });
    expect(revoked.status, revoked.stderr).toBe(0);
    expect(await tokens()).toBe(before + 1);
    const none = await shared().run(['db', 'creds', 'none', ...words.slice(3, 5)], { ...server(), ID_TOKEN: token });
    expect(none.status).toBe(4);
    expect(await tokens()).toBe(before + 1);
  });

  it('logs in by a certificate, which its renewals show too', async () => {
    const { ca, peers } = await makeCertificates(['job']);
    await asRoot('POST', 'sys/auth/cert', { type: 'cert' });
    const role = {
      certificate: ca,
      token_policies: ['quorate-db-read-login'],
      token_no_default_policy: true,
      token_ttl: 6,
    };
    expect((await asRoot('POST', 'auth/cert/certs/job', role)).status).toBe(204);
    const { folder: cwd } = shared();
    await writeFile(join(cwd, 'job.pem'), peers[0]?.certificate ?? '');
    await writeFile(join(cwd, 'job.key'), peers[0]?.key.exposeText() ?? '', { mode: 0o600 });
    const login = 'cert,role=job,certificate=job.pem,key=job.key';
    const ended = await shared().run(['db', 'exec', 'read', '--login', login, '--', 'sleep', '9'], server());
    expect(ended.status, ended.stderr).toBe(0);
  });
});

describe('without quorate on the PATH', () => {
  it('takes that of its own checkout', async () => {
    // With what `npm test` has installed, so that nothing is fetched, and nothing of this checkout is touched.
    const checkout = await temporaryFolder();
    const parts = ['bin', 'ceremonies', 'dist', 'node_modules', 'package.json', 'package-lock.json', 'src'];
    const copied = [...parts, 'rolldown.config.ts', '.setup/stamps', '.setup/node'];
    const present = copied.filter((path) => existsSync(join(ROOT, path)));
    await promisify(execFile)('cp', ['-a', '--parents', ...present, checkout], { cwd: ROOT });
    const given = { ...common, role: 'read', run: 'readlink -f "$(command -v quorate)"; echo "as $PGUSER"' };
    const { status, log } = await runAction(given, { cwd: folder, env: job, checkout });
    expect(status, log).toBe(0);
    expect(log).toContain(join(checkout, 'bin/quorate'));
    expect(log).toMatch(/^as app-/m);
  });
});

describe('a hostile role', () => {
  it('names nothing else on the server', async () => {
    const { status, log } = await run({ role: '../../sys/seal-status', run: 'true' });
    expect(status).toBe(125);
    expect(log).toContain('a role is named with');
  });
});

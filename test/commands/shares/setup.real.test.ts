import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { callPeer, initialisedCluster } from '../../support/cluster.ts';
import { at, type HttpReply } from '../../support/http.ts';
import { errorCode } from '../../support/quorate.ts';
import { vaultBinary } from '../../support/vault-binary.ts';
import { NODES, type NodeName, sharedWallet } from '../../support/wallet.ts';

const shared = sharedWallet();
const setup = (...args: readonly string[]) => shared().run(['shares', 'setup', 'treasury', ...args]);

/** What the node itself may do, by a login of its role. */
async function asNodeLogin(node: NodeName, method: string, path: string, body?: unknown): Promise<HttpReply> {
  const { asRoot, clusters } = shared();
  const { cluster } = clusters[node];
  const secret = await asRoot(node, 'POST', `auth/approle/role/treasury-${node}/secret-id`, {});
  const login = await callPeer(cluster, 0, 'POST', 'auth/approle/login', {
    body: { role_id: `${node}-role-id`, secret_id: at(secret.body, 'data', 'secret_id') },
  });
  const token = String(at(login.body, 'auth', 'client_token'));
  return callPeer(cluster, 0, method, path, { token, ...(body === undefined ? {} : { body }) });
}

describe('shares setup', () => {
  it('shows what would change, and asks', async () => {
    const asked = await setup();
    expect(errorCode(asked), asked.stderr).toBe('terminal-needed');
    expect(asked.stderr).toContain('sys/mounts/mpc (new)');
    expect(asked.stderr).toContain('+ path "mpc/data/treasury/envelopes"');
    expect((await shared().asRoot('north', 'GET', 'sys/mounts/mpc')).status).toBe(400);
    expect((await setup('--check')).status).toBe(5);
  });

  it('makes it so on every cluster, and finds nothing to do afterwards', async () => {
    const made = await setup('--yes');
    expect(made.status, made.stderr).toBe(0);
    expect(made.stdout).toContain('cluster-id: ');
    const again = await shared().json(['shares', 'setup', 'treasury', '--yes']);
    const changes = again.value['changes'] as { node: string; state: string }[];
    expect(new Set(changes.map(({ node }) => node))).toEqual(new Set(NODES));
    expect(changes.filter(({ state }) => state !== 'same')).toEqual([]);
    expect((await setup('--check')).status).toBe(0);
  });

  it('lets a node write what is its own by check-and-set, and destroy nothing', async () => {
    const write = (cas?: number) =>
      asNodeLogin('north', 'POST', 'mpc/data/treasury/envelopes', {
        data: { envelopes: [] },
        ...(cas === undefined ? {} : { options: { cas } }),
      });
    expect((await write()).status).toBe(400);
    expect((await write(0)).status).toBe(200);
    expect((await asNodeLogin('north', 'GET', 'mpc/data/treasury/envelopes')).status).toBe(200);
    for (const [method, path] of [
      ['DELETE', 'mpc/data/treasury/envelopes'],
      ['POST', 'mpc/destroy/treasury/envelopes'],
      ['POST', 'mpc/delete/treasury/envelopes'],
      ['DELETE', 'mpc/metadata/treasury/envelopes'],
      ['GET', 'mpc/metadata/treasury/envelopes'],
      ['GET', 'mpc/data/payroll/envelopes'],
      ['GET', 'auth/token/lookup-self'],
    ] as const) {
      const { status } = await asNodeLogin('north', method, path, method === 'POST' ? { versions: [1] } : undefined);
      expect(status, `${method} ${path}`).toBe(403);
    }
  });

  it('finds what somebody changed, on which node, and mends it', async () => {
    const policy = 'path "mpc/*" { capabilities = ["read"] }';
    await shared().asRoot('south', 'POST', 'sys/policies/acl/quorate-shares-treasury-south', { policy });
    await shared().asRoot('south', 'POST', 'auth/approle/role/treasury-south', { token_bound_cidrs: '' });
    await shared().asRoot('south', 'POST', 'mpc/config', { cas_required: false });
    const { status, stdout } = await shared().run(['shares', 'setup', 'treasury', '--check', '--format', 'json']);
    const changes = (JSON.parse(stdout) as { changes: { node: string; state: string; path: string }[] }).changes;
    expect(status).toBe(5);
    expect(changes.filter(({ state }) => state === 'changed').map(({ node, path }) => `${node} ${path}`)).toEqual([
      'south mpc/config',
      'south sys/policies/acl/quorate-shares-treasury-south',
      'south auth/approle/role/treasury-south',
    ]);
    expect((await setup('--check', '--node', 'north')).status).toBe(0);
    expect((await setup('--yes')).status).toBe(0);
    expect((await setup('--check')).status).toBe(0);
  });

  it('makes roles for certificates, and asks for what it must not make', async () => {
    const { describe: write, clusters } = shared();
    const role = { 'method': 'cert', 'certificate': clusters.south.cluster.caFile, 'common-names': ['south'] };
    await write({ nodes: { south: { auth: undefined, role } } });
    const cert = await setup('--yes', '--node', 'south');
    expect(cert.status, cert.stderr).toBe(0);
    expect((await setup('--check', '--node', 'south')).status).toBe(0);
    const pods = {
      'method': 'kubernetes',
      'service-account': 'south',
      'service-account-namespace': 'mpc',
      'audience': 'x',
    };
    await write({ nodes: { south: { auth: undefined, role: pods } } });
    expect(errorCode(await setup('--yes', '--node', 'south'))).toBe('preflight-failed');
    await shared().asRoot('south', 'POST', 'sys/auth/kubernetes', { type: 'kubernetes' });
    await shared().asRoot('south', 'POST', 'sys/auth/jwt', { type: 'jwt' });
    expect((await setup('--yes', '--node', 'south')).status).toBe(0);
    expect((await setup('--check', '--node', 'south')).status).toBe(0);
    const jwt = { method: 'jwt', audience: 'mpc', subject: 'south', claims: { env: 'prod' } };
    await write({ nodes: { south: { auth: undefined, role: jwt } } });
    const bearer = await setup('--yes', '--node', 'south');
    expect(bearer.status, bearer.stderr).toBe(0);
    expect((await setup('--check', '--node', 'south')).status).toBe(0);
    await write({ nodes: { south: { role: { method: 'jwt', audience: 'mpc', subject: 'south' } } } });
    expect(errorCode(await setup('--check'))).toBe('policy');
    await write();
  });

  it('refuses a store of another version that is in the way', async () => {
    await shared().asRoot('north', 'POST', 'sys/mounts/old', { type: 'kv', options: { version: '1' } });
    await shared().describe({ nodes: { north: { mount: 'old' } } });
    expect(errorCode(await setup('--yes'))).toBe('preflight-failed');
    await shared().describe();
  });

  it('refuses another cluster than the one whose id is pinned', async () => {
    const { stdout } = await setup('--check');
    const [id = ''] = /[0-9a-f-]{36}/.exec(stdout) ?? [];
    await shared().describe({ clusters: { north: { 'cluster-id': id } } });
    expect((await setup('--check')).status).toBe(0);
    await shared().describe({ clusters: { south: { 'cluster-id': randomUUID() } } });
    const wrong = await setup('--check');
    expect(errorCode(wrong), wrong.stderr).toBe('cluster-mismatch');
    const status = await shared().json(['shares', 'status', 'treasury']);
    expect(status.status).toBe(2);
    expect(status.value).toMatchObject({ nodes: [{ node: 'north' }, { fault: { code: 'cluster-mismatch' } }] });
    await shared().describe();
  });

  it('refuses one cluster under two addresses, unless that is accepted, and one place always', async () => {
    const { cluster, rootToken } = shared().clusters.north;
    const port = String(cluster.peers[0]?.port);
    const again = { ca: cluster.caFile, peers: [{ name: 'x', address: `https://localhost:${port}` }] };
    const south = { ...again, auth: { method: 'token-file', file: 'north.token' } };
    await shared().describe({ clusters: { south }, nodes: { south: { mount: 'mpc-south' } } });
    const refused = await setup('--yes');
    expect(errorCode(refused), refused.stderr).toBe('policy');
    const accepted = await setup('--yes', '--accept-shared-root');
    expect(accepted.status, accepted.stderr).toBe(0);
    expect(accepted.stdout).toContain('north and south share a cluster');
    const report = await shared().json(['shares', 'status', 'treasury', '--accept-shared-root']);
    expect(report.value).toMatchObject({ sharedRoot: [['north', 'south']] });
    expect(errorCode(await shared().run(['shares', 'status', 'treasury']))).toBe('policy');
    const same = { cluster: 'north' };
    await shared().describe({ nodes: { south: same }, wallet: { 'accept-shared-root': true } });
    expect(errorCode(await setup('--check'))).toBe('policy');
    await callPeer(cluster, 0, 'POST', 'sys/namespaces/inner', { token: rootToken });
    await shared().describe({
      nodes: { south: { ...same, namespace: 'inner' } },
      wallet: { 'accept-shared-root': true },
    });
    const inner = await setup('--yes', '--node', 'south');
    expect(inner.status, inner.stderr).toBe(0);
    const there = await callPeer(cluster, 0, 'GET', 'sys/mounts/mpc', { token: rootToken, namespace: 'inner' });
    expect(there.status).toBe(200);
    await shared().describe();
  });

  it.skipIf(vaultBinary() === undefined)('refuses a server that ignores the namespace', async () => {
    const { cluster, rootToken } = await initialisedCluster({ peers: 1, flavour: 'vault' });
    await writeFile(join(shared().folder, 'vault.token'), rootToken, { mode: 0o600 });
    const south = {
      ca: cluster.caFile,
      auth: { method: 'token-file', file: 'vault.token' },
      peers: [{ name: 'south', address: cluster.peers[0]?.address }],
    };
    await shared().describe({ clusters: { south }, nodes: { south: { namespace: 'mpc' } } });
    expect(errorCode(await setup('--yes', '--accept-shared-root'))).toBe('server-unsupported');
    const mounts = await callPeer(cluster, 0, 'GET', 'sys/mounts/mpc', { token: rootToken });
    expect(mounts.status).toBe(400);
    await shared().describe({ clusters: { south } });
    const made = await setup('--yes', '--node', 'south');
    expect(made.status, made.stderr).toBe(0);
    expect((await setup('--check', '--node', 'south')).status).toBe(0);
    await shared().describe();
  });
});

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ThrowawayCluster } from '../../../src/rehearsal/cluster.ts';
import { DEFAULT_POLICY } from '../../../src/connect-cluster.ts';
import { CEREMONY_POLICY, type Crew, initScriptText, peersOf, prepareCeremony } from '../../support/ceremony.ts';
import { expectComplete } from '../../support/completion.ts';
import { callPeer, freshCluster, temporaryFolder } from '../../support/cluster.ts';
import { madeUpCustodians } from '../../support/custodians.ts';
import { at } from '../../support/http.ts';
import { vaultBinary } from '../../support/vault-binary.ts';

let crew: Crew;

beforeAll(async () => {
  crew = await madeUpCustodians('Alice', 'Bo', 'Cleo', 'Erin');
});

async function initialise(cluster: ThrowawayCluster, changes: Record<string, unknown> = {}): Promise<string> {
  const folder = await temporaryFolder();
  const script = initScriptText(crew, changes);
  const ceremony = await prepareCeremony({ folder, peers: peersOf(cluster), crew, script });
  const outcome = await ceremony.start();
  return outcome.folder;
}

describe('init', () => {
  it('takes three peers of OpenBao from nothing to an unsealed cluster without a root token', async () => {
    const cluster = await freshCluster();
    const folder = await initialise(cluster);
    const events = await expectComplete(cluster, crew, folder);
    expect(events.filter(({ event }) => event === 'share.proved')).toHaveLength(3);
    const accepted = events.filter((one) => one.event === 'share.accepted');
    expect(new Set(accepted.map(({ peer }) => peer)).size).toBe(3);
    for (const name of ['init-reply.json', 'issued/alice.pgp', 'issued/root-token.pgp', 'roster.yaml']) {
      expect((await stat(join(folder, name))).mode & 0o777, name).toBe(0o600);
    }
    expect(events.find((one) => one.event === 'check' && one.code === 'root-tokens')).toMatchObject({ ok: true });
    const roster = await readFile(join(folder, 'roster.yaml'), 'utf8');
    expect(roster).toContain('seal: shamir');
  });

  it('leaves a login with a password, when the script wants that', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const folder = await initialise(cluster, {
      'first-writes': [
        { path: 'sys/auth/people', data: { type: 'userpass' } },
        { path: 'sys/policies/acl/ceremony', data: { policy: CEREMONY_POLICY } },
      ],
      'ceremony-login': { method: 'userpass', mount: 'people', username: 'erin', policies: ['ceremony'] },
    });
    const events = await expectComplete(cluster, crew, folder);
    expect(events.find(({ event }) => event === 'login')).toMatchObject({ method: 'userpass', mount: 'people' });
    const login = { body: { password: 'a rehearsal only' } };
    const reply = await callPeer(cluster, 0, 'POST', 'auth/people/login/erin', login);
    expect(at(reply.body, 'auth', 'policies')).toContain('ceremony');
    expect(await readFile(join(folder, 'record.jsonl'), 'utf8')).not.toContain('a rehearsal only');
  });

  it('issues recovery shares under a seal that opens by itself', async () => {
    const key = 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=';
    const seal = `seal "static" {\n  current_key_id = "one"\n  current_key = "${key}"\n}`;
    const cluster = await freshCluster({ seal });
    const folder = await initialise(cluster);
    const events = await expectComplete(cluster, crew, folder);
    expect(events.some(({ event }) => event === 'share.accepted')).toBe(false);
    expect(events.find(({ event }) => event === 'capability.proved')).toMatchObject({
      request: expect.stringContaining('rotate/recovery') as string,
    });
    expect(await readFile(join(folder, 'roster.yaml'), 'utf8')).toContain('seal: recovery');
    await cluster.restart(0);
  });

  it('takes a single custodian where the policy does', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const folder = await temporaryFolder();
    const [alice, erin] = [crew[0], crew[3]];
    if (alice === undefined || erin === undefined) throw new Error('nobody is there');
    const pair = [alice, erin];
    const ceremony = await prepareCeremony({
      folder,
      peers: peersOf(cluster),
      crew: pair,
      script: initScriptText(pair, { threshold: 1 }),
      setting: {
        policy: { ...DEFAULT_POLICY, 'smallest-threshold': 1, 'shortest-key-validity-days': 0 },
      },
    });
    const outcome = await ceremony.start();
    await expectComplete(cluster, pair, outcome.folder);
  });
});

describe.skipIf(vaultBinary() === undefined)('init of HashiCorp Vault', () => {
  const WRITES = [
    { path: 'sys/audit/file', data: { type: 'file', options: { file_path: 'audit.log' } } },
    { path: 'sys/auth/approle', data: { type: 'approle' } },
    {
      path: 'sys/policies/acl/ceremony',
      data: {
        policy: `path "sys/rekey/*" { capabilities = ["create", "read", "update", "delete", "sudo"] }
path "sys/generate-root/*" { capabilities = ["create", "read", "update", "delete", "sudo"] }
path "auth/token/accessors" { capabilities = ["list", "sudo"] }
path "auth/token/accessors/" { capabilities = ["list", "sudo"] }
path "auth/token/lookup-accessor" { capabilities = ["create", "update"] }
`,
      },
    },
  ];

  it.each([1, 3])('enables the audit device first, and proves the way back by rekey, with %i peers', async (peers) => {
    const cluster = await freshCluster({ flavour: 'vault', peers });
    const folder = await initialise(cluster, { 'first-writes': WRITES });
    const events = await expectComplete(cluster, crew, folder);
    expect(events.filter((one) => one.event === 'capability.proved').map(({ request }) => request)).toEqual([
      'PUT and DELETE sys/rekey/init',
      'PUT and DELETE sys/generate-root/attempt',
    ]);
    expect(events.find((one) => one.event === 'check' && one.code === 'audit')).toMatchObject({ ok: true });
  });

  it('stops, and keeps the root token, when no audit device is there', async () => {
    const cluster = await freshCluster({ flavour: 'vault', peers: 1 });
    await expect(initialise(cluster, { 'first-writes': WRITES.slice(1) })).rejects.toMatchObject({
      code: 'preflight-failed',
    });
  });
});

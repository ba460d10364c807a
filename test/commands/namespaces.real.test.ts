import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { renderRoster } from '../../src/ceremony/roster/roster.ts';
import { renderYaml } from '../../src/document.ts';
import { callPeer, type LiveCluster, sharedCluster, temporaryFolder } from '../support/cluster.ts';
import { at } from '../support/http.ts';
import { callSeal, type LiveNamespace, makeNamespace, rosterIn, sealedOn } from '../support/namespaces.ts';
import { type Ended, errorCode, quorate } from '../support/quorate.ts';
import { rosterOf } from '../support/rotation.ts';
import { vaultBinary } from '../support/vault-binary.ts';

const HOLDERS = ['Alice', 'Bo', 'Cleo'];

/** What the README gives a ceremony login for a namespace, with the rules for the cluster that its ceremonies need. */
const POLICY = `
path "sys/namespaces/team" { capabilities = ["create", "read", "update"] }
path "sys/namespaces/team/*" { capabilities = ["read", "update"] }
path "team/sys/rotate/root/*" { capabilities = ["create", "read", "update", "delete"] }
path "team/sys/rotate/recovery/*" { capabilities = ["read"] }
path "team/sys/generate-root-token/*" { capabilities = ["create", "read", "update", "delete"] }
path "team/sys/rekey/*" { capabilities = ["read"] }
path "team/sys/key-status" { capabilities = ["read"] }
path "quorate/data/ceremony-lock" { capabilities = ["create", "read", "update"] }
path "sys/storage/raft/autopilot/state" { capabilities = ["read"] }
path "sys/audit" { capabilities = ["read", "sudo"] }
`;

async function desk(live: LiveCluster, namespaces: readonly Readonly<Record<string, string>>[]): Promise<string> {
  const folder = await temporaryFolder();
  const peers = live.cluster.peers.map(({ name, address }) => ({ name, address }));
  const clusters = { test: { peers, ca: live.cluster.caFile, namespaces } };
  await writeFile(join(folder, 'quorate.yaml'), renderYaml({ clusters }));
  return folder;
}

describe('commands in a namespace', () => {
  const shared = sharedCluster({ peers: 1 });
  let team: LiveNamespace;
  let folder: string;
  let token: string;
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
    quorate(args, { cwd: folder, env: { BAO_TOKEN: token, ...env } });

  beforeAll(async () => {
    const live = shared();
    await rosterOf(live, HOLDERS);
    team = await makeNamespace(live, 'team', false);
    await callPeer(live.cluster, 0, 'POST', 'sys/namespaces/plain', { token: live.rootToken, body: {} });
    folder = await desk(live, [{ path: 'team', roster: 'team.yaml' }]);
    await writeFile(join(folder, 'team.yaml'), renderRoster(rosterIn(team, HOLDERS)));
    await mkdir(join(folder, 'shares'));
    for (const [index, text] of team.shares.entries()) {
      await writeFile(join(folder, `shares/${index.toString()}`), text, { mode: 0o600 });
    }
    const asked = { token: live.rootToken };
    await callPeer(live.cluster, 0, 'PUT', 'sys/policies/acl/ceremony', { ...asked, body: { policy: POLICY } });
    const made = await callPeer(live.cluster, 0, 'POST', 'auth/token/create', {
      ...asked,
      body: { policies: ['ceremony'], ttl: '1h' },
    });
    token = String(at(made.body, 'auth', 'client_token'));
  });

  const shares = ['--share-file', 'shares/0', '--share-file', 'shares/1'];

  it('status tells of it, with a token, and counts one that nobody can ask for as not ready', async () => {
    const told = await run(['status', '--format', 'json']);
    expect(told.status).toBe(3);
    expect(JSON.parse(told.stdout)).toMatchObject({
      peers: [{ state: 'active' }],
      namespaces: [{ name: 'team', peers: [{ state: 'sealed', seal: { threshold: 2, shares: 3 } }] }],
    });
    const mute = await run(['status', '--format', 'json'], { BAO_TOKEN: '', HOME: folder });
    expect(mute.status).toBe(3);
    expect(JSON.parse(mute.stdout)).toMatchObject({
      namespaces: [{ peers: [{ state: 'unreachable', fault: { code: 'token-missing' } }] }],
    });
  });

  it('unseal opens it by its own roster, and status is content then', async () => {
    const wrong = await run(['unseal', '--namespace', 'team', '--share-file', 'shares/0', '--share-file', 'shares/0']);
    expect(errorCode(wrong)).toBe('share-duplicate');
    const opened = await run(['unseal', '--namespace', '/team/', ...shares, '--format', 'json']);
    expect(opened.status, opened.stderr).toBe(0);
    expect(JSON.parse(opened.stdout)).toMatchObject({ namespaces: [{ name: 'team', peers: [{ state: 'active' }] }] });
    expect((await run(['status'])).status).toBe(0);
  });

  it("the environment's namespace counts: a drill there proves its custodians", async () => {
    const drilled = await run(['drill', ...shares, '--format', 'json'], { BAO_NAMESPACE: 'team' });
    expect(drilled.status, drilled.stderr).toBe(0);
    await writeFile(join(folder, 'drill.yaml'), renderYaml({ ceremony: 'drill', title: 'A drill', cluster: 'test' }));
    const other = await run(['ceremony', 'run', 'drill.yaml', ...shares], { BAO_NAMESPACE: 'team' });
    expect([other.status, errorCode(other)]).toEqual([1, 'usage']);
  });

  it('one without a seal of its own is never sealed: the server would say yes, and take its mounts away', async () => {
    const root = { BAO_TOKEN: shared().rootToken };
    const refused = await run(['seal', '--namespace', 'plain', '--without-quorum', '--accept', 'reachable'], root);
    expect([refused.status, errorCode(refused)]).toEqual([2, 'server-unsupported']);
    const mounts = { token: shared().rootToken, namespace: 'plain' };
    expect((await callPeer(shared().cluster, 0, 'GET', 'sys/mounts', mounts)).status).toBe(200);
    // What quorate does not do.
    expect((await callSeal(shared(), 'plain', 'PUT', '/seal')).status).toBe(204);
    expect((await callPeer(shared().cluster, 0, 'GET', 'sys/mounts', mounts)).status).toBe(404);
  });

  it('a lab creates one without OpenPGP keys, from flags', async () => {
    const custodians = ['A', 'B', 'C'].flatMap((name) => ['--custodian', name]);
    const made = await run(
      ['init', '--namespace', 'lab', '--insecure-plain-shares', '--threshold', '2', ...custodians],
      {
        BAO_TOKEN: shared().rootToken,
      },
    );
    expect(made.status, made.stderr).toBe(0);
    expect(await sealedOn({ ...shared(), path: 'lab' })).toEqual([false]);
  });
});

describe.skipIf(vaultBinary() === undefined)('commands in a namespace of HashiCorp Vault', () => {
  const shared = sharedCluster({ flavour: 'vault', peers: 1 });

  it('are refused: it would act in the root namespace', async () => {
    const folder = await desk(shared(), []);
    for (const args of [['seal', '--without-quorum'], ['unseal'], ['drill'], ['rotate-keyring']]) {
      const refused = await quorate([...args, '--namespace', 'team'], {
        cwd: folder,
        env: { BAO_TOKEN: shared().rootToken },
      });
      expect([args[0], refused.status, errorCode(refused)]).toEqual([args[0], 2, 'server-unsupported']);
    }
    expect(at((await callPeer(shared().cluster, 0, 'GET', 'sys/seal-status')).body, 'sealed')).toBe(false);
  });
});

import { cp, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { renderYaml } from '../../src/document.ts';
import { callPeer, type LiveCluster, sharedCluster, temporaryFolder } from '../support/cluster.ts';
import { lastRecord } from '../support/desk.ts';
import { at } from '../support/http.ts';
import { callSeal, sealedOn, writeNamespacePolicy } from '../support/namespaces.ts';
import { type Ended, errorCode, quorate } from '../support/quorate.ts';
import { ceremonyToken } from '../support/quorum.ts';
import { vaultBinary } from '../support/vault-binary.ts';

async function desk(live: LiveCluster, namespaces: readonly Readonly<Record<string, string>>[]): Promise<string> {
  const folder = await temporaryFolder();
  const peers = live.cluster.peers.map(({ name, address }) => ({ name, address }));
  const clusters = { test: { peers, ca: live.cluster.caFile, namespaces } };
  await writeFile(join(folder, 'quorate.yaml'), renderYaml({ clusters }));
  return folder;
}

describe('commands in a namespace', () => {
  const shared = sharedCluster({ peers: 1 });
  let folder: string;
  let token: string;
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
    quorate(args, { cwd: folder, env: { BAO_TOKEN: token, ...env } });
  const sealed = (): Promise<readonly boolean[]> => sealedOn({ ...shared(), path: 'team/a' });
  const lock = (data?: Readonly<Record<string, string>>): ReturnType<typeof callPeer> =>
    callPeer(shared().cluster, 0, data === undefined ? 'GET' : 'POST', 'quorate/data/ceremony-lock', {
      token: shared().rootToken,
      ...(data === undefined ? {} : { body: { data } }),
    });

  beforeAll(async () => {
    const live = shared();
    await ceremonyToken(live);
    for (const plain of ['team', 'plain']) await callSeal(live, plain, 'POST', '', { body: {} });
    folder = await desk(live, [{ path: 'team/a', roster: 'team.yaml' }]);
    // What the README gives a login that is not root, and nothing more.
    const policies = ['ceremony', await writeNamespacePolicy(live, 'team/a')];
    const body = { policies, ttl: '1h' };
    const made = await callPeer(live.cluster, 0, 'POST', 'auth/token/create', { token: live.rootToken, body });
    token = String(at(made.body, 'auth', 'client_token'));
  });

  const custodians = ['A', 'B', 'C'].flatMap((name) => ['--custodian', name]);
  const init = ['init', '--namespace', 'team/a', '--insecure-plain-shares', '--threshold', '2', ...custodians];
  const shares = ['--share-file', 'shares/a', '--share-file', 'shares/b'];

  it('a lab creates one without OpenPGP keys, from flags, while no other ceremony holds the lock', async () => {
    await lock({ ceremony: 'another', kind: 'drill', who: 'Erin', nonce: '' });
    const refused = await run(init);
    expect([errorCode(refused), refused.stderr.includes('another ceremony holds the lock')]).toEqual([
      'preflight-failed',
      true,
    ]);
    expect((await callSeal(shared(), 'team/a', 'GET', '')).status).not.toBe(200);
    // It may be taken over only while nothing is under way, in the root neither.
    const taking = [...init, '--format', 'json', '--accept', 'lock', '--reason', 'Erin is gone'];
    const asked = { token: shared().rootToken };
    const drill = { secret_shares: 1, secret_threshold: 1, require_verification: true };
    await callPeer(shared().cluster, 0, 'PUT', 'sys/rotate/root/init', { ...asked, body: drill });
    expect(errorCode(await run(taking))).toBe('ceremony-locked');
    await callPeer(shared().cluster, 0, 'DELETE', 'sys/rotate/root/init', asked);
    const made = await run(taking);
    expect(made.status, made.stderr).toBe(0);
    expect(await sealed()).toEqual([false]);
    const { folder: record, lines } = await lastRecord(folder);
    const began = lines.flatMap((one) => (one.event === 'step.started' ? [one.id] : []));
    expect([began[0], began.at(-1)]).toEqual(['lock', 'unlock']);
    expect(at((await lock()).body, 'data', 'data', 'ceremony')).toBe('');
    await cp(join(record, 'issued'), join(folder, 'shares'), { recursive: true });
    for (const name of await readdir(join(folder, 'shares'))) {
      await rename(join(folder, 'shares', name), join(folder, 'shares', name.replace('.share', '').toLowerCase()));
    }
  });

  it('it is sealed; status tells so, with a token, and counts one that nobody can ask for as not ready', async () => {
    const shut = await run(['seal', '--namespace', 'team/a', ...shares]);
    expect(shut.status, shut.stderr).toBe(0);
    expect(await sealed()).toEqual([true]);
    const told = await run(['status', '--format', 'json']);
    expect(told.status).toBe(3);
    expect(JSON.parse(told.stdout)).toMatchObject({
      peers: [{ state: 'active' }],
      namespaces: [{ name: 'team/a', peers: [{ state: 'sealed', seal: { threshold: 2, shares: 3 } }] }],
    });
    const mute = await run(['status', '--format', 'json'], { BAO_TOKEN: '', HOME: folder });
    expect(mute.status).toBe(3);
    expect(JSON.parse(mute.stdout)).toMatchObject({
      namespaces: [{ peers: [{ state: 'unreachable', fault: { code: 'token-missing' } }] }],
    });
  });

  it('unseal opens it by its own roster, and status is content then', async () => {
    const twice = ['--share-file', 'shares/a', '--share-file', 'shares/a'];
    expect(errorCode(await run(['unseal', '--namespace', 'team/a', ...twice]))).toBe('share-duplicate');
    const opened = await run(['unseal', '--namespace', '/team/a/', ...shares, '--format', 'json']);
    expect(opened.status, opened.stderr).toBe(0);
    expect(JSON.parse(opened.stdout)).toMatchObject({ namespaces: [{ name: 'team/a', peers: [{ state: 'active' }] }] });
    expect((await run(['status'])).status).toBe(0);
  });

  it("the environment's namespace counts: a drill there proves its custodians", async () => {
    const drilled = await run(['drill', ...shares, '--format', 'json'], { BAO_NAMESPACE: 'team/a' });
    expect(drilled.status, drilled.stderr).toBe(0);
    await writeFile(join(folder, 'drill.yaml'), renderYaml({ ceremony: 'drill', title: 'A drill', cluster: 'test' }));
    const keyring = await run(['rotate-keyring'], { BAO_NAMESPACE: 'team/a' });
    expect(keyring.status, keyring.stderr).toBe(0);
    const other = await run(['ceremony', 'run', 'drill.yaml', ...shares], { BAO_NAMESPACE: 'team/a' });
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

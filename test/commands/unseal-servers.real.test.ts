import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { baoBinary } from '../support/bao-binary.ts';
import { callPeer, freshCluster, initialise, reseal, temporaryFolder, unsealAll } from '../support/cluster.ts';
import { layDesk } from '../support/desk.ts';
import { gnupgHome } from '../support/gnupg.ts';
import { at } from '../support/http.ts';
import { errorCode, quorate } from '../support/quorate.ts';
import { OPEN, SEALED, standings } from '../support/sealed.ts';
import { vaultBinary } from '../support/vault-binary.ts';
import { waitUntil } from '../support/wait.ts';

const run = promisify(execFile);

async function shareFiles(folder: string, shares: readonly string[]): Promise<string[]> {
  const args: string[] = [];
  for (const [index, share] of shares.entries()) {
    await writeFile(join(folder, `share-${index.toString()}`), share, { mode: 0o600 });
    args.push('--share-file', `share-${index.toString()}`);
  }
  return args;
}

describe.each(['openbao', 'vault'] as const)('%s', (flavour) => {
  it.skipIf(flavour === 'vault' && vaultBinary() === undefined)('one server that no config describes', async () => {
    const cluster = await freshCluster({ flavour, peers: 1 });
    const folder = await temporaryFolder();
    const address = cluster.peers[0]?.address ?? '';
    const before = await quorate(['unseal', '--address', address, '--ca', cluster.caFile], { cwd: folder });
    expect([before.status, errorCode(before)]).toEqual([3, 'not-initialised']);
    const live = await initialise(cluster, { shares: 3, threshold: 2 });
    const args = await shareFiles(folder, live.shares.slice(0, 2));
    const first = await quorate(['unseal', '--address', address, '--ca', cluster.caFile, ...args], { cwd: folder });
    expect([first.status, await standings(live)]).toEqual([0, [OPEN]]);
    await reseal(live);
    const name = flavour === 'vault' ? 'VAULT' : 'BAO';
    const env = { [`${name}_ADDR`]: address, [`${name}_CACERT`]: cluster.caFile };
    const second = await quorate(['unseal', ...args], { cwd: folder, env });
    expect([second.status, await standings(live)]).toEqual([0, [OPEN]]);
    expect((await quorate(['status'], { cwd: folder, env })).status).toBe(0);
    await cluster.remove();
  });

  it.skipIf(flavour === 'vault' && vaultBinary() === undefined)('the only share of a 1 of 1', async () => {
    const cluster = await freshCluster({ flavour, peers: 1 });
    const folder = await temporaryFolder();
    const live = await initialise(cluster, { shares: 1, threshold: 1 });
    const server = ['--address', cluster.peers[0]?.address ?? '', '--ca', cluster.caFile];
    const wrong = await shareFiles(folder, [randomBytes(32).toString('hex')]);
    const refused = await quorate(['unseal', ...server, ...wrong], { cwd: folder });
    expect([refused.status, errorCode(refused), await standings(live)]).toEqual([5, 'shares-wrong', [SEALED]]);
    const right = await shareFiles(folder, live.shares);
    expect((await quorate(['unseal', ...server, ...right], { cwd: folder })).status).toBe(0);
    expect(await standings(live)).toEqual([OPEN]);
    await cluster.remove();
  });

  it.skipIf(flavour === 'vault' && vaultBinary() === undefined)('three peers after a restart', async () => {
    const cluster = await freshCluster({ flavour });
    const live = await initialise(cluster, { shares: 3, threshold: 2 });
    await unsealAll(live);
    await reseal(live);
    const folder = await temporaryFolder();
    const peers = cluster.peers.map(({ name, address }) => ({ name, address }));
    await layDesk(folder, { prod: { peers, ca: cluster.caFile } });
    const ended = await quorate(['unseal', ...(await shareFiles(folder, live.shares.slice(1)))], { cwd: folder });
    expect([ended.status, await standings(live)]).toEqual([0, [OPEN, OPEN, OPEN]]);
    await cluster.remove();
  });
});

describe('a cluster that its seal opens', () => {
  it('and whose seal has another key since: no share helps, and none is asked for', async () => {
    const key = (): string => randomBytes(32).toString('base64');
    const seal = (text: string): string => `seal "static" {\n  current_key_id = "one"\n  current_key = "${text}"\n}`;
    const first = key();
    const cluster = await freshCluster({ peers: 1, seal: seal(first) });
    const body = { recovery_shares: 1, recovery_threshold: 1 };
    const reply = await callPeer(cluster, 0, 'PUT', 'sys/init', { body });
    const recovery = String(at(reply.body, 'recovery_keys', 0));
    const [peer] = cluster.peers;
    if (peer === undefined) throw new Error('there is no peer');
    await cluster.stop('SIGTERM');
    const config = join(peer.folder, 'server.hcl');
    const [right, wrong] = [seal(first), seal(key())];
    await writeFile(config, (await readFile(config, 'utf8')).replace(right, wrong));
    await cluster.start(0);
    const folder = await temporaryFolder();
    const args = ['unseal', '--address', peer.address, '--ca', cluster.caFile];
    const ended = await quorate([...args, ...(await shareFiles(folder, [recovery]))], { cwd: folder });
    expect([ended.status, errorCode(ended)]).toEqual([3, 'not-ready']);
    expect(ended.stderr).toContain('static');
    expect(await standings({ cluster })).toEqual([SEALED]);
    // With its own key it opens itself, and then there is nothing left to do.
    await cluster.stop('SIGTERM');
    await writeFile(config, (await readFile(config, 'utf8')).replace(wrong, right));
    await cluster.start(0);
    await waitUntil('the seal has opened the peer', async () => (await standings({ cluster }))[0]?.sealed === false);
    expect((await quorate(args, { cwd: folder })).status).toBe(0);
    await cluster.remove();
  });
});

describe('other ways to the same shares', () => {
  it('`bao operator unseal` takes what `quorate custodian decrypt` and gpg alone give', async () => {
    const home = await gnupgHome();
    const key = await home.generate('Alice', 'ed25519', 'sign,cert');
    await home.addSubkey(key, 'cv25519', 'encr');
    const other = await home.generate('Bo', 'ed25519', 'sign,cert');
    await home.addSubkey(other, 'cv25519', 'encr');
    const cluster = await freshCluster({ peers: 1 });
    const keys = await Promise.all([key, other].map(async (one) => (await home.exportKey(one)).toString('base64')));
    const body = { secret_shares: 2, secret_threshold: 2, pgp_keys: keys };
    const reply = await callPeer(cluster, 0, 'PUT', 'sys/init', { body });
    const folder = await temporaryFolder();
    for (const index of [0, 1]) {
      const issued = Buffer.from(String(at(reply.body, 'keys_base64', index)), 'base64');
      await writeFile(join(folder, `${index.toString()}.pgp`), issued);
    }
    const byQuorate = await quorate(['custodian', 'decrypt', '0.pgp'], { cwd: folder, env: { GNUPGHOME: home.path } });
    expect(byQuorate.status).toBe(0);
    const byGpg = (await home.gpg('--decrypt', join(folder, '1.pgp'))).toString();
    for (const share of [byQuorate.stdout, byGpg]) {
      await run(await baoBinary(), ['operator', 'unseal', share.trim()], {
        env: { BAO_ADDR: cluster.peers[0]?.address ?? '', BAO_CACERT: cluster.caFile, HOME: folder },
      });
    }
    expect(await standings({ cluster })).toEqual([OPEN]);
    await home.remove();
    await cluster.remove();
  });
});

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { initScriptText, peersOf, prepareCeremony } from '../support/ceremony.ts';
import {
  callPeer,
  freshCluster,
  initialisedCluster,
  leaderIndex,
  type LiveCluster,
  temporaryFolder,
  unsealAll,
} from '../support/cluster.ts';
import { expectComplete } from '../support/completion.ts';
import { madeUpCustodians } from '../support/custodians.ts';
import { codeOf } from '../support/errors.ts';
import { at } from '../support/http.ts';
import { ceremonyToken, quorumCeremony, rootAccessors } from '../support/quorum.ts';
import { rosterOf } from '../support/quorum-ceremony.ts';
import { planOf } from '../support/root-token.ts';
import { waitUntil } from '../support/wait.ts';

describe('when all root tokens are gone (L10)', () => {
  /** A cluster whose root token was revoked, and a token of the login that the shipped init script leaves. */
  async function rootless(): Promise<{ readonly live: LiveCluster; readonly token: string }> {
    const live = await initialisedCluster({ peers: 1 });
    await ceremonyToken(live);
    const body = { policies: ['ceremony'], ttl: '1h' };
    const made = await callPeer(live.cluster, 0, 'POST', 'auth/token/create-orphan', { token: live.rootToken, body });
    const token = String(at(made.body, 'auth', 'client_token'));
    await callPeer(live.cluster, 0, 'POST', 'auth/token/revoke-self', { token: live.rootToken });
    return { live, token };
  }

  it('the ceremony login that is shipped leads back in, and leaves none again', async () => {
    const { live, token } = await rootless();
    const script = planOf('way-back');
    const ceremony = await quorumCeremony({
      peers: peersOf(live.cluster),
      token,
      script,
      givers: live.shares.slice(0, 2),
      setting: { roster: rosterOf(live) },
    });
    await ceremony.start();
    expect(await rootAccessors({ ...live, rootToken: token })).toHaveLength(0);
    const written = await callPeer(live.cluster, 0, 'GET', 'sys/policies/acl/way-back', { token });
    expect(written.status).toBe(200);
  });

  it('and without that login, the listener can be told to let the shares make one without any token', async () => {
    const { live } = await rootless();
    const attempt = () => callPeer(live.cluster, 0, 'PUT', 'sys/generate-root/attempt', { body: {} });
    expect((await attempt()).status).toBe(405);
    const file = join(live.cluster.peers[0]?.folder ?? '', 'server.hcl');
    const config = await readFile(file, 'utf8');
    const flag = 'disable_unauthed_generate_root_endpoints = false';
    await writeFile(file, config.replace('listener "tcp" {', `listener "tcp" {\n  ${flag}`));
    await live.cluster.restart(0);
    await unsealAll(live);
    const started = await attempt();
    expect(started.status).toBe(200);
    const { nonce, otp } = started.body as { nonce: string; otp: string };
    let encoded: unknown;
    for (const key of live.shares.slice(0, 2)) {
      const reply = await callPeer(live.cluster, 0, 'PUT', 'sys/generate-root/update', { body: { key, nonce } });
      encoded = at(reply.body, 'encoded_token');
    }
    const mixed = Buffer.from(String(encoded), 'base64');
    const rootToken = Buffer.from(mixed.map((byte, index) => byte ^ (otp.charCodeAt(index) & 0xff))).toString();
    expect(await rootAccessors({ ...live, rootToken })).toHaveLength(1);
  });
});

describe('two inits at once (L8)', () => {
  it('never both complete: the peers are compared before anything depends on them', async () => {
    const crew = await madeUpCustodians('Alice', 'Bo', 'Erin');
    const cluster = await freshCluster({ peers: 2 });
    const ceremonies = await Promise.all(
      [peersOf(cluster), peersOf(cluster).toReversed()].map(async (peers) =>
        prepareCeremony({ folder: await temporaryFolder(), peers, crew, script: initScriptText(crew) }),
      ),
    );
    const codes = await Promise.all(ceremonies.map((ceremony) => codeOf(ceremony.start())));
    const done = codes.filter((code) => code === 'nothing was thrown');
    expect(done.length, codes.join(', ')).toBeLessThanOrEqual(1);
    const stopped = codes.filter((code) => code !== 'nothing was thrown');
    for (const code of stopped) {
      expect(['cluster-mismatch', 'preflight-failed', 'init-reply-lost', 'not-ready', 'already-initialised']).toContain(
        code,
      );
    }
    // Whoever wiped the peer that went its own way goes on with the first ceremony.
    if (done.length > 0) return;
    await cluster.kill(1);
    await cluster.wipe(1);
    await cluster.start(1);
    await ceremonies[0]?.resume();
    await expectComplete(cluster, crew, ceremonies[0]?.folder ?? '');
  });
});

describe('audit stanzas that differ (L11)', () => {
  it('leave nobody to lead after a fail-over: quorate says so, changes nothing, and works once they are the same', async () => {
    const live = await initialisedCluster({ peers: 3, voters: true });
    const token = await ceremonyToken(live);
    const leader = (await leaderIndex(live.cluster)) ?? 0;
    const others = [0, 1, 2].filter((index) => index !== leader);
    const stanzas = async (from: string, to: string): Promise<void> => {
      for (const index of others) {
        const file = join(live.cluster.peers[index]?.folder ?? '', 'server.hcl');
        await writeFile(file, (await readFile(file, 'utf8')).replace(from, to));
        await live.cluster.restart(index);
      }
      await unsealAll(live);
    };
    await stanzas('file_path = "audit.log"', 'file_path = "other.log"');
    await live.cluster.kill(leader);
    const ceremony = await quorumCeremony({
      peers: peersOf(live.cluster),
      token,
      script: planOf('after-fail-over'),
      givers: [],
      setting: { roster: rosterOf(live) },
    });
    const code = await codeOf(ceremony.start());
    expect(['preflight-failed', 'not-ready', 'server-unreachable', 'sealed']).toContain(code);
    expect(ceremony.asked).toEqual([]);
    await live.cluster.start(leader);
    await stanzas('file_path = "other.log"', 'file_path = "audit.log"');
    await waitUntil('a peer leads again', () => leaderIndex(live.cluster));
    const again = await quorumCeremony({
      peers: peersOf(live.cluster),
      token,
      script: planOf('after-fail-over'),
      givers: live.shares.slice(0, 2),
      setting: { roster: rosterOf(live) },
    });
    await again.start();
  });
});

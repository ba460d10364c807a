import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { LiveCluster } from '../../support/cluster.ts';
import { callPeer, leaderIndex, sharedCluster } from '../../support/cluster.ts';
import { peersOf } from '../../support/ceremony.ts';
import { eventsOf } from '../../support/completion.ts';
import { type Fault, startCuttingProxy } from '../../support/cutting-proxy.ts';
import { codeOf } from '../../support/errors.ts';
import { at } from '../../support/http.ts';
import { attemptOf, ceremonyToken, quorumCeremony, rootAccessors } from '../../support/quorum.ts';
import {
  type Giver,
  HOLDERS,
  type QuorumCeremony,
  type QuorumOptions,
  rosterOf,
} from '../../support/quorum-ceremony.ts';
import { leadAgain, stepDown } from '../../support/rotation-faults.ts';
import { exists, expectClean, expectDone, planOf } from '../../support/root-token.ts';

describe('root-token on three peers of OpenBao', () => {
  const shared = sharedCluster();
  let live: LiveCluster;
  let token: string;
  let shares: readonly string[];
  const at3 = (index: number): string => shares[index] ?? '';

  beforeAll(async () => {
    live = shared();
    ({ shares } = live);
    token = await ceremonyToken(live);
  });

  function prepare(options: Partial<QuorumOptions> = {}): Promise<QuorumCeremony> {
    return quorumCeremony({
      peers: peersOf(live.cluster),
      token,
      script: planOf(),
      givers: [at3(0), at3(1)],
      setting: { roster: rosterOf(live) },
      ...options,
    });
  }

  async function leaderProxy(): ReturnType<typeof startCuttingProxy> {
    // A proxy stands in front of the first peer, which has to lead.
    const leader = (await leaderIndex(live.cluster)) ?? 0;
    return startCuttingProxy(live.cluster, leader);
  }

  /** The peers, with something else in front of the leader. */
  async function through(proxy: { readonly address: string }): Promise<ReturnType<typeof peersOf>> {
    const leader = (await leaderIndex(live.cluster)) ?? 0;
    const [first] = peersOf(live.cluster, proxy);
    const rest = peersOf(live.cluster).filter((_, index) => index !== leader);
    return first === undefined ? rest : [first, ...rest];
  }

  it('does the plan, and leaves no root token', async () => {
    const script = planOf();
    const ceremony = await prepare({ script });
    await ceremony.start();
    await expectDone(live, ceremony);
    expect(await exists(live, script)).toBe(true);
    const events = await eventsOf(ceremony.folder ?? '');
    const accepted = events.filter((one) => one.event === 'share.accepted');
    expect(accepted.map(({ who }) => who)).toEqual(HOLDERS.slice(0, 2));
    expect(events.filter(({ event }) => event === 'token.revoked')).toHaveLength(1);
    expect(ceremony.said.join('\n')).toContain('+ policy: path "app/*"');
  });

  it('refuses shares that are unknown, given twice or no shares, without burning the attempt', async () => {
    const foreign = `${at3(0).slice(0, 10)}${at3(0)[10] === 'a' ? 'b' : 'a'}${at3(0).slice(11)}`;
    const ceremony = await prepare({ givers: [foreign, 'no share', at3(0), at3(0), at3(2)] });
    await ceremony.start();
    await expectDone(live, ceremony);
    expect(ceremony.refused).toEqual(['share-unknown', 'share-invalid', 'share-duplicate']);
  });

  it('asks for all shares again when the set was wrong and no roster could tell', async () => {
    const wrong = `${at3(0).slice(0, 10)}${at3(0)[10] === 'a' ? 'b' : 'a'}${at3(0).slice(11)}`;
    const ceremony = await prepare({ givers: [wrong, at3(1), at3(0), at3(1)], setting: {} });
    await ceremony.start();
    await expectDone(live, ceremony);
    expect(ceremony.refused).toEqual(['shares-wrong']);
  });

  it('starts over when the attempt is cancelled by somebody, and when the leader steps down', async () => {
    const cancel = async (): Promise<string> => {
      const leader = (await leaderIndex(live.cluster)) ?? 0;
      await callPeer(live.cluster, leader, 'DELETE', 'sys/generate-root-token/attempt', { token: live.rootToken });
      return at3(1);
    };
    const stepDown = async (): Promise<string> => {
      const leader = (await leaderIndex(live.cluster)) ?? 0;
      await callPeer(live.cluster, leader, 'PUT', 'sys/step-down', { token: live.rootToken });
      return at3(2);
    };
    const ceremony = await prepare({ givers: [at3(0), cancel, at3(0), stepDown, at3(0), at3(1)] });
    await ceremony.start();
    await expectDone(live, ceremony);
    const events = await eventsOf(ceremony.folder ?? '');
    const restarts = events.filter((one) => one.event === 'exception' && one.decision.includes('started over'));
    expect(restarts).toHaveLength(2);
  });

  it('gives nothing to an attempt of somebody else, and cancels it only when told to', async () => {
    const asked: string[] = [];
    const ceremony = await prepare({
      givers: [
        at3(0),
        async () => {
          const leader = (await leaderIndex(live.cluster)) ?? 0;
          const options = { token: live.rootToken };
          await callPeer(live.cluster, leader, 'DELETE', 'sys/generate-root-token/attempt', options);
          await callPeer(live.cluster, leader, 'POST', 'sys/generate-root-token/attempt', { ...options, body: {} });
          return at3(1);
        },
      ],
      people: { acceptException: (question) => Promise.resolve(asked.push(question) > 1) },
    });
    expect(await codeOf(ceremony.start())).toBe('ceremony-locked');
    expect(asked.at(-1)).toContain('not of this ceremony');
    expect(at(await attemptOf(live), 'progress')).toBe(0);
    await ceremony.resume([at3(0), at3(1)]);
    await expectDone(live, ceremony);
  });

  it('tells what a peer that stopped leading may still hold; the next one offers to cancel it when it leads again', async () => {
    const first = (await leaderIndex(live.cluster)) ?? 0;
    const name = live.cluster.peers[first]?.name ?? '';
    const stepping = async (): Promise<string> => {
      await stepDown(live);
      return at3(1);
    };
    const ceremony = await prepare({
      givers: [at3(0), stepping, at3(0), at3(1)],
      // The peer that leads then may hold one of a test before.
      people: { acceptException: () => Promise.resolve(true) },
    });
    await ceremony.start();
    await expectDone(live, ceremony);
    const notes = (await eventsOf(ceremony.folder ?? '')).flatMap((one) => (one.event === 'note' ? [one.text] : []));
    const told = notes.find((text) => text.startsWith(`${name} stopped leading with a void attempt`));
    expect(told).toBeDefined();

    await leadAgain(live, first);
    const nonce = String(at(await attemptOf(live), 'nonce'));
    expect(told).toContain(nonce);
    const unasked = await prepare();
    expect(await codeOf(unasked.start())).toBe('preflight-failed');
    const asked: string[] = [];
    const next = await prepare({
      people: { acceptException: (question) => Promise.resolve(asked.push(question) > 0) },
    });
    await next.start();
    await expectDone(live, next);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toContain(`${name} holds the generation of a root token (nonce ${nonce}, progress 1)`);
  });

  it('cancels its own attempt that comes alive before its end', async () => {
    const first = (await leaderIndex(live.cluster)) ?? 0;
    const stepping = async (): Promise<string> => {
      await stepDown(live);
      return at3(1);
    };
    const ceremony = await prepare({
      script: { ...planOf(), people: [{ before: 'compare', say: 'The first leader leads again.' }] },
      givers: [at3(0), stepping, at3(0), at3(1)],
      people: { act: () => leadAgain(live, first).then(() => ({})), acceptException: () => Promise.resolve(true) },
    });
    await ceremony.start();
    await expectDone(live, ceremony);
    const notes = (await eventsOf(ceremony.folder ?? '')).flatMap((one) => (one.event === 'note' ? [one.text] : []));
    expect(notes.some((text) => text.startsWith("cancelled this ceremony's own attempt"))).toBe(true);
    expect(notes.some((text) => text.includes('stopped leading with a void attempt'))).toBe(false);
  });

  it('cancels the attempt when nobody gives another share, and is resumed', async () => {
    const ceremony = await prepare({ givers: [at3(0)] });
    expect(await codeOf(ceremony.start())).toBe('ceremony-interrupted');
    await expectClean(live);
    await ceremony.resume([at3(1), at3(2)]);
    await expectDone(live, ceremony);
  });

  it('revokes the token when an action of the plan fails', async () => {
    const script = {
      ceremony: 'root-token',
      plan: [
        { action: 'write', path: 'sys/policies/acl/first', data: { policy: 'path "x" { capabilities = ["read"] }' } },
        { action: 'write', path: 'sys/policies/acl/second', data: { policy: 'this is no policy {' } },
      ],
    };
    const ceremony = await prepare({ script });
    expect(await codeOf(ceremony.start())).toBe('server-error');
    await expectClean(live);
    const events = await eventsOf(ceremony.folder ?? '');
    expect(events.filter(({ event }) => event === 'token.revoked')).toHaveLength(1);
    // It left nothing behind, so that the next ceremony can have the lock.
    const next = await prepare();
    await next.start();
    await expectDone(live, next);
  });

  it('revokes the token when somebody interrupts in the middle of the plan, or of the shares', async () => {
    for (const moment of ['a root token is alive', '"share.accepted"']) {
      const controller = new AbortController();
      let record: string | undefined;
      const ceremony = await prepare({
        setting: { roster: rosterOf(live), signal: controller.signal },
        onFolder: (folder) => {
          record = join(folder, 'record.jsonl');
        },
        now: () => {
          if (record !== undefined && readFileSync(record, 'utf8').includes(moment)) controller.abort();
          return new Date();
        },
      });
      expect(await codeOf(ceremony.start())).toBe('cancelled');
      await expectClean(live);
    }
  });

  it('names root tokens that others made meanwhile, and revokes them after asking', async () => {
    const make = async (): Promise<string> => {
      const leader = (await leaderIndex(live.cluster)) ?? 0;
      await callPeer(live.cluster, leader, 'POST', 'auth/token/create', { token: live.rootToken, body: {} });
      return at3(1);
    };
    const questions: string[] = [];
    let agree = false;
    const acceptException = (question: string): Promise<boolean> => {
      questions.push(question);
      return Promise.resolve(agree);
    };
    const ceremony = await prepare({ givers: [at3(0), make], people: { acceptException } });
    expect(await codeOf(ceremony.start())).toBe('server-error');
    const stray = (await rootAccessors(live)).find((accessor) => questions[0]?.includes(accessor));
    expect(stray).toBeDefined();
    agree = true;
    await ceremony.resume();
    await expectDone(live, ceremony);
  });

  const CUTS: readonly (readonly [string, string, string, Fault, number])[] = (
    [
      ['PUT', 'sys/generate-root-token/attempt', 0],
      ['PUT', 'sys/generate-root-token/update', 0],
      ['PUT', 'sys/generate-root-token/update', 1],
      ['POST', 'auth/token/revoke-self', 0],
    ] as const
  ).flatMap(([method, path, skip]) =>
    (
      [
        { kind: 'before-request' },
        { kind: 'before-reply' },
        { kind: 'within-reply', bytes: 40 },
      ] as const satisfies readonly Fault[]
    ).map((fault) => [fault.kind, method, path, fault, skip] as const),
  );

  it.each(CUTS)('survives a cut %s of %s %s', async (_kind, method, path, fault, skip) => {
    const proxy = await leaderProxy();
    const struck = proxy.cut({ method, path, fault, skip });
    const script = planOf();
    // Enough for a generation that starts over.
    const givers: Giver[] = [0, 1, 2, 0, 1, 2].map(at3);
    const ceremony = await prepare({ script, givers, peers: await through(proxy) });
    await ceremony.start();
    await struck;
    await expectDone(live, ceremony);
    expect(await exists(live, script)).toBe(true);
    await proxy.close();
  });

  it('shows the plan against the server before, and refuses what is not as expected', async () => {
    const script = {
      ceremony: 'root-token',
      plan: [{ action: 'read', path: 'sys/auth/approle', expect: { type: 'ldap' } }],
    };
    const ceremony = await prepare({ script });
    expect(await codeOf(ceremony.start())).toBe('preflight-failed');
    expect(ceremony.asked).toEqual([]);
  });
});

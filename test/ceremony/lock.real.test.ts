import { beforeAll, describe, expect, it } from 'vitest';
import {
  acquireLock,
  type LockClaim,
  lockFinding,
  readLock,
  releaseLock,
  updateNonce,
} from '../../src/ceremony/lock.ts';
import { Secret } from '../../src/secret.ts';
import type { Session } from '../../src/vault/peer.ts';
import { peersOf } from '../support/ceremony.ts';
import { callPeer, type LiveCluster, sharedCluster } from '../support/cluster.ts';
import { type Fault, startCuttingProxy } from '../support/cutting-proxy.ts';
import { codeOf } from '../support/errors.ts';
import { ceremonyToken, quorumCeremony } from '../support/quorum.ts';

const PATH = 'quorate/data/ceremony-lock';

let made = 0;
const claim = (): LockClaim => ({
  ceremony: `2026-11-01-drill-${(made += 1).toString()}`,
  kind: 'drill',
  who: 'Erin Example',
  nonce: '',
});

describe('the ceremony lock', () => {
  const shared = sharedCluster({ peers: 1 });
  let live: LiveCluster;
  let session: Session;
  let token: string;

  const open = (proxy?: { readonly address: string }, text = token): Session => {
    const [peer] = peersOf(live.cluster, proxy);
    if (peer === undefined) throw new Error('there is no peer');
    return peer.session(Secret.fromText(text));
  };

  beforeAll(async () => {
    live = shared();
    expect(await lockFinding(open(undefined, live.rootToken))).toMatchObject({ code: 'lock', ok: false });
    const missing = acquireLock(open(undefined, live.rootToken), claim());
    expect(await codeOf(missing)).toBe('server-unsupported');
    token = await ceremonyToken(live);
    session = open();
  });

  it('is taken, carries the nonce, and is released', async () => {
    const own = claim();
    expect(await lockFinding(session)).toMatchObject({ ok: true });
    await acquireLock(session, own);
    await updateNonce(session, own, '6f1c1e0a-0000-4000-8000-000000000001');
    expect(await readLock(session)).toMatchObject({
      kind: 'held',
      holder: { ...own, nonce: '6f1c1e0a-0000-4000-8000-000000000001' },
    });
    expect(await lockFinding(session)).toMatchObject({ code: 'lock', ok: false });
    expect(await releaseLock(session, own)).toBe(true);
    expect(await releaseLock(session, own)).toBe(false);
    expect(await readLock(session)).toMatchObject({ kind: 'free' });
  });

  it('is given to one of many that race for it', async () => {
    const claims = Array.from({ length: 8 }, claim);
    const outcomes = await Promise.all(claims.map((one) => codeOf(acquireLock(session, one))));
    expect(outcomes.filter((code) => code === 'nothing was thrown')).toHaveLength(1);
    expect(outcomes.filter((code) => code === 'ceremony-locked')).toHaveLength(7);
    const winner = claims[outcomes.indexOf('nothing was thrown')];
    expect(await readLock(session)).toMatchObject({ holder: { ceremony: winner?.ceremony } });
    if (winner !== undefined) await releaseLock(session, winner);
  });

  it('is kept by whoever resumes with the same id, and lost by whoever was taken over', async () => {
    const [first, second] = [claim(), claim()];
    await acquireLock(session, first);
    await acquireLock(session, first);
    expect(await codeOf(acquireLock(session, second))).toBe('ceremony-locked');
    expect(await codeOf(acquireLock(session, second, { mayTakeOver: () => Promise.resolve(false) }))).toBe(
      'ceremony-locked',
    );
    expect(await acquireLock(session, second, { mayTakeOver: () => Promise.resolve(true) })).toMatchObject(first);
    expect(await codeOf(updateNonce(session, first, 'x'))).toBe('ceremony-locked');
    expect(await releaseLock(session, first)).toBe(false);
    expect(await readLock(session)).toMatchObject({ holder: { ceremony: second.ceremony } });
    await releaseLock(session, second);
  });

  it('goes on after its entry was deleted', async () => {
    const own = claim();
    await callPeer(live.cluster, 0, 'DELETE', PATH, { token: live.rootToken });
    await acquireLock(session, own);
    await releaseLock(session, own);
  });

  const FAULTS: readonly Fault[] = [
    { kind: 'before-request' },
    { kind: 'before-reply' },
    { kind: 'within-reply', bytes: 20 },
  ];

  it.each(FAULTS)('settles a reply that is lost $kind by reading back', async (fault) => {
    const proxy = await startCuttingProxy(live.cluster);
    const through = open(proxy);
    const own = claim();
    let struck = proxy.cut({ method: 'POST', path: PATH, fault });
    await acquireLock(through, own);
    await struck;
    expect(await readLock(session)).toMatchObject({ holder: own });
    struck = proxy.cut({ method: 'POST', path: PATH, fault });
    expect(await releaseLock(through, own)).toBe(true);
    await struck;
    expect(await readLock(session)).toMatchObject({ kind: 'free' });
    await proxy.close();
  });

  it('lets one of two ceremonies run, and is taken over only when the peers are idle', async () => {
    const holder = claim();
    await acquireLock(session, holder);
    const script = { ceremony: 'rotate-keyring' };
    const accepted = new Map([['lock', 'its administrator is gone']]);
    const peers = peersOf(live.cluster);
    const refused = await quorumCeremony({ peers, token, script });
    expect(await codeOf(refused.start())).toBe('preflight-failed');

    const attempt = 'sys/generate-root-token/attempt';
    await callPeer(live.cluster, 0, 'POST', attempt, { token: live.rootToken, body: {} });
    const busy = new Map([...accepted, ['under-way', 'nobody is at it']]);
    const early = await quorumCeremony({ peers, token, script, setting: { accepted: busy } });
    expect(await codeOf(early.start())).toBe('ceremony-locked');
    expect(await readLock(session)).toMatchObject({ holder });

    await callPeer(live.cluster, 0, 'DELETE', attempt, { token: live.rootToken });
    const taking = await quorumCeremony({ peers, token, script, setting: { accepted } });
    await taking.start();
    expect(await readLock(session)).toMatchObject({ kind: 'free' });
  });

  it('is had by one of two ceremonies that start at once', async () => {
    const script = { ceremony: 'rotate-keyring' };
    const two = await Promise.all([1, 2].map(() => quorumCeremony({ peers: peersOf(live.cluster), token, script })));
    const before = await callPeer(live.cluster, 0, 'GET', 'sys/key-status', { token });
    const outcomes = await Promise.all(two.map((one) => codeOf(one.start())));
    const after = await callPeer(live.cluster, 0, 'GET', 'sys/key-status', { token });
    const term = (reply: typeof before): number => (reply.body as { term: number }).term;
    const done = outcomes.filter((code) => code === 'nothing was thrown').length;
    expect(done).toBeGreaterThan(0);
    // The slower one is refused, or begins after the faster one has ended.
    for (const code of outcomes) expect(['nothing was thrown', 'ceremony-locked', 'preflight-failed']).toContain(code);
    expect(term(after)).toBe(term(before) + done);
    expect(await readLock(session)).toMatchObject({ kind: 'free' });
  });
});

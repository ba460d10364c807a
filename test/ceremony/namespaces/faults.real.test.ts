import { beforeAll, describe, expect, it } from 'vitest';
import type { MadeUpCustodian } from '../../../src/rehearsal/custodians.ts';
import type { Peer } from '../../../src/vault/peer.ts';
import { initScriptText, peersOf, prepareCeremony, type TestCeremony } from '../../support/ceremony.ts';
import {
  callPeer,
  initialisedCluster,
  reseal,
  sharedCluster,
  temporaryFolder,
  unsealAll,
} from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { madeUpCustodians } from '../../support/custodians.ts';
import { type CuttingProxy, startCuttingProxy } from '../../support/cutting-proxy.ts';
import { at } from '../../support/http.ts';
import { mortalSitting, type Sitting } from '../../support/mortal.ts';
import {
  callSeal,
  type LiveNamespace,
  makeNamespace,
  rosterIn,
  sealedOn,
  settingIn,
  unsealNamespace,
} from '../../support/namespaces.ts';
import { prepareQuorum } from '../../support/quorum-ceremony.ts';
import { codeOf, prepareRotation, type RotationCeremony, rosterOf, rotationScript } from '../../support/rotation.ts';
import { isNew } from '../../support/rotation-faults.ts';

const HOLDERS = ['Alice', 'Bo', 'Cleo'];

describe('namespaces on one peer, when things go wrong', () => {
  const live = sharedCluster({ peers: 1 });
  let crew: readonly MadeUpCustodian[];
  let proxy: CuttingProxy;

  beforeAll(async () => {
    crew = await madeUpCustodians('Dora', 'Eve', 'Fay');
    await rosterOf(live(), HOLDERS);
    proxy = await startCuttingProxy(live().cluster);
  });

  const creating = async (namespace: string): Promise<TestCeremony> =>
    prepareCeremony({
      folder: await temporaryFolder(),
      peers: peersOf(live().cluster, proxy),
      crew,
      script: initScriptText(crew, {
        namespace,
        'root-token': undefined,
        'ceremony-login': undefined,
        'first-writes': [],
      }),
      setting: settingIn(live(), peersOf(live().cluster, proxy), namespace),
    });

  it('a creation that never arrived is repeated by the resume', async () => {
    void proxy.cut({ method: 'POST', path: 'sys/namespaces/cut', fault: { kind: 'before-request' } });
    const ceremony = await creating('cut');
    expect(await codeOf(ceremony.start())).toBe('init-reply-lost');
    const { folder } = await ceremony.resume();
    expect(await faultsOf(folder)).toEqual([]);
    expect(await sealedOn({ ...live(), path: 'cut' })).toEqual([false]);
  });

  it('a namespace whose shares got lost is told; deleted while sealed, it is created again', async () => {
    void proxy.cut({ method: 'POST', path: 'sys/namespaces/lost', fault: { kind: 'before-reply' } });
    const ceremony = await creating('lost');
    const failed = await ceremony.start().catch((error: unknown) => error);
    expect(failed).toMatchObject({
      code: 'init-reply-lost',
      hint: expect.stringContaining('delete-sealed lost') as string,
    });
    expect(await codeOf(ceremony.resume())).toBe('init-reply-lost');
    // In the usual way it cannot be deleted.
    expect((await callSeal(live(), 'lost', 'DELETE', '')).status).toBe(503);
    expect((await callSeal(live(), 'lost', 'DELETE', '/delete-sealed')).status).toBe(200);
    await expect.poll(async () => (await callSeal(live(), 'lost', 'GET', '')).status).toBe(404);
    const { folder } = await ceremony.resume();
    expect(await faultsOf(folder)).toEqual([]);
    expect(await sealedOn({ ...live(), path: 'lost' })).toEqual([false]);
  });

  it('wrong shares without a roster cost the attempt, and the right ones open it', async () => {
    const sealed = await makeNamespace(live(), 'wrong', false);
    const [one = '', two = ''] = sealed.shares;
    const [foreign = ''] = live().shares;
    const ceremony = prepareQuorum({
      folder: await temporaryFolder(),
      peers: [],
      token: '',
      script: { ceremony: 'unseal', namespace: 'wrong' },
      givers: [foreign, one, one, two],
      setting: settingIn(live(), peersOf(live().cluster), 'wrong'),
    });
    await ceremony.start();
    expect(ceremony.refused).toEqual(['shares-wrong']);
    expect(await sealedOn(sealed)).toEqual([false]);
  });

  it('a namespace that was made anew is not the one of the roster: no share is asked for', async () => {
    const first = await makeNamespace(live(), 'anew', false);
    await callSeal(live(), 'anew', 'DELETE', '/delete-sealed');
    await expect.poll(async () => (await callSeal(live(), 'anew', 'GET', '')).status).toBe(404);
    await makeNamespace(live(), 'anew', false);
    const ceremony = prepareQuorum({
      folder: await temporaryFolder(),
      peers: [],
      token: '',
      script: { ceremony: 'unseal', namespace: 'anew' },
      givers: first.shares,
      setting: settingIn(live(), peersOf(live().cluster), 'anew', new Map([['anew', rosterIn(first, HOLDERS)]])),
    });
    expect(await codeOf(ceremony.start())).toBe('cluster-mismatch');
    expect(ceremony.asked).toEqual([]);
  });

  it('a root token, a keyring and a seal are those of the namespace', async () => {
    const own = await makeNamespace(live(), 'own');
    const place = (): ReturnType<typeof settingIn> =>
      settingIn(live(), peersOf(live().cluster), 'own', new Map([['own', rosterIn(own, HOLDERS)]]));
    const run = async (script: Readonly<Record<string, unknown>>, givers: readonly string[]): Promise<string> => {
      const options = { folder: await temporaryFolder(), peers: [], token: '', givers, setting: place() };
      return (await prepareQuorum({ ...options, script: { namespace: 'own', ...script } }).start()).folder;
    };
    const plan = [{ action: 'write', path: 'sys/mounts/inner', data: { type: 'kv' } }];
    await run({ ceremony: 'root-token', plan }, own.shares);
    const token = live().rootToken;
    const inside = { token, namespace: 'own' };
    expect((await callPeer(live().cluster, 0, 'GET', 'sys/mounts/inner', inside)).status).toBe(200);
    expect((await callPeer(live().cluster, 0, 'GET', 'sys/mounts/inner', { token })).status).not.toBe(200);
    // None is left; where there never was one, the list is not found.
    expect((await callPeer(live().cluster, 0, 'GET', 'auth/token/accessors?list=true', inside)).status).toBe(404);

    await run({ ceremony: 'rotate-keyring' }, []);
    const term = async (of: { token: string; namespace?: string }): Promise<unknown> =>
      at((await callPeer(live().cluster, 0, 'GET', 'sys/key-status', of)).body, 'term');
    expect(await term(inside)).toBe(2);
    expect(await term({ token })).toBe(1);

    await run({ ceremony: 'seal' }, own.shares);
    expect(await sealedOn(own)).toEqual([true]);
    expect(at((await callPeer(live().cluster, 0, 'GET', 'sys/seal-status')).body, 'sealed')).toBe(false);
  });

  describe('a rotation', () => {
    let number = 0;
    const rotating = async (): Promise<LiveNamespace> => makeNamespace(live(), `rotating-${(number += 1).toString()}`);

    const judge = async (namespace: LiveNamespace, shares: readonly string[]): Promise<void> => {
      await callSeal(live(), namespace.path, 'PUT', '/seal');
      await unsealNamespace({ ...namespace, shares });
    };

    it.each([
      { what: 'an old share', path: 'sys/rotate/root/update', skip: 0 },
      { what: 'the last old share', path: 'sys/rotate/root/update', skip: 1 },
      { what: 'the last new share', path: 'sys/rotate/root/verify', skip: 1 },
    ])('whose reply to $what is lost is settled, and proved cold', async ({ path, skip }) => {
      const namespace = await rotating();
      const struck = proxy.cut({ method: 'PUT', path, skip, fault: { kind: 'before-reply' } });
      const ceremony = await prepareRotation({
        live: namespace,
        roster: rosterIn(namespace, HOLDERS),
        crew,
        script: { ...rotationScript(crew, 2), namespace: namespace.path },
        setting: settingIn(live(), peersOf(live().cluster, proxy), namespace.path),
      });
      const { folder } = await ceremony.start();
      await struck;
      expect(await faultsOf(folder)).toEqual([]);
      await judge(namespace, [...ceremony.newShares().values()]);
    });

    /** A rotation whose sittings can be ended at any line of their records. */
    const mortal = async (
      namespace: LiveNamespace,
      onShare?: (request: { readonly wanted?: string }) => void,
    ): Promise<{ readonly ceremony: RotationCeremony; readonly sit: (lines: number) => Sitting }> => {
      const base = settingIn(live(), peersOf(live().cluster), namespace.path);
      const [own] = base.cluster.peers;
      if (own === undefined) throw new Error('a cluster without peers');
      const fresh = (lines: number): Sitting => mortalSitting(base.cluster.peers, () => base.login(own), lines);
      let sitting = fresh(1000);
      const sit = (lines: number): Sitting => (sitting = fresh(lines));
      const ceremony = await prepareRotation({
        live: namespace,
        roster: rosterIn(namespace, HOLDERS),
        crew,
        script: { ...rotationScript(crew, 2), namespace: namespace.path },
        now: () => sitting.now(),
        onShare: (request) => {
          onShare?.(request);
          return Promise.resolve(undefined);
        },
        get setting() {
          return {
            cluster: { ...base.cluster, peers: sitting.peers },
            login: (peer: Peer) => sitting.login(peer),
            accepted: base.accepted,
          };
        },
      });
      return { ceremony, sit };
    };

    it('is resumed after any number of kills', async () => {
      const namespace = await rotating();
      const { ceremony, sit } = await mortal(namespace);
      let sitting = sit(8);
      let work: Promise<unknown> = ceremony.start();
      let kills = 0;
      for (; kills < 40; kills += 1) {
        const code = await codeOf(work).catch(() => 'dead');
        if (code === undefined && !sitting.dead) break;
        expect(sitting.dead, `ended by ${code ?? 'itself'}`).toBe(true);
        sitting = sit(11 + 3 * kills);
        work = ceremony.resume();
      }
      expect(kills).toBeGreaterThan(2);
      await judge(namespace, [...ceremony.newShares().values()]);
    });

    it('that is killed when it has just sealed the namespace for the proof opens it when it is resumed', async () => {
      const namespace = await rotating();
      let given = 0;
      const now: { sitting?: Sitting } = {};
      const { ceremony, sit } = await mortal(namespace, (request) => {
        if (!isNew(request)) return;
        given += 1;
        // Two for the verification, two for the proof. Then: the drill's start, its nonce, both shares, the intention.
        if (given === 4) now.sitting?.dieIn(5);
      });
      const sitting = sit(1000);
      now.sitting = sitting;
      await codeOf(ceremony.start()).catch(() => 'dead');
      expect(sitting.dead).toBe(true);
      expect(await sealedOn(namespace)).toEqual([true]);
      sit(1000);
      await ceremony.resume();
      const events = await eventsOf(ceremony.folder);
      expect(events.at(-1)).toMatchObject({ event: 'ceremony.closed', result: 'complete' });
      await judge(namespace, [...ceremony.newShares().values()]);
    });
  });

  it('the server cannot unseal one with another in it after a restart, and it is not the shares that are blamed', async () => {
    // On a cluster of its own: this one is not to be used again.
    const doomed = await initialisedCluster({ peers: 1 });
    const outer = await makeNamespace(doomed, 'nesting');
    await makeNamespace(doomed, 'nesting/inner', false);
    await reseal(doomed);
    await unsealAll(doomed);
    const ceremony = prepareQuorum({
      folder: await temporaryFolder(),
      peers: [],
      token: '',
      script: { ceremony: 'unseal', namespace: 'nesting' },
      givers: outer.shares.slice(0, 2),
      setting: settingIn(doomed, peersOf(doomed.cluster), 'nesting'),
    });
    expect(await codeOf(ceremony.start())).toBe('sealed');
    expect(ceremony.refused).toEqual([]);
    expect(ceremony.said.join(' ')).toContain('cannot load what is in it');
  });
});

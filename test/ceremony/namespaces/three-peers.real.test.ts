import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseRoster } from '../../../src/ceremony/roster/roster.ts';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import type { MadeUpCustodian } from '../../../src/rehearsal/custodians.ts';
import { initScriptText, peersOf, prepareCeremony } from '../../support/ceremony.ts';
import { callPeer, leaderIndex, reseal, sharedCluster, temporaryFolder, unsealPeer } from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { madeUpCustodians } from '../../support/custodians.ts';
import { at } from '../../support/http.ts';
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
import { codeOf, prepareRotation, rosterOf } from '../../support/rotation.ts';
import { waitUntil } from '../../support/wait.ts';

const HOLDERS = ['Alice', 'Bo', 'Cleo'];
const OTHERS = ['Hal', 'Ida', 'Jon'];

describe('namespaces on three peers', () => {
  const live = sharedCluster({ voters: true });
  let crew: readonly MadeUpCustodian[];
  let outer: LiveNamespace;

  beforeAll(async () => {
    crew = await madeUpCustodians('Dora', 'Eve', 'Fay', 'Gus');
    // The place of the ceremony lock, too.
    await rosterOf(live(), HOLDERS);
    outer = await makeNamespace(live(), 'outer');
    await callSeal(live(), 'plain', 'POST', '', { body: {} });
  });

  it('init creates one, unseals it on every peer, and writes first', async () => {
    const folder = await temporaryFolder();
    const ceremony = await prepareCeremony({
      folder,
      peers: peersOf(live().cluster),
      crew,
      script: initScriptText(crew, {
        'namespace': 'plain/made',
        'root-token': undefined,
        'ceremony-login': undefined,
        'first-writes': [{ path: 'sys/mounts/inner', data: { type: 'kv' } }],
      }),
      setting: settingIn(live(), peersOf(live().cluster), 'plain/made'),
    });
    const outcome = await ceremony.start();
    expect(await faultsOf(outcome.folder)).toEqual([]);
    expect(await sealedOn({ ...live(), path: 'plain/made' })).toEqual([false, false, false]);
    const roster = parseRoster(await readFile(join(outcome.folder, 'roster.yaml'), 'utf8'), 'roster.yaml');
    const { body } = await callSeal(live(), 'plain/made', 'GET', '');
    expect(roster).toMatchObject({ 'cluster': 'test/plain/made', 'cluster-id': at(body, 'data', 'uuid') });
    const events = await eventsOf(outcome.folder);
    expect(events.filter(({ event }) => event === 'share.proved')).toHaveLength(3);
    expect(events[0]).toMatchObject({ cluster: 'test', namespace: 'plain/made' });
    const mounts = await callPeer(live().cluster, 0, 'GET', 'sys/mounts/inner', {
      token: live().rootToken,
      namespace: 'plain/made',
    });
    expect(mounts.status).toBe(200);
    const nested = await prepareCeremony({
      folder: await temporaryFolder(),
      peers: peersOf(live().cluster),
      crew,
      script: initScriptText(crew, { 'namespace': 'outer/in', 'root-token': undefined, 'ceremony-login': undefined }),
      setting: settingIn(live(), peersOf(live().cluster), 'outer/in'),
    });
    expect(await codeOf(nested.start())).toBe('preflight-failed');
    const checks = await eventsOf(nested.folder ?? '');
    expect(checks.filter((one) => one.event === 'check' && !one.ok)).toMatchObject([{ code: 'nested-seals' }]);
    await callSeal(live(), 'plain/made', 'PUT', '/seal');
  });

  it('a ghost on a standby outlives the sealing of its namespace: a drill finds it, and sweeps it when told to', async () => {
    const standby = ((await leaderIndex(live().cluster)) ?? 0) + 1;
    const inside = { token: live().rootToken, namespace: 'outer' };
    await callPeer(live().cluster, standby % 3, 'PUT', 'sys/rotate/root/init', {
      ...inside,
      body: { secret_shares: 1, secret_threshold: 1, require_verification: true },
    });
    await callSeal(live(), 'outer', 'PUT', '/seal');
    await unsealNamespace(outer);
    const test = {
      live: outer,
      roster: rosterIn(outer, HOLDERS),
      script: { ceremony: 'drill', namespace: 'outer' },
    };
    const setting = settingIn(live(), peersOf(live().cluster), 'outer');
    const refusing = await prepareRotation({
      ...test,
      setting,
      people: { acceptException: () => Promise.resolve(false) },
    });
    expect(await codeOf(refusing.start())).toBe('preflight-failed');
    const told = await prepareRotation({ ...test, setting });
    await told.start();
    const after = await callPeer(live().cluster, standby % 3, 'GET', 'sys/rotate/root/init', inside);
    expect(at(after.body, 'data', 'started')).toBe(false);
  });

  it('a peer that restarts follows the leader into it, without a share', async () => {
    const standby = (((await leaderIndex(live().cluster)) ?? 0) + 1) % 3;
    await live().cluster.restart(standby);
    await unsealPeer(live(), standby);
    await waitUntil('it has followed', async () => (await sealedOn(outer)).every((one) => !one), 60_000);
  });

  it('after a restart of all peers the cluster is unsealed, then its namespaces, from the root on', async () => {
    const inner = await makeNamespace(live(), 'plain/inner', false);
    const cluster = await rosterOf(live(), HOLDERS);
    await reseal(live());
    const rosters = new Map<string, Roster>([
      ['', cluster],
      ['outer', rosterIn(outer, HOLDERS)],
      ['plain/inner', rosterIn(inner, OTHERS)],
    ]);
    const [one = '', two = ''] = live().shares;
    const [three = '', four = ''] = outer.shares;
    const [five = '', six = ''] = inner.shares;
    const ceremony = prepareQuorum({
      folder: await temporaryFolder(),
      peers: [],
      token: '',
      // In the wrong order; and on the way shares of the one for the other.
      script: { ceremony: 'unseal', namespaces: ['plain/inner', 'outer'] },
      givers: [one, three, two, five, three, four, one, five, six],
      setting: settingIn(live(), peersOf(live().cluster), undefined, rosters),
    });
    await ceremony.start();
    expect(ceremony.refused).toEqual(['cluster-mismatch', 'cluster-mismatch', 'cluster-mismatch']);
    expect(await sealedOn(outer)).toEqual([false, false, false]);
    expect(await sealedOn(inner)).toEqual([false, false, false]);
    const events = await eventsOf(ceremony.folder ?? '');
    const places = events.flatMap((line) => (line.event === 'share.accepted' ? [line.request] : []));
    expect([...new Set(places)]).toEqual([
      'POST sys/unseal',
      'POST sys/namespaces/outer/unseal',
      'POST plain/sys/namespaces/inner/unseal',
    ]);
    expect(ceremony.asked.find(({ cluster: name }) => name === 'test/plain/inner')?.holders).toEqual(OTHERS);
  });
});

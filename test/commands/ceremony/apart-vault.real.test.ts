import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  administrate,
  type Apart,
  type Custodian,
  expectNothingOf,
  handIn,
  type Invited,
  invitationTo,
  joinWith,
  layApart,
  writeScript,
} from '../../support/apart.ts';
import { killBetween, restartAsAsked, rotationTo } from '../../support/apart-rotation.ts';
import { initialisedCluster, type LiveCluster } from '../../support/cluster.ts';
import { lastRecord } from '../../support/desk.ts';
import { rootAccessors } from '../../support/quorum.ts';
import { vaultBinary } from '../../support/vault-binary.ts';

describe.skipIf(vaultBinary() === undefined)('custodians apart, on HashiCorp Vault', () => {
  let live: LiveCluster;
  let there: Apart;

  beforeAll(async () => {
    live = await initialisedCluster({ flavour: 'vault', peers: 1 });
    there = await layApart(live);
  });

  it('a root token takes no tickets: shares go there without a login', async () => {
    const [alice, bo] = there.people;
    await writeScript(there, 'root.yaml', {
      ceremony: 'root-token',
      plan: [
        { action: 'write', path: 'sys/policies/acl/made', data: { policy: 'path "x" { capabilities = ["read"] }' } },
      ],
    });
    const desk = administrate(there, 'root-token', 'root.yaml');
    const use = await invitationTo(there, 'use');
    for (const person of [alice, bo]) await handIn(there, await joinWith(person, use));
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expect(await rootAccessors(live)).toHaveLength(1);
  });

  it('a rekey goes through all its phases without a login, over lost answers', async () => {
    const [alice, bo, cleo] = there.people;
    const seen = new Set<string>();
    await writeScript(there, 'rotate.yaml', rotationTo(there));
    const desk = administrate(there, 'ceremony', 'run', 'rotate.yaml', '--accept', 'audit', '--reason', 'a test');
    const give = async (person: Custodian, to: Invited, ...args: readonly string[]): Promise<void> =>
      handIn(there, await joinWith(person, to, ...args));
    const collect = await invitationTo(there, 'collect', seen);
    await give(alice, collect);
    // The answer that is lost here is the one with the new shares: they are read from the server's copy.
    await killBetween(there, bo, collect, /rekey\/update$/, '--share-file', bo.shareFile);
    await give(bo, collect);

    const prove = await invitationTo(there, 'prove', seen);
    const kept = (person: Custodian): string => join(person.home, 'new.pgp');
    for (const person of [cleo, bo, alice]) await give(person, prove, '--keep', kept(person));

    const verify = await invitationTo(there, 'verify', seen);
    const own = (person: Custodian): readonly string[] => ['--share-file', kept(person)];
    await give(alice, verify, ...own(alice));
    await give(bo, verify, ...own(bo));

    await restartAsAsked(desk, live);
    const cold = await invitationTo(there, 'cold', seen);
    for (const person of [alice, cleo]) await give(person, cold, ...own(person));
    const retire = await invitationTo(there, 'retire', seen);
    for (const person of [alice, bo]) await give(person, retire);
    expect((await desk.exit).code, desk.screen()).toBe(0);
    expectNothingOf(desk, ...live.shares);
    const { lines: record } = await lastRecord(there.desk);
    expect(record.find((one) => one.event === 'check' && one.code === 'live-set')).toMatchObject({
      facts: { set: 'new', by: 'the reply' },
    });
    expect(record.find((one) => one.event === 'check' && one.code === 'old-shares')).toMatchObject({ ok: true });
  });
});

import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Apart } from '../../../src/ceremony/apart/apart.ts';
import type { RecordLine } from '../../../src/ceremony/record/events.ts';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import { pluginStanza } from '../../../src/kms/install.ts';
import { staticSeal } from '../../support/auto-unseal.ts';
import {
  callPeer,
  initialisedCluster,
  type LiveCluster,
  reseal,
  unsealAll,
  waitForAll,
  waitForVoters,
} from '../../support/cluster.ts';
import { eventsOf, faultsOf } from '../../support/completion.ts';
import { at } from '../../support/http.ts';
import { installed, oneToken, sealTokens, severalTokens, type Stanza } from '../../support/kms.ts';
import { codeOf, prepareRotation, type RotationCeremony, rosterOf, type RotationTest } from '../../support/rotation.ts';
import { leader } from '../../support/rotation-faults.ts';
import { administering, type Stanzas, writeSeal } from '../../support/seal-migration.ts';
import { softHsm, type SoftToken } from '../../support/softhsm.ts';
import { waitUntil } from '../../support/wait.ts';

const HOLDERS = ['Alice', 'Bo', 'Cleo'];
const KEPT = 'quorate/data/kept';

const HSM = 'quorate-kms';

function hsmSeal(stanza: Stanza): string {
  const lines = Object.entries(stanza).map(([key, value]) => `  ${key} = ${JSON.stringify(value)}`);
  return [`seal "${HSM}" {`, ...lines, '}', ''].join('\n');
}

/** All servers start cold: a seal opens its own, shares the others; what was written at the start is read. */
async function opensCold(live: LiveCluster, seal: string): Promise<void> {
  await reseal(live);
  if (seal === 'shamir') await unsealAll(live);
  await waitForAll(live.cluster, `is open under ${seal}`, (one) => one['sealed'] === false && one['type'] === seal);
  const { body } = await callPeer(live.cluster, await leader(live), 'GET', KEPT, { token: live.rootToken });
  expect(at(body, 'data', 'data', 'written')).toBe('before');
  await waitForVoters(live);
}

function finals(events: readonly RecordLine[]): readonly unknown[] {
  return events.flatMap((one) => (one.event === 'check' && one.code === 'final' ? [one.facts?.['peer']] : []));
}

describe('migrate-seal on three peers', () => {
  let live: LiveCluster;
  let roster: Roster;
  let stanzas: Stanzas;
  let hsms: readonly SoftToken[];
  beforeAll(async () => {
    const [plugin, hsm] = await Promise.all([installed(), softHsm()]);
    hsms = await sealTokens(hsm, 'hsm-a', 'hsm-b', 'hsm-c');
    stanzas = (type, disabled) =>
      type === 'static'
        ? staticSeal('one', disabled ? '  disabled = "true"\n' : '')
        : hsmSeal(oneToken(hsms[0]!, disabled ? { disabled: 'true' } : {}));
    live = await initialisedCluster({ voters: true, extra: pluginStanza(plugin).join('\n'), environment: hsm.env });
    roster = await rosterOf(live, HOLDERS);
    const body = { data: { written: 'before' } };
    await waitUntil('it is written', async () => {
      const reply = await callPeer(live.cluster, await leader(live), 'POST', KEPT, { token: live.rootToken, body });
      return reply.status === 200;
    });
  });

  const prepare = (from: string, to: string, changes: Partial<RotationTest> = {}): Promise<RotationCeremony> =>
    prepareRotation({
      live,
      roster,
      script: { ceremony: 'migrate-seal', from, to },
      onAct: (say) => administering(live, stanzas)(say),
      ...changes,
    });

  it('is refused where the seal is another, and before anything was changed', async () => {
    const ceremony = await prepare('static', HSM);
    expect(await codeOf(ceremony.start())).toBe('preflight-failed');
    expect(await codeOf((await prepare('shamir', 'shamir')).start())).toBe('document-invalid');
    const apart = {} as Apart;
    expect(await codeOf((await prepare('shamir', HSM, { setting: { apart } })).start())).toBe('usage');
  });

  it('goes from shares to a seal, resumed after a kill, with the old configuration back on a peer that was brought over', async () => {
    const administer = administering(live, stanzas);
    let dead = false;
    let acts = 0;
    const ceremony = await prepare('shamir', 'static', {
      // The first share is mistyped.
      onShare: (_request, number) => Promise.resolve(number === 1 && !dead ? `${'ab'.repeat(32)}01` : undefined),
      onAct: async (say) => {
        acts += 1;
        if (acts === 2 && !dead) {
          dead = true;
          const over = /server of peer-(\d)/.exec(said())?.[1];
          // It comes back with the old configuration, as somebody found it.
          await live.cluster.kill(Number(over) - 1);
          await writeSeal(live, Number(over) - 1, '');
          await live.cluster.start(Number(over) - 1);
          throw new Error('killed');
        }
        await administer(say);
      },
    });
    const said = (): string =>
      ceremony.said
        .filter((line) => line.includes('migration'))
        .join('\n')
        .replaceAll('peer-', 'server of peer-');
    await expect(ceremony.start()).rejects.toThrow('killed');
    await ceremony.resume();
    expect(ceremony.refused.map(({ code }) => code)).toEqual(['share-unknown']);
    expect(await faultsOf(ceremony.folder)).toEqual([]);
    const events = await eventsOf(ceremony.folder);
    const stages = events.flatMap((one) => (one.event === 'check' && one.code === 'stage' ? [one] : []));
    expect(stages.every(({ ok }) => ok)).toBe(true);
    expect(stages[0]?.facts).toMatchObject({
      'expected migration': true,
      'actual migration': true,
      'actual seal': 'static',
    });
    expect(finals(events)).toHaveLength(1);
    const next = await ceremony.roster();
    expect(next).toMatchObject({ seal: 'recovery', generation: 1, threshold: 2 });
    expect(next.shares).toEqual(roster.shares);
    roster = next;
    await opensCold(live, 'static');
  });

  it('goes from that seal to an HSM, although the old leader is killed and not stepped down', async () => {
    const administer = administering(live, stanzas);
    let acts = 0;
    const ceremony = await prepare('static', HSM, {
      onAct: async (say) => {
        acts += 1;
        if (acts === 2) await live.cluster.kill(await leader(live));
        // It has missed the migration, and does not start without the old stanza.
        const [, name = ''] = /server of (\S+?)[.,]/.exec(say) ?? [];
        const started = administer(say).then(
          () => true,
          () => false,
        );
        if (!(await started))
          await administer(
            `Put the ${HSM} stanza, and the static stanza with disabled = "true", into the configuration of the server of ${name}.`,
          );
      },
    });
    await ceremony.start();
    const events = await eventsOf(ceremony.folder);
    expect(new Set(finals(events)).size).toBe(3);
    roster = await ceremony.roster();
    expect(roster.seal).toBe('recovery');
    await waitForVoters(live);
  });

  it('goes to other HSMs, a seal of the same type, when somebody has forgotten the old stanza and a peer dies', async () => {
    stanzas = (_type, disabled) =>
      hsmSeal(disabled ? oneToken(hsms[0]!, { disabled: 'true' }) : severalTokens(hsms.slice(1), 1));
    const administer = (say: string): Promise<void> => administering(live, stanzas)(say);
    let acts = 0;
    const ceremony = await prepare(HSM, HSM, {
      onAct: async (say) => {
        acts += 1;
        await administer(acts === 1 ? say.replace('Put', 'Have').replace(/, and the old.*?(?= into)/, '') : say);
        if (acts === 3) throw new Error('killed');
      },
    });
    await expect(ceremony.start()).rejects.toThrow('killed');
    await ceremony.resume();
    const events = await eventsOf(ceremony.folder);
    expect(new Set(finals(events)).size).toBe(3);
    const log = await readFile(live.cluster.peers[await leader(live)]?.logFile ?? '', 'utf8');
    expect(log).toContain('configured: 1 of hsm-b/seal, hsm-c/seal');
    stanzas = () => hsmSeal(severalTokens(hsms.slice(1), 1, { disabled: 'true' }));
    await waitForVoters(live);
  });

  it('needs no ceremony for a threshold and a token more: a new stanza and a restart, peer by peer, the leader last', async () => {
    const first = await leader(live);
    for (const index of [0, 1, 2].sort((a, b) => Number(a === first) - Number(b === first))) {
      await writeSeal(live, index, hsmSeal(severalTokens(hsms, 2)));
      await live.cluster.kill(index, 'SIGTERM');
      await live.cluster.start(index).catch(() => live.cluster.start(index));
      await waitForAll(live.cluster, 'is open', (one) => one['sealed'] === false && one['type'] === HSM);
      await waitForVoters(live);
    }
    const { logFile = '' } = live.cluster.peers[await leader(live)] ?? {};
    // The new leader had the new stanza when it took over, and has encrypted anew what the old tokens had.
    await waitUntil('what is stored is encrypted by all three', async () =>
      /configured: 2 of hsm-a\/seal, hsm-b\/seal, hsm-c\/seal[^]*starting raft active node[^]*upgrading stored keys[^]*post-unseal setup complete/.test(
        await readFile(logFile, 'utf8'),
      ),
    );
    stanzas = () => hsmSeal(severalTokens(hsms, 2, { disabled: 'true' }));
  });

  it('goes back to shares', async () => {
    const ceremony = await prepare(HSM, 'shamir');
    await ceremony.start();
    expect(await faultsOf(ceremony.folder)).toEqual([]);
    const events = await eventsOf(ceremony.folder);
    expect(new Set(finals(events)).size).toBe(3);
    expect(events.some((one) => one.event === 'request' && one.request === 'POST sys/step-down')).toBe(true);
    expect(await ceremony.roster()).toMatchObject({ seal: 'shamir', generation: 1 });
    await opensCold(live, 'shamir');
  });
});

import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Peer, Session } from '../../vault/peer.ts';
import { showApart } from '../apart/showing.ts';
import { askForShare } from '../asking.ts';
import type { Kind, Run, Step } from '../kind.ts';
import { liveFindings } from '../live-checks.ts';
import { freeingOnError, freeLock, lockStep, withActive } from '../lock-steps.ts';
import { presentShares } from '../rotation/share-set.ts';
import { COMMON, participantFaults } from '../script.ts';
import { surveyPeers } from '../survey.ts';
import { shownCustodians } from '../taking-part.ts';

export const sealScript = v.strictObject({
  'ceremony': v.literal('seal'),
  ...COMMON,
  /** Seals although nobody has shown that they can unseal again, after a typed confirmation that the record keeps. */
  'without-quorum': v.optional(v.boolean(), false),
});

export type SealScript = v.InferOutput<typeof sealScript>;

const QUORUM = 'unseal-quorum';
/** A new leader is elected after each that is sealed (HashiCorp Vault seals only leaders). */
const PATIENCE = 15_000;
const POLL = 500;

/** Seals every peer, after enough custodians have shown that they can unseal again. */
export const seal: Kind<SealScript> = {
  name: 'seal',
  summary: 'seal every peer, once an unseal quorum is seen to be at hand',

  faults: (script) => participantFaults(script),

  async preflight(_script, run) {
    // Sealing is for emergencies too: peers that are down or apart do not stop it, what others are doing does.
    const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
    const mute = surveys.filter(({ state }) => state === 'unreachable');
    return [
      {
        code: 'reachable',
        ok: mute.length < surveys.length,
        finding: `${(surveys.length - mute.length).toString()} of ${surveys.length.toString()} peers answer`,
        ...(mute.length < surveys.length ? {} : { mend: 'Stop the servers: they are sealed when they start again.' }),
      },
      ...(await liveFindings(run, surveys, () => Promise.resolve([]))),
    ];
  },

  steps: (script): readonly Step[] => [
    unlessSealed(lockStep(script)),
    freeingOnError(script, quorumStep(script)),
    sealStep(script),
  ],
};

/** Where all is sealed already, or nobody leads, there is no lock to be had. */
function unlessSealed(step: Step): Step {
  return {
    ...step,
    async done(run) {
      return (await allSealed(run)) || step.done(run);
    },
    async run(run) {
      const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
      if (surveys.some(({ state }) => state === 'active')) {
        await step.run(run);
        return;
      }
      await run.record({ event: 'note', text: 'no peer leads, so that there is no ceremony lock to take' });
    },
  };
}

function quorumStep(script: SealScript): Step {
  return {
    id: 'quorum',
    title: script['without-quorum']
      ? 'somebody confirms that nobody has shown that they can unseal again'
      : 'enough custodians show their shares; the roster proves them here, and nothing is sent',
    who: script['without-quorum'] ? 'administrator' : 'custodians',
    done: (run) =>
      Promise.resolve(
        run.events.some((one) => one.event === 'check' && one.code === QUORUM) ||
          run.events.some((one) => one.event === 'exception' && one.expected === WITHOUT),
      ),
    run: (run) => (script['without-quorum'] ? goWithout(run) : showShares(run)),
  };
}

const WITHOUT = 'an unseal quorum at hand';

async function goWithout(run: Run): Promise<void> {
  const question = 'Nobody has shown that they can unseal this cluster again. Without that it stays shut.';
  if (!(await run.people.acceptException(question, 'seal without quorum'))) {
    throw new QuorateError('cancelled', 'sealing without a quorum was not confirmed; nothing was sealed');
  }
  await run.record({
    event: 'exception',
    expected: WITHOUT,
    happened: 'no custodian was asked for a share',
    decision: 'sealed after a typed confirmation',
    by: 'administrator',
  });
}

/** Each share is compared with the roster's fingerprint on this machine: that is proof enough, and costs no attempt. */
async function showShares(run: Run): Promise<void> {
  const { roster } = run;
  if (roster === undefined) {
    throw new QuorateError('roster-invalid', 'without a roster nobody can tell whether a share is the right one', {
      hint: 'Name the roster in quorate.yaml (quorate custodian enroll makes one), or seal with --without-quorum.',
    });
  }
  if (roster.seal === 'recovery') {
    await run.record({
      event: 'check',
      code: QUORUM,
      ok: true,
      finding: 'this cluster is opened by its seal (HSM or key service), not by shares',
    });
    return;
  }
  const { threshold } = roster;
  const taken = new Map(
    run.apart === undefined ? [] : await showApart(run, run.apart, presentShares(run, 'the shares'), threshold),
  );
  if (run.apart !== undefined && taken.size < threshold) throw tooFew(taken.size, threshold);
  while (taken.size < threshold) {
    const given = await askForShare(
      run,
      {
        needed: threshold,
        given: taken.size,
        shares: roster.shares.length,
        present: [...taken.values()],
        peers: [],
        single: roster.shares.some(({ x }) => x === '00'),
        taken: new Set(taken.keys()),
      },
      // Never unlisted: it would prove nothing.
      { roster, unlistedShare: false },
    );
    if (given === null) {
      throw tooFew(taken.size, threshold);
    }
    const { share, admission } = given;
    share.bytes.wipe();
    taken.set(share.x, admission.holder ?? 'somebody');
    run.people.say(
      `${admission.holder ?? 'A share'}: right, by the roster of generation ${admission.generation.toString()}.`,
    );
  }
  for (const event of shownCustodians(run.events, roster, [...taken.values()])) await run.record(event);
  await run.record({
    event: 'check',
    code: QUORUM,
    ok: true,
    finding: `${[...taken.values()].join(', ')} have the shares that unseal; compared with the roster, and not sent`,
    facts: { shown: taken.size, threshold, generation: roster.generation },
  });
}

function tooFew(shown: number, threshold: number): QuorateError {
  return new QuorateError(
    'ceremony-interrupted',
    `${shown.toString()} of ${threshold.toString()} custodians have shown their share; nothing was sealed`,
    { hint: 'Resume the ceremony when enough are there. In an emergency: --without-quorum.' },
  );
}

function sealStep(script: SealScript): Step {
  return {
    id: 'seal',
    title: 'every peer is sealed, and says so itself',
    who: 'administrator',
    done: allSealed,
    async run(run) {
      const sessions = await openSessions(run);
      try {
        // Nobody can free it afterwards. From here on it is a matter of milliseconds.
        await withActive(run, (session) => freeLock(run, script, session)).catch(unlessNobodyLeads);
        await sealAll(run, sessions);
      } finally {
        for (const session of sessions.values()) session.close();
      }
    },
  };
}

/** Logins on all peers, made while a leader is there that can make them. */
async function openSessions(run: Run): Promise<ReadonlyMap<Peer, Session>> {
  const sessions = new Map<Peer, Session>();
  for (const { peer, state } of await surveyPeers(run.cluster.peers, { signal: run.signal })) {
    if (state !== 'active' && state !== 'standby') continue;
    try {
      sessions.set(peer, (await run.login(peer)).session);
    } catch (error) {
      if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
      run.people.say(`${peer.name}: ${error.message}`);
    }
  }
  return sessions;
}

/**
 * Standbys first, the leader last: no election comes in between (OpenBao 2.7.2 seals standbys). A standby of HashiCorp
 * Vault 1.14.0 refuses (`vault cannot seal when in standby mode`): it is tried again when it leads.
 */
async function sealAll(run: Run, sessions: ReadonlyMap<Peer, Session>): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  const why = new Map<string, string>();
  for (;;) {
    const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
    const open = surveys.filter(({ state }) => state === 'active' || state === 'standby');
    const standbysFirst = open.toSorted((a, b) => Number(a.state === 'active') - Number(b.state === 'active'));
    for (const { peer } of standbysFirst) {
      const session = sessions.get(peer);
      const refusal = session === undefined ? 'no login there' : await sealPeer(run, session);
      if (refusal !== undefined) why.set(peer.name, refusal);
    }
    const after = await surveyPeers(run.cluster.peers, { signal: run.signal });
    const left = after.filter(({ state }) => state === 'active' || state === 'standby');
    if (left.length === 0) {
      await recordPeers(
        run,
        after.map(({ peer, state }) => ({ peer: peer.name, state })),
      );
      return;
    }
    if (Date.now() > deadline) {
      throw stillOpen(left.map(({ peer }) => ({ peer: peer.name, why: why.get(peer.name) ?? 'it took the call' })));
    }
    await sleep(POLL, undefined, { signal: run.signal });
  }
}

/** @returns why the peer did not, or undefined; a lost reply is settled by what the peer says of itself afterwards. */
async function sealPeer(run: Run, session: Session): Promise<string | undefined> {
  const { peer } = session;
  try {
    const { status, errors } = await session.inNamespace('').request('POST', peer.sealPath, {});
    if (status === 204 || status === 200) {
      await run.record({ event: 'write', peer: peer.name, request: `POST ${peer.sealPath}`, fields: [], status });
      return undefined;
    }
    return `${status.toString()}${errors.length === 0 ? '' : ` ${errors.join('; ')}`}`;
  } catch (error) {
    if (!isQuorateError(error) || error.code === 'cancelled' || error.code === 'bug') throw error;
    return error.code === 'sealed' ? undefined : error.message;
  }
}

async function recordPeers(run: Run, peers: readonly { peer: string; state: string }[]): Promise<void> {
  await run.record({
    event: 'check',
    code: 'sealed',
    ok: true,
    finding: peers.map(({ peer, state }) => `${peer}: ${state}`).join(', '),
  });
  const mute = peers.filter(({ state }) => state === 'unreachable');
  if (mute.length === 0) return;
  const names = mute.map(({ peer }) => peer).join(', ');
  run.people.say(`${names}: no answer, so that nobody can tell whether it runs. Stop its process.`);
}

async function allSealed(run: Run): Promise<boolean> {
  const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
  return surveys.every(({ state }) => state === 'sealed');
}

function unlessNobodyLeads(error: unknown): void {
  if (isQuorateError(error, 'not-ready')) return;
  throw error;
}

/** A full audit disk blocks sealing too (OpenBao 2.7.2: 500 `failed to audit request`): then only ending it helps. */
function stillOpen(left: readonly { readonly peer: string; readonly why: string }[]): QuorateError {
  const named = left.map(({ peer, why }) => `${peer} (${why})`).join('; ');
  return new QuorateError('not-ready', `not sealed: ${named}`.slice(0, 390), {
    hint:
      'In an emergency end the server process on that machine (systemctl stop, or kill -9): it is sealed when it ' +
      'starts again. A server that cannot write its audit log cannot be sealed by a call, nor can a standby of HashiCorp Vault.',
  });
}

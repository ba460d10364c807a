import { setTimeout as sleep } from 'node:timers/promises';
import { isQuorateError, QuorateError } from '../../../errors.ts';
import type { Peer } from '../../../vault/peer.ts';
import type { Given } from '../../asking.ts';
import { askUntil } from '../../by-hand.ts';
import type { Run, Step } from '../../kind.ts';
import { Leadership } from '../../leadership.ts';
import { withActive } from '../../lock-steps.ts';
import { restartByHand } from '../../restart.ts';
import { takeSnapshot } from '../../rotation/snapshot.ts';
import { votersHealthy } from '../../rotation/voters.ts';
import { bringOver, instruction, recordStage, waitUntilOpen } from './bring-over.ts';
import { isMigrated, isOver, lookAt, lookAtAll, type Seals, STAGE } from './look.ts';
import { type MigrateSealScript, SHAMIR } from './script.ts';

const FINAL = 'final';
const ELECTION = 90_000;
/** A server that was told to step down stays away from the lead for 10 s (OpenBao 2.7.2), and may be elected again then. */
const STEP_DOWN_AGAIN = 25_000;
const POLL = 500;

/** Whether some server was already told about the new seal: from then on the cluster is this ceremony's. */
export function isUnderWay(run: Pick<Run, 'events'>): boolean {
  return run.events.some((one) => one.event === 'check' && one.code === STAGE);
}

/** From before anything was changed: the old seal opens the cluster from it. */
export function snapshotStep(script: MigrateSealScript): Step {
  return {
    id: 'snapshot',
    title: 'a snapshot, streamed to a new file; its hash is recorded',
    who: 'administrator',
    done: (run) => Promise.resolve(run.events.some(({ event }) => event === 'snapshot') || isUnderWay(run)),
    run: (run) => takeSnapshot(run, script.snapshot === undefined ? {} : { snapshot: script.snapshot }),
  };
}

/** The shares that were given for one peer serve the next; they are wiped when the step ends. */
async function keeping<T>(work: (kept: Given[]) => Promise<T>): Promise<T> {
  const kept: Given[] = [];
  try {
    return await work(kept);
  } finally {
    for (const { share } of kept) share.bytes.wipe();
  }
}

/** Whether the cluster's keys are under the new seal: a peer that has it in its configuration leads, or says so. */
async function areMigrated(run: Run, seals: Seals): Promise<boolean> {
  const looks = await lookAtAll(run);
  return looks.some(({ peer, look }) => isMigrated(run, peer, look, seals));
}

export function standbysStep(script: MigrateSealScript): Step {
  const how = script.from === SHAMIR ? 'the unseal shares' : 'the recovery shares';
  return {
    id: 'standbys',
    title: `each standby in turn gets the new seal in its configuration, is restarted, and opened with ${how}`,
    who: 'administrator, custodians',
    done: async (run) => (await areMigrated(run, script)) || (await nextStandby(run, script)) === undefined,
    run: (run) =>
      keeping(async (kept) => {
        for (;;) {
          // Should the old leader fall meanwhile, one that was brought over leads, and the seal is migrated.
          if (await areMigrated(run, script)) return;
          const peer = await nextStandby(run, script);
          if (peer === undefined) return;
          await assertSpare(run, peer);
          await bringOver(run, peer, { script, phase: 'before', kept });
        }
      }),
  };
}

/** The one that is not over: first what an interruption has left shut, then a standby. Never the leader. */
async function nextStandby(run: Run, seals: Seals): Promise<Peer | undefined> {
  const left = (await lookAtAll(run)).filter(
    ({ peer, look }) => !isOver(run, peer, look, seals) && !(look.kind === 'open' && look.leads),
  );
  return (left.find(({ look }) => look.kind !== 'open') ?? left[0])?.peer;
}

/** The cluster must be able to do without that peer. @throws QuorateError `preflight-failed`. */
async function assertSpare(run: Run, peer: Peer): Promise<void> {
  // One that is away already costs nothing more.
  if ((await lookAt(run, peer)).kind !== 'open') return;
  const findings = await withActive(run, (session) => votersHealthy(run, session));
  const accepted = new Set(
    run.events.flatMap((one) => (one.event === 'check' && one.accepted !== undefined ? [one.code] : [])),
  );
  const failed = findings.filter(({ ok, code }) => !ok && !accepted.has(code));
  if (failed.length === 0) return;
  throw new QuorateError('preflight-failed', `the cluster cannot do without ${peer.name} now`, {
    faults: failed.map(({ code, finding, mend }) => ({ message: `${code}: ${finding}. ${mend ?? ''}` })),
    hint: 'Mend these and resume the ceremony.',
  });
}

export function stepDownStep(script: MigrateSealScript): Step {
  const { to } = script;
  return {
    id: 'step-down',
    title: 'the leader steps down, or is restarted where it is the only peer; the keys come under the new seal',
    who: 'administrator',
    done: (run) => areMigrated(run, script),
    async run(run) {
      const [first, ...others] = run.cluster.peers;
      if (first !== undefined && others.length === 0) {
        await keeping((kept) => bringOver(run, first, { script, phase: 'before', kept }));
      } else if (!(await areMigrated(run, script))) {
        await stepDown(run, script);
      }
      const deadline = Date.now() + ELECTION;
      let again = Date.now() + STEP_DOWN_AGAIN;
      for (;;) {
        const leader = (await lookAtAll(run)).find(({ look }) => look.kind === 'open' && look.leads);
        if (leader !== undefined && isMigrated(run, leader.peer, leader.look, script)) {
          await recordStage(run, leader.peer, leader.look, { state: 'open', to, migration: false });
          return;
        }
        if (Date.now() > deadline) {
          throw new QuorateError(
            'not-ready',
            `no peer leads whose keys are under ${script.from === to ? 'the new seal' : to}`,
            {
              hint: 'quorate status and the logs of the servers show why. Resume the ceremony.',
            },
          );
        }
        if (leader !== undefined && others.length > 0 && Date.now() > again) {
          run.people.say(`  ${leader.peer.name} leads again, with the old seal: it steps down once more`);
          await stepDown(run, script);
          again = Date.now() + STEP_DOWN_AGAIN;
        }
        await sleep(POLL, undefined, { signal: run.signal });
      }
    },
  };
}

async function stepDown(run: Run, seals: Seals): Promise<void> {
  const leadership = await Leadership.find(run);
  const { peer, session } = leadership;
  try {
    await assertSpare(run, peer);
    const reply = await session.request('POST', 'sys/step-down', {}).catch((error: unknown) => {
      // What came of it is seen below.
      if (!isQuorateError(error) || error.code === 'bug') throw error;
      return undefined;
    });
    await run.record({
      event: 'request',
      peer: peer.name,
      request: 'POST sys/step-down',
      expected: { status: 204 },
      actual: { status: reply?.status ?? 0 },
    });
    if (reply?.status !== 403) return;
  } finally {
    leadership.close();
  }
  await askUntil(run, {
    say: `This login may not have ${peer.name} step down. Do it with one that may: bao operator step-down, there.`,
    why: async () => ((await areMigrated(run, seals)) ? undefined : `${peer.name} still leads`),
  });
}

export function restStep(script: MigrateSealScript): Step {
  return {
    id: 'rest',
    title: 'the old leader, and whoever is left, gets the new seal in its configuration and is restarted',
    who: 'administrator',
    done: async (run) => (await left(run, script)).length === 0,
    run: (run) =>
      keeping(async (kept) => {
        for (const peer of await left(run, script)) {
          const alone = await bringOver(run, peer, { script, phase: 'after', kept });
          if (alone && script.from !== script.to) await recordFinal(run, peer, script);
        }
      }),
  };
}

/** Where both seals are of one type, an open one that has the old one still is restarted for the proof that follows. */
async function left(run: Run, seals: Seals): Promise<readonly Peer[]> {
  const sameType = seals.from === seals.to;
  return (await lookAtAll(run)).flatMap(({ peer, look }) =>
    (sameType ? look.kind === 'open' : isOver(run, peer, look, seals)) ? [] : [peer],
  );
}

/** The proof: a restart, with nothing of the old seal in the configuration. */
export function finalStep(script: MigrateSealScript): Step {
  const how = script.to === SHAMIR ? 'is opened by the unseal shares' : 'opens itself';
  const which = script.from === SHAMIR ? 'a peer is restarted and' : 'every peer is restarted without the old seal and';
  return {
    id: 'final',
    title: `${which} ${how}`,
    who: script.to === SHAMIR ? 'administrator, custodians' : 'administrator',
    done: async (run) => (await unproved(run, script)).length === 0,
    run: (run) =>
      keeping(async (kept) => {
        for (const peer of await unproved(run, script)) {
          if ((await lookAt(run, peer)).kind === 'open') {
            await assertSpare(run, peer);
            await restartByHand(run, peer, instruction(script, 'after', peer.name));
          }
          const bySeal = script.to !== SHAMIR && script.from !== script.to;
          if (bySeal) await waitUntilOpen(run, peer, script.to);
          const alone = bySeal || (await bringOver(run, peer, { script, phase: 'after', kept }));
          // With the old stanza too it was opened by shares, and proves nothing yet: resumed, it comes again.
          if (script.from === script.to && !alone) throw notAlone(peer.name);
          await recordFinal(run, peer, script);
        }
      }),
  };
}

function notAlone(peer: string): QuorateError {
  return new QuorateError('not-ready', `${peer} was restarted with the old stanza beside the new one`, {
    hint: 'It is over now. Resume the ceremony: it has it restarted once more, with the new stanza alone.',
  });
}

/** Standbys first. Where the old seal never had a stanza, one peer's proof is that of all. */
async function unproved(run: Run, { from }: MigrateSealScript): Promise<readonly Peer[]> {
  const proved = new Set(
    run.events.flatMap((one) => (one.event === 'check' && one.code === FINAL ? [one.facts?.['peer']] : [])),
  );
  if (from === SHAMIR && proved.size > 0) return [];
  const looks = (await lookAtAll(run)).filter(({ peer }) => !proved.has(peer.name));
  const leads = ({ look }: (typeof looks)[number]): number => Number(look.kind === 'open' && look.leads);
  const peers = looks.toSorted((one, other) => leads(one) - leads(other)).map(({ peer }) => peer);
  return from === SHAMIR ? peers.slice(0, 1) : peers;
}

async function recordFinal(run: Run, peer: Peer, { to }: MigrateSealScript): Promise<void> {
  const how = to === SHAMIR ? 'opened by the unseal shares' : 'opened by its seal';
  await run.record({
    event: 'check',
    code: FINAL,
    ok: true,
    finding: `${peer.name} was restarted with the new seal alone, and ${how}`,
    facts: { peer: peer.name },
  });
  run.people.say(`  proved by a restart of ${peer.name}: ${how}`);
}

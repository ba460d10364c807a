import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { isQuorateError, QuorateError } from '../../errors.ts';
import type { Session } from '../../vault/peer.ts';
import type { Finding, Kind, Run, Step } from '../kind.ts';
import { Leadership } from '../leadership.ts';
import { liveFindings } from '../live-checks.ts';
import { freeingOnError, lockStep, unlockStep } from '../lock-steps.ts';
import { clocksAgree, reachable, sameVersion } from '../preflight.ts';
import { payloadOf } from '../rotation/replies.ts';
import { COMMON, participantFaults } from '../script.ts';
import { surveyPeers } from '../survey.ts';

export const rotateKeyringScript = v.strictObject({ ceremony: v.literal('rotate-keyring'), ...COMMON });

export type RotateKeyringScript = v.InferOutput<typeof rotateKeyringScript>;

const BEFORE = 'keyring-before';
const AFTER = 'keyring-after';
/** How long a rotation whose reply was lost may take to show. */
const SETTLE = 3000;
const POLL = 250;

/**
 * A new term of the keyring: what is written from now on is encrypted with a new key. Old data stays readable under
 * its old term, and no share changes.
 */
export const rotateKeyring: Kind<RotateKeyringScript> = {
  name: 'rotate-keyring',
  summary: 'a new encryption key for what is written from now on; no share changes',

  faults: (script) => participantFaults(script),

  async preflight(_script, run) {
    const surveys = await surveyPeers(run.cluster.peers, { signal: run.signal });
    return [
      ...reachable(surveys),
      ...sameVersion(surveys),
      ...clocksAgree(surveys, run.policy),
      ...(await liveFindings(run, surveys, keyringFindings)),
    ];
  },

  steps: (script): readonly Step[] => [lockStep(script), freeingOnError(script, rotateStep()), unlockStep(script)],
};

function rotateStep(): Step {
  return {
    id: 'rotate',
    title: 'the keyring gets a new term, exactly one',
    who: 'administrator',
    async done(run) {
      const before = termBefore(run);
      if (before === undefined) return false;
      return withLeader(run, async ({ session }) => {
        const { term } = await readTerm(session);
        if (term > before) await recordAfter(run, before, term);
        return term > before;
      });
    },
    run: (run) => withLeader(run, (leadership) => rotate(run, leadership)),
  };
}

async function rotate(run: Run, leadership: Leadership): Promise<void> {
  const { session } = leadership;
  for (const { finding } of await keyringFindings(session)) run.people.say(finding);
  const now = await readTerm(session);
  // An earlier sitting may have asked already; its term is what counts from.
  const before = termBefore(run) ?? now.term;
  if (termBefore(run) === undefined) {
    await run.record({
      event: 'check',
      code: BEFORE,
      ok: true,
      finding: `the keyring is at term ${now.term.toString()}`,
      facts: { term: now.term, installed: now.installed },
    });
  }
  const path = await session.peer.endpoint('rotate-keyring');
  for (const again of [false, true]) {
    await leadership.check(run);
    const sent = await send(session, path);
    const term = await waitForTerm(run, session, before, sent === 'done' ? 0 : SETTLE);
    if (term > before) {
      const status = sent === 'done' ? 204 : 0;
      await run.record({ event: 'write', peer: session.peer.name, request: `POST ${path}`, fields: [], status });
      await recordAfter(run, before, term);
      return;
    }
    // Broken off, and nothing came of it: the request never arrived. One that timed out may still be on its way.
    if (again || sent !== 'broken off') break;
  }
  throw new QuorateError('outcome-unknown', `the keyring is still at term ${before.toString()}`, {
    hint: 'Resume the ceremony: it reads the term first, and rotates only when there is no new one.',
  });
}

/** @throws QuorateError `denied`, `server-error` for a refusal. */
async function send(session: Session, path: string): Promise<'done' | 'broken off' | 'timed out'> {
  try {
    const reply = await session.request('POST', path, {});
    if (reply.status === 200 || reply.status === 204) return 'done';
    if (reply.status === 403) {
      throw new QuorateError('denied', `this login may not rotate the keyring`, {
        hint: `Its policy needs update and sudo on ${path}.`,
      });
    }
    // A 500 can mean that the audit device failed after the rotation (OpenBao 2.7.2).
    if (reply.status === 500) return 'timed out';
    throw new QuorateError('server-error', `the server answered POST ${path} with ${reply.status.toString()}`);
  } catch (error) {
    if (isQuorateError(error, 'server-unreachable')) return 'broken off';
    if (isQuorateError(error, 'server-timeout')) return 'timed out';
    throw error;
  }
}

async function waitForTerm(run: Run, session: Session, before: number, patience: number): Promise<number> {
  const deadline = Date.now() + patience;
  for (;;) {
    const { term } = await readTerm(session);
    if (term > before || Date.now() >= deadline) return term;
    await sleep(POLL, undefined, { signal: run.signal });
  }
}

async function recordAfter(run: Run, before: number, term: number): Promise<void> {
  if (run.events.some((one) => one.event === 'check' && one.code === AFTER)) return;
  const finding = `the keyring went from term ${before.toString()} to term ${term.toString()}`;
  run.people.say(finding);
  await run.record({ event: 'check', code: AFTER, ok: true, finding, facts: { before, term } });
  if (term === before + 1) return;
  await run.record({
    event: 'exception',
    expected: `term ${(before + 1).toString()}`,
    happened: `term ${term.toString()}: somebody else, or the automatic rotation, rotated it too`,
    decision: 'noted; no harm is done by it',
    by: 'quorate',
  });
}

/** The term and the automatic rotation, for people. */
async function keyringFindings(session: Session): Promise<readonly Finding[]> {
  const { term, installed, encryptions } = await readTerm(session);
  const path = `${await session.peer.endpoint('rotate-keyring')}/config`;
  const reply = await session.request('GET', path);
  const { enabled, interval, max_operations: operations } = payloadOf(reply);
  const automatic =
    reply.status !== 200
      ? `the policy of the automatic rotation was not readable (${path}: ${reply.status.toString()})`
      : enabled === true
        ? `automatic rotation: on, after ${plain(operations)} operations or an interval of ${plain(interval)} s (0: no interval)`
        : 'automatic rotation: off';
  return [
    {
      code: 'keyring',
      ok: true,
      finding: `keyring term ${term.toString()}, installed ${installed}, about ${encryptions.toString()} encryptions so far`,
    },
    { code: 'keyring-policy', ok: true, finding: automatic },
  ];
}

interface Term {
  readonly term: number;
  readonly installed: string;
  readonly encryptions: number;
}

/** `sys/key-status` of the leader: a standby may not have taken the newest term in yet. */
async function readTerm(session: Session): Promise<Term> {
  const reply = await session.request('GET', 'sys/key-status');
  if (reply.status === 403) {
    throw new QuorateError('denied', 'this login may not read sys/key-status', {
      hint: 'Its policy needs read on it: without the term nobody can tell whether the keyring was rotated.',
    });
  }
  const { term, install_time: installed, encryptions } = payloadOf(reply);
  if (reply.status !== 200 || typeof term !== 'number') {
    throw new QuorateError(
      'server-response',
      `sys/key-status was answered with ${reply.status.toString()} and no term`,
    );
  }
  return {
    term,
    installed: typeof installed === 'string' ? installed : 'unknown',
    encryptions: typeof encryptions === 'number' ? encryptions : 0,
  };
}

async function withLeader<T>(run: Run, use: (leadership: Leadership) => Promise<T>): Promise<T> {
  const leadership = await Leadership.find(run);
  try {
    return await use(leadership);
  } finally {
    leadership.close();
  }
}

function termBefore(run: Run): number | undefined {
  const event = run.events.find((one) => one.event === 'check' && one.code === BEFORE);
  const term = event?.event === 'check' ? event.facts?.['term'] : undefined;
  return typeof term === 'number' ? term : undefined;
}

function plain(value: unknown): string {
  return typeof value === 'number' || typeof value === 'string' ? String(value) : 'unknown';
}

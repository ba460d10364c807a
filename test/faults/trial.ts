import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { currentAttempt } from '../../src/ceremony/rotation/attempt.ts';
import { reseal, startOver, waitForAll } from '../support/cluster.ts';
import { attemptOf, rootAccessors } from '../support/quorum.ts';
import { underWay } from '../support/rotation.ts';
import { planOf } from '../support/root-token.ts';
import { eventsOf } from '../support/completion.ts';
import { at } from '../support/http.ts';
import { waitUntil } from '../support/wait.ts';
import type { Fault, Kind, Verdict } from './cells.ts';
import type { Judge, ShareList } from './judge.ts';
import type { Lab, Size } from './lab.ts';
import type { Chance } from './random.ts';
import { anySealed, attend, bringBack, follow, rejoin, UNSEAL } from './people.ts';
import { type Sitting, sit } from './room.ts';
import type { Strike } from './strike.ts';

export interface Outcome {
  readonly kind: Kind;
  readonly fault: Fault;
  readonly verdict: Verdict;
  /** The call that was struck. */
  readonly request: string | undefined;
  /** How many calls that change something were made in all. */
  readonly calls: number;
  /** What was run, in order. */
  readonly commands: readonly string[];
  /** What showed which shares are live, as the record of a rotation has it. */
  readonly by?: string;
  /** From the first failure to the end. */
  readonly repairSeconds: number;
  /** Where it failed: what the last screens showed. */
  readonly detail?: string;
}

const SITTINGS = 10;
/** Within this a cluster must be repaired. */
export const REPAIR_LIMIT = 300;

/** One ceremony, one fault, and whatever people have to do then; judged by what the disks say. */
export async function play(
  lab: Lab,
  judge: Judge,
  { kind, fault, size }: { readonly kind: Kind; readonly fault: Fault; readonly size: Size },
  chance: Chance,
  armed: () => Strike,
  stop?: 'stop',
): Promise<Outcome> {
  const first = await prepare(lab, kind, size);
  const before = lab.shares;
  const known = (await lab.records()).length;
  const strike = armed();
  // Where a failure has changed nothing, people may as well stop as go on.
  const givesUp = chance.fraction() < 0.3 || stop === 'stop';
  const screens: string[] = [];
  const commands: string[] = [];
  let failed = 0;
  let sitting: Sitting | undefined;
  let recovered = false;
  let next: readonly string[] = first;
  let gaveUp = false;
  let by: string | undefined;
  const result = (verdict: Verdict, detail?: string): Outcome => ({
    kind,
    fault,
    verdict,
    request: strike.request,
    calls: strike.calls,
    commands,
    ...(by === undefined ? {} : { by }),
    repairSeconds: failed === 0 ? 0 : (Date.now() - failed) / 1000,
    ...(detail === undefined ? {} : { detail: `${detail}\n${screens.join('\n--- then\n')}` }),
  });
  try {
    for (;;) {
      commands.push(next.join(' '));
      sitting = await sit(lab, next, strike.quorate);
      screens.push(sitting.screen);
      const recovers = next[0] === 'recover' || next.at(-1)?.includes('-recover-') === true;
      if (sitting.code === 0 && recovers) recovered = true;
      if (sitting.code === 0 && next !== UNSEAL) break;
      if (failed === 0) failed = Date.now();
      await strike.over();
      const own = (await lab.records()).slice(known).filter((name) => !name.includes('-unseal-') || kind === 'unseal');
      const fresh = await lab.issued(own.at(-1) ?? '').catch(() => new Map<string, string>());
      if (failed > 0 && commands.length > 1) await rejoin(lab, screens.join('\n'), fresh);
      const after = await follow(lab, kind, sitting, next, first, own);
      if (after === 'over') return result('unknown', 'nothing that was printed leads any further');
      const mayStop = givesUp && sitting.code !== undefined && commands.length === 1 && after[0] !== 'recover';
      if (mayStop && (await isUntouched(lab, kind, own.at(-1)))) {
        gaveUp = true;
        break;
      }
      if (commands.length === SITTINGS) return result('unknown', 'it never ends');
      next = after;
    }
    await strike.over();
    const records = (await lab.records()).slice(known).filter((name) => name.includes(`-${kind}-`));
    const fresh = await lab.issued(records.at(-1) ?? '').catch(() => new Map<string, string>());
    const changed = !gaveUp && !recovered && kind !== 'unseal' && kind !== 'root-token';
    const old = lab.threshold;
    if (changed) lab.threshold = size.threshold;
    const wrong = await disagrees(
      lab,
      judge,
      kind,
      changed ? fresh : before,
      changed ? lab.list(before, old) : lab.list(fresh, size.threshold),
      recovered,
      (nonce) => isTold(lab, nonce, known, gaveUp),
    );
    if (wrong !== undefined) return result(wrong.lost ? 'lost' : 'unknown', wrong.why);
    if (changed) lab.shares = new Map(fresh);
    by = recovered ? 'the snapshot' : await liveBy(lab, records.at(-1));
    if (gaveUp) return result('unchanged');
    const seconds = failed === 0 ? 0 : (Date.now() - failed) / 1000;
    if (seconds > REPAIR_LIMIT) return result('unknown', `it took ${seconds.toFixed(0)} s`);
    return result(failed > 0 || screens.some((screen) => /^!! {2}/m.test(screen)) ? 'repaired' : 'done');
  } catch (error) {
    return result('unknown', error instanceof Error ? error.message : String(error));
  } finally {
    await strike.over().catch(() => undefined);
  }
}

/** Brings the lab to where the ceremony begins; what people then run. */
async function prepare(lab: Lab, kind: Kind, size: Size): Promise<readonly string[]> {
  if (kind === 'init') {
    await startOver(lab.cluster);
    for (const file of ['roster.yaml', 'login.secret-id']) await rm(join(lab.desk, file), { force: true });
    lab.rootToken = '';
    lab.shares = new Map();
    return ['ceremony', 'run', await lab.script('init', initScript(lab))];
  }
  await attend(lab, true);
  if (lab.rootToken === '') await lab.start();
  await lab.ready();
  await lab.write(`before ${Date.now().toString()}`);
  if (kind === 'unseal') {
    await reseal(lab.live());
    return ['unseal'];
  }
  const script =
    kind === 'root-token' ? planOf() : { ceremony: kind, ...size, custodians: lab.custodians(size.shares) };
  return ['ceremony', 'run', await lab.script(kind, script)];
}

function initScript(lab: Lab): Readonly<Record<string, unknown>> {
  const { pgpFile, fingerprint } = lab.administrator;
  return {
    'ceremony': 'init',
    'shares': 3,
    'threshold': lab.threshold,
    'custodians': lab.custodians(),
    'root-token': { pgp: { file: pgpFile, fingerprint } },
    'first-writes': [
      { path: 'sys/auth/approle', data: { type: 'approle' } },
      { path: 'sys/policies/acl/ceremony', data: { policy: INIT_POLICY } },
    ],
    'ceremony-login': {
      'method': 'approle',
      'role': 'ceremony',
      'policies': ['ceremony'],
      'secret-id-file': 'login.secret-id',
    },
  };
}

const INIT_POLICY = `path "sys/rotate/root/*" { capabilities = ["create", "read", "update", "delete"] }
path "sys/generate-root-token/*" { capabilities = ["create", "read", "update", "delete"] }
path "auth/token/accessors" { capabilities = ["list", "sudo"] }
path "auth/token/accessors/" { capabilities = ["list", "sudo"] }
path "auth/token/lookup-accessor" { capabilities = ["create", "update"] }
`;

async function liveBy(lab: Lab, record: string | undefined): Promise<string | undefined> {
  if (record === undefined) return undefined;
  const events = await eventsOf(join(lab.desk, record));
  const live = events.findLast((one) => one.event === 'check' && one.code === 'live-set');
  return live?.event === 'check' ? `${String(live.facts?.['set'])} by ${String(live.facts?.['by'])}` : undefined;
}

/** Nothing has begun to take effect, and nothing is under way: people may as well go home. */
async function isUntouched(lab: Lab, kind: Kind, record: string | undefined): Promise<boolean> {
  if (kind === 'init' || kind === 'unseal') return false;
  // From the last call on nobody leaves before they are told which shares are live.
  if (record !== undefined && currentAttempt(await eventsOf(join(lab.desk, record)))?.lastCallSent === true)
    return false;
  if (await anySealed(lab)) return false;
  await lab.ready();
  const live = lab.live();
  const path = lab.seal === undefined ? 'sys/rotate/root/init' : 'sys/rotate/recovery/init';
  if ((await underWay(live, path)).length > 0) return false;
  return at(await attemptOf(live), 'started') === false && (await rootAccessors(live)).length === 1;
}

/**
 * Whether people know of an attempt at a root token that a peer shows which leads again: quorate has said so in the end,
 * it is of a ceremony before, or they have left it alone.
 */
async function isTold(lab: Lab, nonce: string, known: number, gaveUp: boolean): Promise<boolean> {
  const texts = await Promise.all(
    (await lab.records()).map((name) => readFile(join(lab.desk, name, 'record.jsonl'), 'utf8')),
  );
  const own = texts.slice(known).some((text) => text.includes(gaveUp ? nonce : `void attempt (nonce ${nonce})`));
  return own || texts.slice(0, known).some((text) => text.includes(nonce));
}

/** What the servers and the disks say against the outcome; undefined when they agree with it. */
async function disagrees(
  lab: Lab,
  judge: Judge,
  kind: Kind,
  live: ReadonlyMap<string, string>,
  dead: ShareList,
  recovered: boolean,
  told: (nonce: string) => Promise<boolean>,
): Promise<{ readonly lost: boolean; readonly why: string } | undefined> {
  if (kind !== 'init') {
    await attend(lab, true);
    lab.shares = new Map(live);
    if (!recovered && lab.seal === undefined) await bringBack(lab, dead);
    const faults = recovered ? undefined : await leftovers(lab, kind, told);
    if (faults !== undefined) return { lost: false, why: faults };
  }
  const sets: ShareList[] = [lab.list(live), ...(dead.shares.length === 0 ? [] : [dead])];
  const witnessed = kind === 'init' ? {} : { token: lab.rootToken, witness: lab.witness };
  const whole = kind === 'rotate-root-key' && !recovered;
  for (const index of lab.cluster.peers.keys()) {
    // After a recovery the others are still to join.
    if (recovered && index > 0) continue;
    const { peer, opens } = await judge.judge({ cluster: lab.cluster, index, whole, ...witnessed }, sets);
    if (!opens.includes(true)) return { lost: true, why: `no set of shares opens a copy of ${peer}` };
    if (opens[0] !== true) return { lost: false, why: `a copy of ${peer} opens with the shares that should be dead` };
    if (opens[1] === true) return { lost: false, why: `a copy of ${peer} opens with the old and the new shares` };
  }
  return undefined;
}

async function leftovers(lab: Lab, kind: Kind, told: (nonce: string) => Promise<boolean>): Promise<string | undefined> {
  await waitForAll(lab.cluster, 'is unsealed', (status) => status['sealed'] === false);
  await waitUntil('a peer leads', async () => (await lab.leader()) >= 0);
  await lab.ready();
  const live = lab.live();
  const path = lab.seal === undefined ? 'sys/rotate/root/init' : 'sys/rotate/recovery/init';
  const busy = await underWay(live, path);
  if (busy.length > 0) return `a rotation is still under way on ${busy.join(', ')}`;
  const attempt = await attemptOf(live);
  if (at(attempt, 'started') === true && !(await told(String(at(attempt, 'nonce')))))
    return 'the generation of a root token is still under way';
  const roots = await rootAccessors(live);
  return roots.length === 1 ? undefined : `there are ${roots.length.toString()} root tokens after ${kind}`;
}

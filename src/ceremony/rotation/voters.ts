import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import type { Session } from '../../vault/peer.ts';
import type { Finding, Run } from '../kind.ts';
import { payloadOf, refusal } from './replies.ts';

const CATCH_UP = 10_000;
const HEARD_WITHIN = 10_000;
const POLL = 500;

const server = v.object({
  name: v.optional(v.string()),
  healthy: v.boolean(),
  status: v.string(),
  last_contact: v.optional(v.string(), '0s'),
  last_index: v.pipe(v.number(), v.integer()),
});

/** `sys/storage/raft/autopilot/state`, the same on both servers. */
const autopilot = v.object({
  healthy: v.boolean(),
  failure_tolerance: v.number(),
  leader: v.optional(v.string(), ''),
  servers: v.record(v.string(), server),
});

type Autopilot = v.InferOutput<typeof autopilot>;

const MEND = 'Wait until it has caught up: a rotation with a lagging peer can leave it on the old shares.';

/**
 * Whether Raft could lose a peer and nothing of what is written next: every voter healthy, heard within 10 s and at the
 * index that the leader has now within 10 s (healthy followers were seen to lag 2.5 to 5 s), and with three or more a
 * failure tolerance of at least one.
 */
export async function votersHealthy(
  run: Pick<Run, 'cluster' | 'signal'>,
  session: Session,
): Promise<readonly Finding[]> {
  const { storageType } = await session.peer.sealStatus({ signal: run.signal });
  if (storageType !== '' && storageType !== 'raft') {
    return [
      { code: 'voters', ok: true, finding: `storage is ${storageType}: its own tools tell whether it is healthy` },
    ];
  }
  const first = await readState(run, session);
  if (!('servers' in first)) return [first];
  const start = Math.max(...Object.values(first.servers).map((one) => one.last_index));
  const deadline = Date.now() + CATCH_UP;
  let state = first;
  let faults = faultsOf(state, start, run.cluster.peers.length);
  while (faults.length > 0 && Date.now() < deadline) {
    await sleep(POLL, undefined, { signal: run.signal });
    const next = await readState(run, session);
    if (!('servers' in next)) return [next];
    state = next;
    faults = faultsOf(state, start, run.cluster.peers.length);
  }
  if (faults.length > 0) return faults.map((finding) => ({ code: 'voters', ok: false, finding, mend: MEND }));
  const count = Object.keys(state.servers).length;
  return [
    {
      code: 'voters',
      ok: true,
      finding: `${count.toString()} healthy voters, failure tolerance ${state.failure_tolerance.toString()}, all at index ${start.toString()}`,
    },
  ];
}

async function readState(run: Pick<Run, 'signal'>, session: Session): Promise<Autopilot | Finding> {
  const path = 'sys/storage/raft/autopilot/state';
  const reply = await session.inNamespace('').request('GET', path, undefined, { signal: run.signal });
  const parsed = v.safeParse(autopilot, payloadOf(reply));
  if (reply.status === 200 && parsed.success) return parsed.output;
  return {
    code: 'voters',
    ok: false,
    finding: `the state of Raft cannot be read: ${refusal(session.peer.name, `GET ${path}`, reply).message}`.slice(
      0,
      390,
    ),
    mend: `The ceremony login needs read on ${path}.`,
  };
}

function faultsOf(state: Autopilot, start: number, peers: number): string[] {
  const servers = Object.entries(state.servers);
  const faults = servers.flatMap(([id, one]) => {
    const name = one.name ?? id;
    if (one.status !== 'leader' && one.status !== 'voter') return [`${name} is no voter (${one.status})`];
    if (milliseconds(one.last_contact) > HEARD_WITHIN) return [`${name} was last heard ${one.last_contact} ago`];
    if (one.last_index < start) return [`${name} is ${(start - one.last_index).toString()} entries behind`];
    return one.healthy ? [] : [`${name} is not healthy`];
  });
  if (servers.length !== peers) {
    faults.push(`Raft knows ${servers.length.toString()} peers, quorate.yaml ${peers.toString()}`);
  }
  if (servers.length >= 3 && state.failure_tolerance < 1) faults.push('the loss of one peer would stop the cluster');
  return faults;
}

/** Go's way of writing a duration (`1m2.5s`, `120ms`) in milliseconds. */
function milliseconds(duration: string): number {
  const units: Readonly<Record<string, number>> = {
    h: 3_600_000,
    m: 60_000,
    s: 1000,
    ms: 1,
    us: 0.001,
    µs: 0.001,
    ns: 1e-6,
  };
  return [...duration.matchAll(/([\d.]+)(h|ms|m|s|us|µs|ns)/g)].reduce(
    (sum, [, count, unit = 's']) => sum + Number(count) * (units[unit] ?? 0),
    0,
  );
}

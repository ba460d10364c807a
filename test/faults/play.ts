import { WRITES } from '../support/torn-disk.ts';
import { CALLS, type Cell, type Kind, peersOf } from './cells.ts';
import { Judge } from './judge.ts';
import { type Crew, HOLDERS, Lab, makeCrew, type Size, STATIC_SEAL } from './lab.ts';
import { chanceOf } from './random.ts';
import { arm, armTear, type Strike } from './strike.ts';
import { type Outcome, play } from './trial.ts';

/** One trial, as the seed decides it. */
export interface Job {
  /** Its place in the table: a cell, or the kills. */
  readonly name: string;
  readonly cell: Cell;
  readonly peers: 1 | 3;
  readonly trial: number;
  /** The server is killed in the call that makes a rotation take effect. */
  readonly last: boolean;
  /** The server is killed after so many of the writes of a rotation. */
  readonly torn?: number;
  /** What it kept of the key of the shares was no longer right before. */
  readonly stale?: boolean;
  /** What it rotates to, where that is not what there was. */
  readonly size?: Size;
}

export interface Played extends Outcome {
  readonly name: string;
  readonly trial: number;
  readonly peers: number;
}

export const KILLS = 'kills in the last call';
/** Every so many kills, three peers play. */
const THREE_EVERY = 8;

export function cellJobs(cells: readonly Cell[], trials: number): readonly Job[] {
  return cells.flatMap((cell) =>
    Array.from({ length: trials }, (_, trial) => ({
      name: `${cell.kind}/${cell.fault}`,
      cell,
      peers: peersOf(cell.fault),
      trial,
      last: false,
    })),
  );
}

export function killJobs(kills: number): readonly Job[] {
  return Array.from({ length: kills }, (_, trial) => {
    const peers = trial % THREE_EVERY === THREE_EVERY - 1 ? 3 : 1;
    return {
      name: `${KILLS}, ${peersText(peers)}`,
      cell: { kind: 'rotate-root-key', fault: 'leader killed' },
      peers,
      trial,
      last: true,
    };
  });
}

/** A rotation cut short after each of its writes, and before the first; on three peers in the worst of the places. */
export function tearJobs(trials: number): readonly Job[] {
  const all = WRITES.length;
  const places: readonly Pick<Job, 'torn' | 'stale' | 'peers' | 'size'>[] = [
    ...[0, ...WRITES.map((_, index) => index + 1)].map((torn) => ({ torn, peers: 1 as const })),
    { torn: all - 2, stale: true, peers: 1 },
    // The seal still wants as many shares as before.
    { torn: all - 1, size: { shares: 3, threshold: 3 }, peers: 1 },
    { torn: all - 1, size: { shares: 2, threshold: 2 }, peers: 1 },
    { torn: 2, peers: 3 },
  ];
  return places.flatMap(({ torn = 0, stale = false, size, peers }) =>
    Array.from({ length: trials }, (_, trial) => ({
      name: `killed after ${torn.toString()} of ${all.toString()} writes, ${peersText(peers)}${stale ? ', an old key kept' : ''}${size === undefined ? '' : `, to ${size.threshold.toString()} of ${size.shares.toString()}`}`,
      cell: { kind: 'rotate-root-key', fault: 'leader killed' } as const,
      peers,
      trial,
      last: true,
      torn,
      stale,
      ...(size === undefined ? {} : { size }),
    })),
  );
}

const peersText = (peers: number): string => `${peers.toString()} peer${peers === 1 ? '' : 's'}`;

/** Plays all jobs on as many lanes side by side, each with clusters of its own; tells each outcome as it comes. */
export async function playAll(
  jobs: readonly Job[],
  { seed, lanes, tell }: { readonly seed: string; readonly lanes: number; readonly tell: (played: Played) => void },
): Promise<readonly Played[]> {
  const crew = await makeCrew();
  const queue = [...jobs];
  const all: Played[] = [];
  const taken = new Set<string>();
  const lane = async (): Promise<void> => {
    const labs = new Labs(crew);
    for (;;) {
      const job = next(queue, labs, taken);
      if (job === undefined) break;
      queue.splice(queue.indexOf(job), 1);
      taken.add(keyOf(job));
      const played = await playOne(labs, job, seed);
      // Discarded: whoever plays the next one sets it up anew.
      if (!labs.has(job)) taken.delete(keyOf(job));
      all.push(played);
      tell(played);
    }
    await labs.close();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return all;
}

/**
 * A cluster that is there already is the quickest to play on; three peers are not set up twice. Of those that share a
 * cluster the inits come last, which wipe it.
 */
function next(queue: readonly Job[], labs: Labs, taken: ReadonlySet<string>): Job | undefined {
  const [job] = [
    ...queue.filter((one) => labs.has(one)),
    ...queue.filter((one) => !taken.has(keyOf(one))),
    ...queue.filter(({ peers }) => peers === 1),
  ];
  const beside = queue.filter((one) => job !== undefined && keyOf(one) === keyOf(job));
  return beside.find(({ cell }) => cell.kind !== 'init') ?? beside[0];
}

const TRIES = 3;

async function playOne(labs: Labs, job: Job, seed: string): Promise<Played> {
  const { name, cell, peers, trial, last } = job;
  const chance = chanceOf(seed, name, trial);
  let place = chance.below(CALLS[cell.kind][peers]);
  for (let tries = 1; ; tries += 1) {
    const { lab, judge } = await labs.get(job);
    let verifications = 0;
    const hits = (request: string, number: number): boolean => {
      if (!last) return number === place;
      if (request === 'PUT sys/rotate/root/verify') verifications += 1;
      return verifications === (job.size ?? lab).threshold;
    };
    const armed = (): Strike =>
      job.torn === undefined
        ? arm(lab, cell.fault, chance, hits)
        : armTear(lab, job.torn, { ...job.size, stale: job.stale === true });
    const { size = { shares: HOLDERS.length, threshold: lab.threshold } } = job;
    const outcome = await play(lab, judge, { ...cell, size }, chance, armed, last ? 'stop' : undefined);
    const bad = outcome.verdict === 'unknown' || outcome.verdict === 'lost';
    // After a recovery the other peers would have to join anew.
    if (bad || (outcome.by === 'the snapshot' && peers > 1)) await labs.discard(job);
    // Fewer calls than usual were made: the fault has struck nothing.
    if (bad || outcome.request !== undefined || tries === TRIES) return { ...outcome, name, trial, peers };
    place = Math.floor(place / 2);
  }
}

/** The clusters of one lane, opened when they are first needed. */
class Labs {
  readonly #crew: Crew;
  readonly #labs = new Map<string, Lab>();
  readonly #judges = new Map<string, Judge>();

  constructor(crew: Crew) {
    this.#crew = crew;
  }

  has(job: Job): boolean {
    return this.#labs.has(keyOf(job));
  }

  async get(job: Job): Promise<{ readonly lab: Lab; readonly judge: Judge }> {
    const seal = sealOf(job.cell.kind);
    const lab =
      this.#labs.get(keyOf(job)) ??
      (await Lab.open({ peers: job.peers, ...(seal === undefined ? {} : { seal }) }, this.#crew));
    this.#labs.set(keyOf(job), lab);
    const judge = this.#judges.get(seal ?? '') ?? (await Judge.open(seal));
    this.#judges.set(seal ?? '', judge);
    return { lab, judge };
  }

  async discard(job: Job): Promise<void> {
    const lab = this.#labs.get(keyOf(job));
    this.#labs.delete(keyOf(job));
    await lab?.close();
  }

  async close(): Promise<void> {
    for (const lab of this.#labs.values()) await lab.close();
    this.#labs.clear();
  }
}

function sealOf(kind: Kind): string | undefined {
  return kind === 'rotate-recovery-key' ? STATIC_SEAL : undefined;
}

/** Which jobs play on the same cluster. */
function keyOf({ cell, peers }: Job): string {
  const use = cell.kind === 'rotate-recovery-key' ? cell.kind : 'shares';
  return `${use} ${peers.toString()}`;
}

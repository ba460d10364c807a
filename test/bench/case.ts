/** What one run of a side came to: one number for each measure, such as `{time: 41.2, memory: 52.8}`. */
export type Sample = Readonly<Record<string, number>>;

/** One side of a comparison. Called once for each run; what it does outside of its own measuring does not count. */
export type Side = () => Promise<Sample>;

export interface Measure {
  /** Which of the sample's numbers. */
  readonly measure: string;
  /** ms, MB, events/s, ... */
  readonly unit: string;
  /** The bound. It holds for `ours / reference`, or with `of: 'ours'` for our own number. None: it is only shown. */
  readonly goal?: number;
  readonly of?: 'ratio' | 'ours';
  /** Which side of the bound is good: `lower` (times, memory) unless said otherwise. */
  readonly better?: 'lower' | 'higher';
}

export interface Prepared {
  readonly ours: Side;
  readonly reference: Side;
  /** Stops what `prepare` started. Called whatever happens. */
  close?(): Promise<void>;
}

/**
 * One benchmark: a file in cases/ exports it as `benchmark`. Sides that are whole commands come from
 * `processSide`; a side that measures a rate inside this process returns its own sample.
 */
export interface Benchmark {
  readonly name: string;
  readonly measures: readonly Measure[];
  /** How many pairs to run after the warm-up. */
  readonly runs: number;
  /** Starts what both sides need (a cluster, files), unmeasured. */
  prepare(): Promise<Prepared>;
}

/** One line of the result. */
export interface Row {
  readonly name: string;
  readonly ours: number;
  readonly reference: number;
  readonly ratio: number;
  readonly goal?: number;
  readonly goalOf: 'ratio' | 'ours';
  readonly met: boolean;
  readonly unit: string;
  readonly runs: number;
}

import type { Benchmark, Measure, Row, Sample } from './case.ts';

/**
 * Runs both sides in turn, pair by pair, so that whatever else the machine is doing meets both alike; the first pair
 * warms the caches up and does not count. Numbers are medians over the runs.
 */
export async function compare(benchmark: Benchmark, runs = benchmark.runs): Promise<Row[]> {
  const prepared = await benchmark.prepare();
  const ours: Sample[] = [];
  const reference: Sample[] = [];
  try {
    await prepared.reference();
    await prepared.ours();
    for (let run = 0; run < runs; run += 1) {
      reference.push(await prepared.reference());
      ours.push(await prepared.ours());
    }
  } finally {
    await prepared.close?.();
  }
  return benchmark.measures.map((measure) => row(benchmark, measure, ours, reference));
}

function row(benchmark: Benchmark, measure: Measure, ours: readonly Sample[], reference: readonly Sample[]): Row {
  const values = (samples: readonly Sample[]): number[] =>
    samples.map((sample) => {
      const value = sample[measure.measure];
      if (value === undefined) throw new Error(`${benchmark.name}: a side does not measure ${measure.measure}`);
      return value;
    });
  const our = median(values(ours));
  const their = median(values(reference));
  const ratio = our / their;
  const goalOf = measure.of ?? 'ratio';
  const judged = goalOf === 'ratio' ? ratio : our;
  return {
    name: benchmark.measures.length === 1 ? benchmark.name : `${benchmark.name} ${measure.measure}`,
    ours: our,
    reference: their,
    ratio,
    ...(measure.goal === undefined ? {} : { goal: measure.goal }),
    goalOf,
    met: measure.goal === undefined || (measure.better === 'higher' ? judged >= measure.goal : judged <= measure.goal),
    unit: measure.unit,
    runs: ours.length,
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[middle - 1 + (sorted.length % 2)], sorted[middle]];
  if (low === undefined || high === undefined) throw new Error('the median of nothing');
  return (low + high) / 2;
}

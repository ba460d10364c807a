import { describe, expect, it } from 'vitest';
import type { Benchmark, Sample } from './case.ts';
import { compare, median } from './compare.ts';

function made(ours: number[], reference: number[], calls: string[] = []): Benchmark {
  const side = (name: string, values: number[]) => (): Promise<Sample> => {
    calls.push(name);
    return Promise.resolve({ time: values.shift() ?? 0 });
  };
  return {
    name: 'made',
    measures: [{ measure: 'time', unit: 'ms', goal: 0.5 }],
    runs: 3,
    prepare: () =>
      Promise.resolve({
        ours: side('ours', ours),
        reference: side('reference', reference),
        close: () => Promise.resolve(void calls.push('close')),
      }),
  };
}

describe('compare', () => {
  it('runs the sides in turn, leaves the warm-up out, and compares medians', async () => {
    const calls: string[] = [];
    const [row] = await compare(made([900, 1, 90, 2], [900, 8, 4, 2], calls));
    expect(calls.join(' ')).toBe('reference ours reference ours reference ours reference ours close');
    expect(row).toEqual({
      ...{ name: 'made', ours: 2, reference: 4, ratio: 0.5, goal: 0.5, goalOf: 'ratio', met: true },
      ...{ unit: 'ms', runs: 3 },
    });
  });

  it('judges by the ratio, by our own number, and where more is better', async () => {
    const judged = async (measure: object): Promise<boolean | undefined> => {
      const benchmark = made([0, 6, 6, 6], [0, 8, 8, 8]);
      const measures = benchmark.measures.map((standard) => ({ ...standard, ...measure }));
      return (await compare({ ...benchmark, measures }))[0]?.met;
    };
    expect(await judged({})).toBe(false);
    expect(await judged({ goal: undefined })).toBe(true);
    expect(await judged({ better: 'higher' })).toBe(true);
    expect(await judged({ of: 'ours', goal: 6 })).toBe(true);
    expect(await judged({ of: 'ours', goal: 5 })).toBe(false);
  });

  it('closes what it prepared when a side fails', async () => {
    const calls: string[] = [];
    const benchmark = made([], [], calls);
    const failing = async (): ReturnType<Benchmark['prepare']> => ({
      ...(await benchmark.prepare()),
      ours: () => Promise.reject(new Error('no')),
    });
    await expect(compare({ ...benchmark, prepare: failing })).rejects.toThrow('no');
    expect(calls).toEqual(['reference', 'close']);
  });
});

describe('median', () => {
  it('is the middle, or between the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });
});

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordEvent } from '../../../src/ceremony/record/events.ts';
import { lineText, NO_LINE, sha256 } from '../../../src/ceremony/record/line.ts';
import { accepted, opened } from '../../ceremony/record/samples.ts';
import type { Benchmark, Side } from '../case.ts';
import { processSide, type ProcessRun } from '../process-side.ts';
import { environment, QUORATE } from '../quorate.ts';

const EVENTS = 10_000;

/** Verifying a long record, as a whole process, against nothing but the SHA-256 of its bytes. */
export const benchmark: Benchmark = {
  name: 'record',
  measures: [{ measure: 'rate', unit: 'events/s', goal: EVENTS, of: 'ours', better: 'higher' }],
  runs: 10,
  async prepare() {
    const folder = await mkdtemp(join(tmpdir(), 'quorate-bench-'));
    const record = join(folder, 'record');
    const file = join(record, 'record.jsonl');
    await mkdir(record);
    await writeFile(file, chained(EVENTS));
    // Nobody has signed it and it stays open, which is for status 5; every line is checked all the same.
    return {
      ours: rate({
        commands: [[QUORATE, 'ceremony', 'verify', record, '--format', 'json']],
        env: environment(),
        exits: [5],
      }),
      reference: rate({ commands: [['sha256sum', file]] }),
      close: () => rm(folder, { recursive: true }),
    };
  },
};

function rate(run: ProcessRun): Side {
  const side = processSide(run);
  return async () => ({ rate: (EVENTS * 1000) / ((await side())['time'] ?? NaN) });
}

/** What a recorder would have written, without a flush to disk for each line. */
function chained(count: number): string {
  const lines: string[] = [];
  let prev = NO_LINE;
  for (let seq = 1; seq <= count; seq += 1) {
    const event: RecordEvent = seq === 1 ? opened : accepted(seq % 3);
    const text = lineText({ ...event, seq, time: new Date(seq * 1000).toISOString(), prev });
    if (text === undefined) throw new Error('the event has no canonical form');
    prev = sha256(text);
    lines.push(`${text}\n`);
  }
  return lines.join('');
}

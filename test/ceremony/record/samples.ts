import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordEvent } from '../../../src/ceremony/record/events.ts';
import { createRecord } from '../../../src/ceremony/record/recorder.ts';

export const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

export const temporary = (): string => mkdtempSync(join(tmpdir(), 'quorate-record-'));

/** A clock that goes one second a call, so that records of tests are always the same. */
export function clock(): () => Date {
  let time = Date.UTC(2027, 0, 12, 10, 0, 0);
  return () => new Date((time += 1000));
}

export const opened = {
  event: 'ceremony.opened',
  id: '2027-01-12-unseal-19fe',
  kind: 'unseal',
  title: 'Unsealing <prod> after the power cut',
  cluster: 'prod-eu',
  shares: 5,
  threshold: 3,
  script: digestOf('script'),
  scriptFile: 'script.yaml',
  quorate: { version: '0.1.0', build: digestOf('build') },
} as const satisfies RecordEvent;

export const closed = (outputs: Record<string, string> = {}): RecordEvent => ({
  event: 'ceremony.closed',
  result: 'complete',
  outputs,
});

export const accepted = (number: number): RecordEvent => ({
  event: 'share.accepted',
  step: '2',
  who: 'Alice Example',
  x: '3f',
  fingerprint: digestOf(number.toString()),
  generation: 4,
  peer: 'vault-1',
  request: 'PUT sys/unseal',
  expected: { progress: number },
  actual: { progress: number, sealed: true },
});

/** Writes a record with `events` and gives its head. */
export async function writeRecord(path: string, events: readonly RecordEvent[], mode?: 'REHEARSAL'): Promise<string> {
  const recorder = await createRecord(path, { now: clock(), mode });
  for (const event of events) await recorder.append(event);
  await recorder.close();
  return recorder.last;
}

import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RecordEvent } from '../../../src/ceremony/record/events.ts';
import { checkRecord, readRecord, readSoundRecord } from '../../../src/ceremony/record/read.ts';
import { createRecord, reopenRecord } from '../../../src/ceremony/record/recorder.ts';
import { Secret } from '../../../src/secret.ts';
import { accepted, clock, closed, opened, temporary, writeRecord } from './samples.ts';

const fresh = (): string => join(temporary(), 'record.jsonl');
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('writing', () => {
  test('each line is canonical, numbered, and carries the SHA-256 of the one before', async () => {
    const path = fresh();
    const head = await writeRecord(path, [opened, accepted(1), closed()], 'REHEARSAL');
    const lines = readFileSync(path, 'utf8').split('\n');
    expect(lines.pop()).toBe('');
    let prev = 'none';
    for (const [index, line] of lines.entries()) {
      expect(JSON.parse(line)).toMatchObject({ seq: index + 1, prev, mode: 'REHEARSAL' });
      prev = `sha256:${createHash('sha256').update(line).digest('hex')}`;
    }
    expect(head).toBe(prev);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const record = await readSoundRecord(path);
    expect(record).toMatchObject({ faults: [], notes: [], head, mode: 'REHEARSAL', closed: true, torn: 0 });
  });

  test('it overwrites nothing', async () => {
    const path = fresh();
    writeFileSync(path, 'here first');
    await expect(createRecord(path)).rejects.toMatchObject({ code: 'file-exists' });
    expect(readFileSync(path, 'utf8')).toBe('here first');
  });

  test('appends at the same time become lines one after another, in order', async () => {
    const path = fresh();
    const recorder = await createRecord(path);
    await Promise.all([recorder.append(opened), ...Array.from({ length: 50 }, (_, i) => recorder.append(accepted(i)))]);
    const closing = recorder.append(closed());
    await recorder.close();
    expect((await closing).seq).toBe(52);
    const record = await readSoundRecord(path);
    expect(record.lines.slice(1, -1).map((line) => 'actual' in line && line.actual['progress'])).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
    expect(recorder.last).toBe(record.head);
  });

  test('an event that is not in the schema leaves no trace, and the next one goes on', async () => {
    const path = fresh();
    const recorder = await createRecord(path);
    await recorder.append(opened);
    const before = readFileSync(path);
    for (const event of [
      { event: 'note', text: 'x', token: 'canary' },
      { event: 'note', text: Secret.fromText('canary') },
      { event: 'note', text: 'x', seq: 9 },
      { event: 'note', text: 'x', prev: 'none' },
      { event: 'canary' },
      'canary',
      JSON.parse('{"event":"people","say":"x","fields":{"__proto__":"canary"}}') as unknown,
      JSON.parse('{"event":"note","text":"x","__proto__":"canary"}') as unknown,
    ]) {
      const error: unknown = await recorder.append(event as RecordEvent).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'record-invalid' });
      expect(inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error)).not.toContain('canary');
    }
    expect(readFileSync(path)).toEqual(before);
    expect((await recorder.append({ event: 'note', step: undefined, text: 'on' })).seq).toBe(2);
    await recorder.close();
    expect((await readRecord(path)).faults).toEqual([]);
  });

  test('what the caller changes later is not what was recorded', async () => {
    const path = fresh();
    const recorder = await createRecord(path);
    const event = { event: 'request', peer: 'p', request: 'r', expected: { a: 1 }, actual: {} } satisfies RecordEvent;
    const opening = recorder.append(opened);
    const appended = recorder.append(event);
    event.expected.a = 2;
    await opening;
    expect(await appended).toMatchObject({ expected: { a: 1 } });
    await recorder.close();
  });

  test('a record opens first and once, and nothing follows its closing', async () => {
    const recorder = await createRecord(fresh());
    await expect(recorder.append(accepted(1))).rejects.toMatchObject({ code: 'bug' });
    await recorder.append(opened);
    await expect(recorder.append(opened)).rejects.toMatchObject({ code: 'bug' });
    await recorder.append(closed());
    await expect(recorder.append(accepted(1))).rejects.toMatchObject({ code: 'bug' });
    await recorder.close();
    await expect(recorder.append(accepted(1))).rejects.toMatchObject({ code: 'bug' });
  });

  test('a second writer is noticed, and nothing of the first is harmed', async () => {
    const path = fresh();
    const recorder = await createRecord(path);
    await recorder.append(opened);
    const other = await reopenRecord(path);
    await other.append(accepted(1));
    await expect(recorder.append(accepted(2))).rejects.toMatchObject({ code: 'file-invalid' });
    await other.close();
    expect((await readRecord(path)).faults).toEqual([]);
  });
});

describe('going on after an interruption', () => {
  test('the chain goes on', async () => {
    const path = fresh();
    const recorder = await createRecord(path, { mode: 'REHEARSAL' });
    await recorder.append(opened);
    await recorder.close();
    const again = await reopenRecord(path);
    expect(again).toMatchObject({ mode: 'REHEARSAL', last: recorder.last });
    await again.append({ event: 'ceremony.resumed', from: `sha256:${'7'.repeat(64)}`, quorate: opened.quorate });
    await again.close();
    expect(await readRecord(path)).toMatchObject({ faults: [], mode: 'REHEARSAL' });
  });

  test('half a last line, cut anywhere, is removed and recorded', async () => {
    const path = fresh();
    await writeRecord(path, [opened, accepted(1), accepted(2)]);
    const whole = readFileSync(path);
    const start = whole.lastIndexOf(0x0a, whole.length - 2) + 1;
    for (let end = start + 1; end < whole.length; end += 7) {
      writeFileSync(path, whole.subarray(0, end));
      expect(await readRecord(path)).toMatchObject({ torn: end - start, faults: [{ kind: 'torn', line: 3 }] });
      const again = await reopenRecord(path, { now: clock() });
      await again.close();
      const record = await readSoundRecord(path);
      expect(record.lines.map(({ event }) => event)).toEqual(['ceremony.opened', 'share.accepted', 'exception']);
    }
  });

  test('a last line that is whole but wrong is not cut, nor is one in the middle', async () => {
    const path = fresh();
    await writeRecord(path, [opened, accepted(1)]);
    for (const damage of ['half\n', '\n', '{"event":"note"}\n{"half']) {
      const before = readFileSync(path);
      appendFileSync(path, damage);
      const damaged = readFileSync(path);
      await expect(reopenRecord(path)).rejects.toMatchObject({ code: 'record-invalid' });
      expect(readFileSync(path)).toEqual(damaged);
      writeFileSync(path, before);
    }
  });

  test('nothing but half a first line is no ceremony to resume', async () => {
    const path = fresh();
    for (const content of ['', '{"event":']) {
      writeFileSync(path, content);
      await expect(reopenRecord(path)).rejects.toMatchObject({ code: 'record-invalid' });
      expect(readFileSync(path, 'utf8')).toBe(content);
    }
    await expect(reopenRecord(fresh())).rejects.toMatchObject({ code: 'file-missing' });
  });

  test('what ended incomplete can be resumed, what is complete cannot', async () => {
    const path = fresh();
    await writeRecord(path, [opened, { event: 'ceremony.closed', result: 'incomplete', outputs: {} }]);
    const again = await reopenRecord(path);
    await expect(again.append(accepted(1))).rejects.toMatchObject({ code: 'bug' });
    await again.append({ event: 'ceremony.resumed', from: `sha256:${'7'.repeat(64)}`, quorate: opened.quorate });
    await again.append(accepted(1));
    await again.close();
    expect((await readRecord(path)).faults).toEqual([]);
  });
});

describe('checking', async () => {
  const path = fresh();
  const head = await writeRecord(path, [opened, ...Array.from({ length: 8 }, (_, i) => accepted(i)), closed()]);
  const whole = new Uint8Array(readFileSync(path));
  const found = (bytes: Uint8Array): boolean => {
    const record = checkRecord(bytes);
    return record.faults.length > 0 || record.head !== head;
  };
  const position = fc.nat({ max: whole.length - 1 });
  const spliced = (at: number, remove: number, insert: Uint8Array): Uint8Array =>
    Uint8Array.from([...whole.subarray(0, at), ...insert, ...whole.subarray(at + remove)]);

  test('finds any changed byte', () => {
    fc.assert(
      fc.property(position, fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = whole.slice();
        bytes[at] = (bytes[at] ?? 0) ^ change;
        expect(found(bytes)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test('finds any added, removed or replaced bytes', () => {
    const some = fc.uint8Array({ maxLength: 4 });
    fc.assert(
      fc.property(position, fc.nat({ max: 4 }), some, (at, remove, insert) => {
        const bytes = spliced(at, remove, insert);
        fc.pre(Buffer.compare(bytes, whole) !== 0);
        expect(found(bytes)).toBe(true);
      }),
      { numRuns: 500 },
    );
    for (const blank of [' ', '\n', '\r', '\ufeff']) expect(found(spliced(0, 0, encode(blank)))).toBe(true);
  });

  test('a change before the last line is found without knowing the head', () => {
    const last = whole.lastIndexOf(0x0a, whole.length - 2);
    fc.assert(
      fc.property(fc.nat({ max: last }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = whole.slice();
        bytes[at] = (bytes[at] ?? 0) ^ change;
        expect(checkRecord(bytes).faults.length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });

  test('finds lines left out, doubled and swapped', () => {
    const lines = new TextDecoder().decode(whole).trimEnd().split('\n');
    const joined = (some: readonly string[]): Uint8Array => encode(some.map((line) => `${line}\n`).join(''));
    for (let i = 0; i < lines.length; i += 1) {
      expect(found(joined(lines.toSpliced(i, 1)))).toBe(true);
      expect(found(joined(lines.toSpliced(i, 0, lines[i] ?? '')))).toBe(true);
      if (i > 0) expect(found(joined(lines.toSpliced(i - 1, 2, lines[i] ?? '', lines[i - 1] ?? '')))).toBe(true);
    }
  });

  test('says in which line, and of what kind, and quotes nothing', () => {
    const text = new TextDecoder().decode(whole);
    const of = (bytes: string): unknown[] => checkRecord(encode(bytes)).faults.map(({ line, kind }) => [line, kind]);
    expect(of(text.replace('"seq":3', '"seq":30'))).toEqual([
      [3, 'sequence'],
      [4, 'chain'],
    ]);
    expect(of(text.replace('"seq":1,', '"mode":"REHEARSAL","seq":1,'))).toContainEqual([1, 'canonical']);
    expect(of(text.replace('"seq":10,', '"canary":1,"seq":10,'))).toEqual([[10, 'schema']]);
    expect(of(text.replace('{', '{ '))).toEqual([
      [1, 'canonical'],
      [2, 'chain'],
    ]);
    expect(of(text.replace('"event"', '"event":"canary","event"'))).toContainEqual([1, 'canonical']);
    expect(of('')).toEqual([[1, 'order']]);
    expect(of('canary\n')).toEqual([[1, 'form']]);
    expect(of(text.slice(0, -1))).toEqual([[10, 'torn']]);
    expect(JSON.stringify(checkRecord(encode(text.replaceAll('Alice', 'canary\\n'))).faults)).not.toContain('canary');
  });

  test('a rehearsal in a real record is a fault, a clock that goes back is a note', async () => {
    const file = fresh();
    await writeRecord(file, [opened]);
    const recorder = await reopenRecord(file, { now: () => new Date(0) });
    await recorder.append(accepted(1));
    await recorder.close();
    expect(await readRecord(file)).toMatchObject({ faults: [], notes: [{ line: 2 }] });

    const rehearsal = fresh();
    await writeRecord(rehearsal, [opened, accepted(1)], 'REHEARSAL');
    const mixed = readFileSync(rehearsal, 'utf8').replace('"mode":"REHEARSAL",', '');
    const lines = mixed.split('\n');
    expect(lines[0]).not.toContain('REHEARSAL');
    expect(checkRecord(encode(mixed)).faults.map(({ kind }) => kind)).toContain('mode');
  });

  test('checks 10,000 events quickly', async () => {
    const { lineText, sha256 } = await import('../../../src/ceremony/record/line.ts');
    let prev = 'none';
    const time = '2027-01-12T10:00:00.000Z';
    const lines = Array.from({ length: 10_000 }, (_, i) => {
      const line = lineText({ ...(i === 0 ? opened : accepted(i)), seq: i + 1, time, prev }) ?? '';
      prev = sha256(line);
      return `${line}\n`;
    });
    const bytes = encode(lines.join(''));
    const started = performance.now();
    expect(checkRecord(bytes).faults).toEqual([]);
    console.log(`10,000 events checked in ${(performance.now() - started).toFixed(0)} ms`);
  });
});

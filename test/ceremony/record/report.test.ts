import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSoundRecord } from '../../../src/ceremony/record/read.ts';
import { markup } from '../../../src/ceremony/record/report-html.ts';
import { renderReport } from '../../../src/ceremony/record/report.ts';
import { digestWords } from '../../../src/ceremony/record/words.ts';
import { digestOf, everything, opened, temporary, writeRecord } from './samples.ts';

const record = async (events = everything({ 'roster.yaml': digestOf('roster') }), mode?: 'REHEARSAL') => {
  const path = join(temporary(), 'record.jsonl');
  await writeRecord(path, events, mode);
  return await readSoundRecord(path);
};

/** What a reader sees, roughly: text without markup. */
const visible = (page: string): string =>
  page
    .slice(page.indexOf('<body>'))
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ');

function strings(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
}

describe('the report', () => {
  test('reads like this', async () => {
    const { lines } = await record(undefined, 'REHEARSAL');
    await expect(renderReport(lines)).toMatchFileSnapshot('report.snapshot.html');
  });

  test('shows every word of the record', async () => {
    const { lines } = await record();
    const text = visible(renderReport(lines));
    for (const { seq, time, prev, event, ...fields } of lines) {
      expect(time).not.toBe('');
      expect(prev).not.toBe('');
      for (const said of strings(fields)) {
        if (event === 'step.done' || /^20\d\d-.*Z$/.test(said)) continue;
        const shown = said.replaceAll('\u202e', '[U+202E]').replaceAll(/\s+/g, ' ');
        expect(text, `event ${seq.toString()}, ${event}`).toContain(shown);
      }
    }
  });

  test('shows the head, in digits and words', async () => {
    const { lines, head } = await record();
    const text = visible(renderReport(lines));
    expect(text).toContain(head);
    expect(text).toContain(digestWords(head).join(' '));
  });

  test('takes nothing from outside, runs nothing, and says so to the browser', async () => {
    const { lines } = await record();
    const page = renderReport(lines);
    expect(page).not.toMatch(/<script|<img|<link|<iframe|<form|\son\w+=|javascript:|url\(|@import|style="/i);
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    const style = /<style>([\s\S]*)<\/style>/.exec(page)?.[1] ?? '';
    const hash = createHash('sha256').update(style).digest('base64');
    expect(page.replaceAll('&#39;', "'")).toContain(`content="default-src 'none'; style-src 'sha256-${hash}'`);
  });

  test('says REHEARSAL of a rehearsal only', async () => {
    expect(renderReport((await record()).lines)).not.toContain('REHEARSAL</strong>');
    const page = renderReport((await record(undefined, 'REHEARSAL')).lines);
    expect(page).toContain('<title>REHEARSAL: ');
    expect(page.split('REHEARSAL</strong>')).toHaveLength(3);
  });

  test('says so when the ceremony is not closed, and when nothing went wrong', async () => {
    const text = visible(renderReport((await record([opened])).lines));
    expect(text).toContain('NOT CLOSED');
    expect(text).toContain('None was recorded');
    expect(() => renderReport([])).toThrow(expect.objectContaining({ code: 'bug' }) as Error);
  });

  test('is the same for the same record', async () => {
    const { lines } = await record();
    expect(renderReport(lines)).toBe(renderReport(lines));
  });
});

test('values are escaped wherever they stand', () => {
  expect(markup`<a title="${`"><b>'&`}">${['<', 1, null, undefined, markup`<i>`]}</a>`.text).toBe(
    '<a title="&quot;&gt;&lt;b&gt;&#39;&amp;">&lt;1<i></a>',
  );
});

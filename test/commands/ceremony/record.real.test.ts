import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { command as report } from '../../../src/commands/ceremony/report.ts';
import { command as sign } from '../../../src/commands/ceremony/sign.ts';
import { command as verify } from '../../../src/commands/ceremony/verify.ts';
import { makeSignedFolder } from '../../ceremony/record/signed-folder.ts';
import type { Command } from '../../../src/commands/command.ts';
import type { Context } from '../../../src/context.ts';
import { capture } from './context.ts';

/** As the command line does: its values are what the command's options say. */
const run = async (command: Command, context: Context, values: Record<string, unknown>, args: readonly string[]) =>
  await command.run(context, values as Parameters<Command['run']>[1], args);

const { base, made, head, ada, dana, copy } = await makeSignedFolder();
afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

describe('ceremony verify', () => {
  test('exits 0 when everything is proved, by folder and by file', async () => {
    for (const record of ['made', 'made/record.jsonl']) {
      const { context, lines, results } = capture(base);
      const values = { 'allowed-signers': 'allowed_signers', 'require': ['witness', 'administrator'], head };
      expect(await run(verify, context, values, [record])).toBe(0);
      expect(results[0]).toMatchObject({ ok: true, head });
      expect(lines.at(-1)).toBe('Verified.');
    }
  });

  test('exits 5 when signatures are unchecked, and says so loudly', async () => {
    const { context, lines } = capture(base);
    expect(await run(verify, context, {}, ['made'])).toBe(5);
    expect(lines.join('\n')).toContain('SIGNATURES UNCHECKED');
    expect(lines.at(-1)).toBe('NOT verified: 0 failed, 3 unchecked.');
  });

  test('exits 5 when something fails', async () => {
    const folder = copy('changed');
    const path = join(folder, 'record.jsonl');
    writeFileSync(path, readFileSync(path, 'utf8').replace('said', 'sang'));
    const { context, lines } = capture(base);
    expect(await run(verify, context, { 'allowed-signers': 'allowed_signers' }, ['changed'])).toBe(5);
    expect(lines.join('\n')).toContain('line 6: prev is not the SHA-256 of the line before');
  });

  test('wants a record and roles that exist', async () => {
    const { context } = capture(base);
    await expect(run(verify, context, {}, [])).rejects.toMatchObject({ code: 'usage' });
    await expect(run(verify, context, { require: ['king'] }, ['made'])).rejects.toMatchObject({ code: 'usage' });
    await expect(run(verify, context, {}, ['nothing'])).rejects.toMatchObject({ code: 'file-missing' });
  });
});

describe('ceremony sign', () => {
  test('signs, and what it signed verifies', async () => {
    const folder = copy('to-sign');
    rmSync(join(folder, 'signatures'), { recursive: true });
    const { context, lines } = capture(base);
    expect(await run(sign, context, { key: ada.file, as: 'Ada Example' }, ['to-sign'])).toBeUndefined();
    expect(lines).toEqual(['Ada Example signed the record: signatures/ada-example.sig']);
    const check = capture(base);
    expect(await run(verify, check.context, { 'allowed-signers': 'allowed_signers' }, ['to-sign'])).toBe(0);

    await run(sign, context, { key: 'dana.pub.gone', as: 'Dana Example' }, ['to-sign']).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'key-unusable' });
    });
    await run(sign, context, { key: dana.file, as: 'Dana Example', disagree: 'the bag was open' }, ['to-sign']);
    expect(await run(verify, check.context, { 'allowed-signers': 'allowed_signers' }, ['to-sign'])).toBe(5);
  });

  test('wants a record, a key and a name', async () => {
    const { context } = capture(base);
    await expect(run(sign, context, { key: ada.file }, ['made'])).rejects.toMatchObject({ code: 'usage' });
    await expect(run(sign, context, { as: 'Ada Example' }, ['made'])).rejects.toMatchObject({ code: 'usage' });
    await expect(run(sign, context, { key: ada.file, as: 'Ada' }, [])).rejects.toMatchObject({ code: 'usage' });
  });
});

describe('ceremony report', () => {
  test('prints the page, or writes it to a file that is not there yet', async () => {
    const printed = capture(base);
    await run(report, printed.context, {}, ['made']);
    expect(`${printed.lines.join('\n')}\n`).toBe(readFileSync(join(made, 'report.html'), 'utf8'));
    const written = capture(base);
    await run(report, written.context, { output: 'page.html' }, ['made']);
    expect(written.results).toEqual([{ head, file: join(base, 'page.html') }]);
    expect(readFileSync(join(base, 'page.html'))).toEqual(readFileSync(join(made, 'report.html')));
    await expect(run(report, written.context, { output: 'page.html' }, ['made'])).rejects.toMatchObject({
      code: 'file-exists',
    });
  });

  test('makes no page of a record that is not sound', async () => {
    writeFileSync(join(base, 'bad.jsonl'), '{}\n');
    await expect(run(report, capture(base).context, {}, ['bad.jsonl'])).rejects.toMatchObject({
      code: 'record-invalid',
    });
  });
});

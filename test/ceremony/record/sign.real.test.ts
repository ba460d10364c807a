import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { finishFolder } from '../../../src/ceremony/record/outputs.ts';
import { reopenRecord } from '../../../src/ceremony/record/recorder.ts';
import { makeSignedFolder, people, signWith } from './signed-folder.ts';
import { opened, temporary, writeRecord } from './samples.ts';

const { base, made, head, ada, dana, mallory, copy, forge, verify } = await makeSignedFolder();
afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

describe('stock tools', () => {
  const shell = (folder: string, script: string): string =>
    execFileSync('sh', ['-c', script], {
      cwd: folder,
      env: { PATH: process.env['PATH'], LANG: 'C.UTF-8', YOUR_SIGNERS: slugSigners() },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).toString();
  const slugSigners = (): string => {
    const file = join(base, 'stock_signers');
    writeFileSync(file, `ada-example ${ada.line}\ndana-example ${dana.line}\n`);
    return file;
  };
  /** The commands of CHECK.txt: what stands at the margin between two numbered paragraphs. */
  const commands = (folder: string): readonly string[] => {
    const text = readFileSync(join(folder, 'CHECK.txt'), 'utf8');
    return text
      .split(/^\d\. /m)
      .slice(1)
      .map((part) => part.split(/:\n\n/)[1]?.split(/\n\n/)[0] ?? '');
  };

  test('the commands in CHECK.txt prove a good folder', () => {
    const [sums = '', chain = '', signatures = ''] = commands(made);
    expect(shell(made, sums).trimEnd().split('\n')).toEqual([
      'CHECK.txt: OK',
      'record.jsonl: OK',
      'report.html: OK',
      'roster.yaml: OK',
      'shares/zoë.asc: OK',
    ]);
    expect(shell(made, chain)).toBe(`head ${head}\n`);
    const good = shell(made, signatures).trimEnd().split('\n');
    expect(good).toHaveLength(2);
    expect(good[0]).toMatch(/^Good "quorate-record" signature for ada-example with ED25519 key SHA256:/);
    expect(good[1]).toMatch(/^Good "quorate-record" signature for dana-example /);
  });

  test('and find what was changed', async () => {
    const folder = copy('stock-harmed');
    const path = join(folder, 'record.jsonl');
    writeFileSync(path, readFileSync(path, 'utf8').replace('ça va', 'ca va'));
    const [sums = '', chain = '', signatures = ''] = commands(folder);
    expect(() => shell(folder, sums)).toThrow();
    expect(shell(folder, chain)).toBe('BROKEN at line 6\n');
    expect(() => shell(folder, signatures)).toThrow();
    await signWith(made, 'Ada Example', ada, 'bag 0417 was open').catch(() => undefined);
    rmSync(join(folder, 'signatures'), { recursive: true });
    cpSync(join(made, 'signatures'), join(folder, 'signatures'), { recursive: true });
    const dissent = shell(folder, commands(folder)[3] ?? '');
    expect(dissent).toContain('Good "quorate-dissent" signature for ada-example');
    expect(dissent).toContain('bag 0417 was open');
    for (const name of readdirSync(join(made, 'signatures'))) {
      if (name.includes('dissent')) rmSync(join(made, 'signatures', name));
    }
  });
});

describe('signing', () => {
  test('a dissent is signed in the place of the record, and makes the folder fail', async () => {
    const folder = copy('dissent');
    rmSync(join(folder, 'signatures/dana-example.sig'));
    const signed = await signWith(folder, 'Dana Example', dana, 'bag 0417 was open');
    expect(signed).toMatchObject({ agrees: false, file: 'signatures/dana-example.dissent.json', head });
    const result = await verify(folder);
    expect(result.ok).toBe(false);
    expect(result.signers[1]).toMatchObject({ signature: 'disagrees', reason: 'bag 0417 was open' });

    // The statement binds this record: beside another one it is no dissent, and still no pass.
    const other = await forge('dissent-moved', ada.fingerprint, dana.fingerprint);
    await signWith(other, 'Ada Example', ada);
    for (const name of ['dana-example.dissent.json', 'dana-example.dissent.sig']) {
      cpSync(join(folder, 'signatures', name), join(other, 'signatures', name));
    }
    expect((await verify(other)).signers[1]).toMatchObject({ signature: 'invalid' });
    expect((await verify(other)).ok).toBe(false);
  });

  test('once only, by participants only, with their own key only, and no secrets in a reason', async () => {
    await expect(signWith(made, 'Ada Example', ada)).rejects.toMatchObject({ code: 'file-exists' });
    await expect(signWith(made, 'Eve', mallory)).rejects.toMatchObject({ code: 'usage' });
    await expect(signWith(copy('wrong-key'), 'Ada Example', dana)).rejects.toMatchObject({ code: 'key-unusable' });
    await expect(signWith(made, 'Ada Example', ada, 'a1'.repeat(33))).rejects.toMatchObject({ code: 'usage' });
    expect(readdirSync(join(made, 'signatures'))).toEqual(['ada-example.sig', 'dana-example.sig']);
  });

  test('not before the ceremony is closed, nor a record that is not sound', async () => {
    const open = temporary();
    await writeRecord(join(open, 'record.jsonl'), [opened, ...people(ada.fingerprint, dana.fingerprint)]);
    await expect(signWith(open, 'Ada Example', ada)).rejects.toMatchObject({ code: 'usage' });
    const path = join(open, 'record.jsonl');
    writeFileSync(path, readFileSync(path, 'utf8').replace('Ada', 'Bda'));
    await expect(signWith(open, 'Ada Example', ada)).rejects.toMatchObject({ code: 'record-invalid' });
    rmSync(open, { recursive: true });
  });
});

describe('finishing a folder', () => {
  test('again, after a crash anywhere between, completes it and overwrites nothing', async () => {
    const folder = join(base, 'crash');
    cpSync(made, folder, { recursive: true });
    const whole = (name: string): string => readFileSync(join(made, name), 'utf8');
    for (const name of ['report.html', 'CHECK.txt', 'SHA256SUMS']) {
      writeFileSync(join(folder, name), whole(name).slice(0, 100));
      await finishFolder(folder);
      rmSync(join(folder, name));
      await finishFolder(folder);
      expect(readFileSync(join(folder, name), 'utf8')).toBe(whole(name));
    }
    writeFileSync(join(folder, 'CHECK.txt'), 'notes of my own');
    await expect(finishFolder(folder)).rejects.toMatchObject({ code: 'file-exists' });
  });

  test('nothing is appended to a closed record', async () => {
    const recorder = await reopenRecord(join(copy('closed'), 'record.jsonl'));
    await expect(recorder.append({ event: 'note', text: 'later' })).rejects.toMatchObject({ code: 'bug' });
    await recorder.close();
  });
});

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { makeSignedFolder, signWith, ssh } from './signed-folder.ts';

const { base, made, signers, head, ada, dana, mallory, copy, forge, verify, failures } = await makeSignedFolder();
afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

describe('a good folder', () => {
  test('is verified, with the keys that the checker brings', async () => {
    const result = await verify(made, { require: ['administrator', 'witness'], head });
    expect(result.findings.filter(({ outcome }) => outcome !== 'ok')).toEqual([]);
    expect(result).toMatchObject({ ok: true, rehearsal: false, head, events: 6 });
    expect(result.signers.map(({ name, signature, key }) => [name, signature, key])).toEqual([
      ['Ada Example', 'signed', ada.fingerprint],
      ['Dana Example', 'signed', dana.fingerprint],
      ['Zoë Example', 'missing', undefined],
    ]);
  });

  test('without keys it is unchecked, and so not verified', async () => {
    const result = await verify(made, { allowedSigners: undefined });
    expect(result.ok).toBe(false);
    expect(result.findings.filter(({ outcome }) => outcome === 'fail')).toEqual([]);
    expect(result.findings.some(({ outcome }) => outcome === 'unchecked')).toBe(true);
    expect(result.signers.map(({ signature }) => signature)).toEqual(['unchecked', 'unchecked', 'missing']);
  });

  test('a required role that has not signed, or that nobody has', async () => {
    expect(await failures(made, { require: ['custodian'] })).toEqual(['roles']);
    expect(await failures(made, { require: ['auditor'] })).toEqual(['roles']);
  });

  test('another head than the one that was written down', async () => {
    expect(await failures(made, { head: `sha256:${'0'.repeat(64)}` })).toEqual(['head']);
  });

  test('keys from within the folder are refused, and so is a missing file of keys', async () => {
    const folder = copy('own-keys');
    writeFileSync(join(folder, 'allowed_signers'), readFileSync(signers));
    await expect(verify(folder, { allowedSigners: join(folder, 'allowed_signers') })).rejects.toMatchObject({
      code: 'usage',
    });
    await expect(verify(made, { allowedSigners: join(base, 'none') })).rejects.toMatchObject({ code: 'file-missing' });
  });
});

describe('keys that do not last', () => {
  const withDates = (name: string, dates: string): string => {
    const file = join(base, name);
    writeFileSync(file, readFileSync(signers, 'utf8').replace('"Ada Example" ', `"Ada Example" ${dates} `));
    return file;
  };

  test('count as they were when the ceremony closed', async () => {
    const last = readFileSync(join(made, 'record.jsonl'), 'utf8').trim().split('\n').at(-1) ?? '';
    const closed = Date.parse((JSON.parse(last) as { time: string }).time);
    const day = (offset: number): string =>
      new Date(closed + offset * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '');
    const past = withDates('expired-since', `valid-after="${day(-2)}",valid-before="${day(2)}"`);
    expect(await verify(made, { allowedSigners: past })).toMatchObject({ ok: true });
    const before = withDates('expired-before', `valid-before="${day(-1)}"`);
    expect(await failures(made, { allowedSigners: before })).toEqual(['signatures']);
    const after = withDates('valid-later', `valid-after="${day(2)}"`);
    expect(await failures(made, { allowedSigners: after })).toEqual(['signatures']);
  });

  test('count no more when the checker says that they are revoked, and are called so', async () => {
    const revokedKeys = join(base, 'revoked');
    writeFileSync(revokedKeys, `${ada.line}\n`);
    const result = await verify(made, { revokedKeys });
    expect(result.signers.map(({ signature }) => signature)).toEqual(['invalid', 'signed', 'missing']);
    expect(result.findings.find(({ outcome }) => outcome === 'fail')?.text).toContain('REVOKED');
    const krl = join(base, 'krl');
    execFileSync('ssh-keygen', ['-q', '-k', '-f', krl, `${dana.file}.pub`]);
    expect(await failures(made, { revokedKeys: krl })).toEqual(['signatures']);
    await expect(verify(made, { revokedKeys: join(base, 'none') })).rejects.toMatchObject({ code: 'file-missing' });
  });
});

describe('a harmed folder', () => {
  test.each<[string, (folder: string) => void, string]>([
    [
      'a changed output',
      (f) => {
        writeFileSync(join(f, 'roster.yaml'), 'generation: 5\n');
      },
      'outputs',
    ],
    [
      'a missing output',
      (f) => {
        rmSync(join(f, 'roster.yaml'));
      },
      'outputs',
    ],
    [
      'a link in place of an output',
      (f) => {
        renameSync(join(f, 'roster.yaml'), join(base, 'away'));
        symlinkSync(join(base, 'away'), join(f, 'roster.yaml'));
      },
      'outputs',
    ],
    [
      'no sums',
      (f) => {
        rmSync(join(f, 'SHA256SUMS'));
      },
      'outputs',
    ],
    [
      'sums that name a file outside',
      (f) => {
        writeFileSync(join(f, 'SHA256SUMS'), `${'0'.repeat(64)}  ../x\n`);
      },
      'outputs',
    ],
    [
      'an output changed together with its sum',
      (f) => {
        writeFileSync(join(f, 'roster.yaml'), 'generation: 5\n');
        writeFileSync(join(f, 'SHA256SUMS'), execFileSync('sha256sum', ['record.jsonl', 'roster.yaml'], { cwd: f }));
      },
      'outputs',
    ],
    [
      'a signature of another record',
      (f) => {
        rmSync(join(f, 'signatures/ada-example.sig'));
        cpSync(join(f, 'signatures/dana-example.sig'), join(f, 'signatures/ada-example.sig'));
      },
      'signatures',
    ],
    [
      'a signature by nobody in the record',
      (f) => {
        cpSync(join(f, 'signatures/dana-example.sig'), join(f, 'signatures/eve.sig'));
      },
      'signatures',
    ],
    [
      'a broken signature',
      (f) => {
        writeFileSync(join(f, 'signatures/ada-example.sig'), 'nothing');
      },
      'signatures',
    ],
    [
      'a statement of dissent without its signature',
      (f) => {
        writeFileSync(join(f, 'signatures/ada-example.dissent.json'), '{}');
      },
      'signatures',
    ],
    [
      'no signature at all',
      (f) => {
        rmSync(join(f, 'signatures'), { recursive: true });
      },
      'signatures',
    ],
    [
      'half a record',
      (f) => {
        const path = join(f, 'record.jsonl');
        writeFileSync(path, readFileSync(path).subarray(0, -9));
      },
      'record',
    ],
  ])('%s', async (name, harm, about) => {
    const folder = copy(name.replaceAll(' ', '-'));
    harm(folder);
    expect(await failures(folder)).toContain(about);
    expect((await verify(folder)).ok).toBe(false);
  });

  test('files that came later, and a report that was changed, are pointed out', async () => {
    const folder = copy('later');
    writeFileSync(join(folder, 'extra.txt'), 'x');
    expect(await verify(folder)).toMatchObject({ ok: true });
    expect((await verify(folder)).findings.map(({ outcome }) => outcome)).toContain('note');
    writeFileSync(join(folder, 'report.html'), '<p>all is well');
    expect(await failures(folder)).toEqual(['outputs']);
  });
});

describe('a forged folder', () => {
  test('signed with keys of its own', async () => {
    const folder = await forge('forged-own', mallory.fingerprint, mallory.fingerprint);
    await signWith(folder, 'Ada Example', mallory);
    await signWith(folder, 'Dana Example', mallory);
    // Mallory is somebody, but not who the record says.
    expect(await failures(folder, { require: ['witness'] })).toEqual([
      'signatures',
      'signatures',
      'roles',
      'signatures',
    ]);
  });

  test('with the signatures of the true one', async () => {
    const folder = await forge('forged-taken', ada.fingerprint, dana.fingerprint);
    cpSync(join(made, 'signatures'), join(folder, 'signatures'), { recursive: true });
    expect(await failures(folder)).toEqual(['signatures', 'signatures', 'signatures']);
  });

  test('that names another key for somebody than the one that they signed with', async () => {
    const folder = await forge('forged-key', undefined, dana.fingerprint);
    await signWith(folder, 'Ada Example', ada);
    expect(await verify(folder)).toMatchObject({ ok: true });
    const other = await forge('forged-other', mallory.fingerprint, dana.fingerprint);
    await expect(signWith(other, 'Ada Example', ada)).rejects.toMatchObject({ code: 'key-unusable' });
    mkdirSync(join(other, 'signatures'));
    const bytes = readFileSync(join(other, 'record.jsonl'));
    const signature = await ssh.sign({ key: ada.file, namespace: 'quorate-record', bytes });
    writeFileSync(join(other, 'signatures', 'ada-example.sig'), signature);
    expect(await failures(other)).toEqual(['signatures', 'signatures']);
  });

  test('where a signature for something else is passed off as one of the record', async () => {
    const folder = copy('other-namespace');
    rmSync(join(folder, 'signatures/ada-example.sig'));
    const bytes = readFileSync(join(folder, 'record.jsonl'));
    const signature = await ssh.sign({ key: ada.file, namespace: 'file', bytes });
    writeFileSync(join(folder, 'signatures', 'ada-example.sig'), signature);
    expect(await failures(folder)).toEqual(['signatures']);
  });
});

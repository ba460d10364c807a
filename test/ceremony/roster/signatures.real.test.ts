import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nextGeneration, renderRoster } from '../../../src/ceremony/roster/roster.ts';
import type { Roster } from '../../../src/ceremony/roster/schema.ts';
import { signRoster, signatureFolder, verifyRoster } from '../../../src/ceremony/roster/signatures.ts';
import { fileNameOf } from '../../../src/ceremony/script.ts';
import { programRunner } from '../../../src/programs/run.ts';
import { sshKeygen } from '../../../src/programs/ssh-keygen.ts';
import { entry, sampleRoster } from './samples.ts';

const run = promisify(execFile);
const tool = sshKeygen(programRunner(process.env));
let folder: string;
let allowedSigners: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quorate-'));
  allowedSigners = join(folder, 'allowed_signers');
  const lines: string[] = [];
  for (const { holder } of sampleRoster().shares) {
    const key = keyOf(holder);
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', key]);
    const name = holder === 'Bo Example' ? `"${holder}"` : fileNameOf(holder);
    lines.push(`${name} ${(await readFile(`${key}.pub`, 'utf8')).trim()}`);
  }
  await writeFile(allowedSigners, `${lines.join('\n')}\n`);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const keyOf = (holder: string) => join(folder, fileNameOf(holder));

async function written(name: string, roster: Roster, signers: readonly string[]): Promise<string> {
  const path = join(folder, `${name}.yaml`);
  await writeFile(path, renderRoster(roster));
  for (const who of signers) await signRoster(tool, path, { who, key: keyOf(who) });
  return path;
}

const three = ['Alice Example', 'Bo Example', "Dan O'Example"];

describe('roster signatures', () => {
  test('of the first generation: its own custodians, and stock ssh-keygen agrees', async () => {
    const path = await written('first', sampleRoster(), three);
    const trust = await verifyRoster(tool, path, { allowedSigners });
    expect(trust).toMatchObject({ signed: three, void: [], needed: 3, trusted: true });
    const signature = join(signatureFolder(path, 1), 'alice-example.sig');
    const checked = run('sh', [
      '-c',
      `ssh-keygen -Y verify -f "$0" -I alice-example -n quorate-roster -s "$1" < "$2"`,
      allowedSigners,
      signature,
      path,
    ]);
    expect((await checked).stdout).toContain('Good "quorate-roster" signature');
  });

  test('too few do not make it trusted, and nobody signs twice', async () => {
    const path = await written('few', sampleRoster(), three.slice(0, 2));
    expect(await verifyRoster(tool, path, { allowedSigners })).toMatchObject({ trusted: false });
    await expect(signRoster(tool, path, { who: 'Bo Example', key: keyOf('Bo Example') })).rejects.toMatchObject({
      code: 'file-exists',
    });
  });

  test('a changed byte voids them all', async () => {
    const path = await written('changed', sampleRoster(), three);
    await writeFile(path, (await readFile(path, 'utf8')).replace('threshold: 3', 'threshold: 2'));
    expect(await verifyRoster(tool, path, { allowedSigners })).toMatchObject({ signed: [], trusted: false });
  });

  test("with somebody else's key are void", async () => {
    const path = await written('borrowed', sampleRoster(), ['Alice Example']);
    await signRoster(tool, path, { who: 'Bo Example', key: keyOf('Alice Example') });
    expect(await verifyRoster(tool, path, { allowedSigners })).toMatchObject({
      signed: ['Alice Example'],
      void: ['bo-example.sig'],
    });
  });

  test('must be by the SSH key that the roster names', async () => {
    const roster = sampleRoster();
    const named: Roster = {
      ...roster,
      shares: roster.shares.map((one) => ({ ...one, ssh: `SHA256:${'A'.repeat(43)}` })),
    };
    const path = await written('named', named, three);
    expect(await verifyRoster(tool, path, { allowedSigners })).toMatchObject({ signed: [] });
  });

  test('of the next generation: the custodians of the one before', async () => {
    const before = sampleRoster();
    const newcomer = { ...entry(3, 2), holder: 'Zoe Example' };
    const next = nextGeneration(before, [entry(0, 2), newcomer], { threshold: 2 });
    const path = await written('next', next, three);
    expect(await verifyRoster(tool, path, { allowedSigners, before })).toMatchObject({
      signed: three,
      needed: 3,
      trusted: true,
    });
    await expect(verifyRoster(tool, path, { allowedSigners })).rejects.toMatchObject({ code: 'roster-invalid' });
    const stranger: Roster = { ...before, cluster: 'staging' };
    await expect(verifyRoster(tool, path, { allowedSigners, before: stranger })).rejects.toMatchObject({
      code: 'roster-invalid',
    });
    const forgetful = await written('forgetful', { ...next, previous: next.previous?.slice(1) }, three);
    await expect(verifyRoster(tool, forgetful, { allowedSigners, before })).rejects.toMatchObject({
      code: 'roster-invalid',
    });
  });
});

import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { renderRoster } from '../../../src/ceremony/roster/roster.ts';
import { fileNameOf } from '../../../src/ceremony/script.ts';
import type { MadeUpCustodian } from '../../../src/rehearsal/custodians.ts';
import { temporaryFolder } from '../../support/cluster.ts';
import { madeUpCustodians } from '../../support/custodians.ts';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');
const NAMES = ['Alice', 'Bo', 'Chris'] as const;
let folder: string;
let people: readonly MadeUpCustodian[];

interface Ended {
  readonly status: number;
  readonly stdout: string;
}

async function quorate(...args: readonly string[]): Promise<Ended> {
  const { PATH, HOME } = process.env;
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args], {
      cwd: folder,
      env: { PATH, HOME },
    });
    return { status: 0, stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { status: code, stdout };
  }
}

beforeAll(async () => {
  folder = await temporaryFolder();
  people = await madeUpCustodians(...NAMES);
  const roster = renderRoster({
    cluster: 'prod-eu',
    generation: 1,
    threshold: 2,
    seal: 'shamir',
    shares: people.map(({ name, sshFingerprint }, index) => ({
      'holder': name,
      'x': `0${(index + 1).toString()}`,
      'fingerprint': { salt: 'ab'.repeat(16), sha256: `${index.toString()}c`.repeat(32) },
      'ssh': sshFingerprint,
      'status': 'proved',
      'proved-at': '2027-01-12T10:04:31.000Z',
    })),
  });
  await writeFile(join(folder, 'roster.yaml'), roster);
  const lines = people.map(
    async ({ name, sshPublicFile }) => `${fileNameOf(name)} ${await readFile(sshPublicFile, 'utf8')}`,
  );
  await writeFile(join(folder, 'allowed'), (await Promise.all(lines)).join(''));
});

const keyOf = (name: string): string => people.find((one) => one.name === name)?.sshKeyFile ?? '';
const verify = async (): Promise<Ended> =>
  quorate('custodian', 'verify', 'roster.yaml', '--allowed-signers', 'allowed', '--format', 'json');

describe('a roster', () => {
  test('is trusted once a threshold of its custodians has signed it', async () => {
    expect(await verify()).toMatchObject({ status: 5 });
    for (const [index, name] of ['Alice', 'Bo'].entries()) {
      const signed = await quorate('custodian', 'sign', 'roster.yaml', '--key', keyOf(name), '--as', name);
      expect(signed.status).toBe(0);
      expect((await verify()).status).toBe(index === 1 ? 0 : 5);
    }
    expect(JSON.parse((await verify()).stdout)).toMatchObject({
      trusted: true,
      signed: ['Alice', 'Bo'],
      needed: 2,
      void: [],
    });
  });

  test('is not signed twice by the same name, and not by another key', async () => {
    expect((await quorate('custodian', 'sign', 'roster.yaml', '--key', keyOf('Alice'), '--as', 'Alice')).status).toBe(
      1,
    );
    expect((await quorate('custodian', 'sign', 'roster.yaml', '--key', keyOf('Bo'), '--as', 'Chris')).status).toBe(0);
    expect(JSON.parse((await verify()).stdout)).toMatchObject({ signed: ['Alice', 'Bo'], void: ['chris.sig'] });
  });

  test('is not trusted any more when a byte of it has changed', async () => {
    const path = join(folder, 'roster.yaml');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('prod-eu', 'prod-us'));
    const { status, stdout } = await verify();
    await writeFile(path, text);
    expect({ status, signed: (JSON.parse(stdout) as { signed: unknown }).signed }).toEqual({ status: 5, signed: [] });
  });

  test('is checked against keys that the checker brings, never without', async () => {
    expect((await quorate('custodian', 'verify', 'roster.yaml')).status).toBe(1);
  });
});

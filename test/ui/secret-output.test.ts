import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Secret } from '../../src/secret.ts';
import { createSecretOutput } from '../../src/ui/secret-output.ts';
import { codeOf } from '../support/errors.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quorate-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('writes the bytes of the secret, all of them and nothing else', async () => {
  const file = join(folder, 'out');
  const handle = await open(file, 'wx', 0o600);
  const output = createSecretOutput(handle.fd);
  output.refuseTerminal();
  await output.write(Secret.fromText('abc\n'));
  await output.write(Secret.fromText('x'.repeat(100_000)));
  await handle.close();
  expect(await readFile(file, 'utf8')).toBe(`abc\n${'x'.repeat(100_000)}`);
});

test('says so when it cannot be written', async () => {
  const handle = await open('/dev/full', 'w');
  expect(await codeOf(createSecretOutput(handle.fd).write(Secret.fromText('abc')))).toBe('file-invalid');
  await handle.close();
});

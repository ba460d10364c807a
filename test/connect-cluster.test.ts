import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../src/config.ts';
import { DEFAULT_POLICY } from '../src/connect-cluster.ts';

test('without a quorate.yaml the limits are those of one that sets none', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'quorate-config-'));
  try {
    const file = join(folder, 'quorate.yaml');
    await writeFile(file, 'clusters: { one: { peers: [{ name: a, address: "https://a:8200" }] } }\n');
    expect((await loadConfig(file)).policy).toEqual(DEFAULT_POLICY);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

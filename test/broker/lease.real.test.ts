import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Receipt } from '../../src/broker/exec/receipt.ts';
import { readText } from '../../src/files.ts';
import { sharedBroker } from '../support/broker.ts';
import { errorCode } from '../support/quorate.ts';
import { waitUntil } from '../support/wait.ts';

describe('a database that is away when a credential is renewed', () => {
  const shared = sharedBroker({ engine: 'postgresql', ttl: '10s', maxTtl: '1m' });

  it('is an error with a mend, and no harm once it is back', async () => {
    const { runHere, run, ci, proxy } = shared();
    const { lease } = JSON.parse((await run(['db', 'creds', 'read'])).stdout) as { lease: { id: string } };
    proxy.down();
    try {
      const ended = await runHere(['db', 'renew', lease.id], ci);
      expect(errorCode(ended), ended.stderr).toBe('database-unreachable');
      expect(ended.stderr).toContain('until the end that it has');
    } finally {
      proxy.up();
    }
    expect((await runHere(['db', 'renew', lease.id], ci)).status).toBe(0);
    expect((await runHere(['db', 'revoke', lease.id], ci)).status).toBe(0);
  });

  it('is tried again while the job goes on', async () => {
    const { start, proxy, folder, database } = shared();
    const until = async (): Promise<string> =>
      JSON.stringify(await database.sql("SELECT rolvaliduntil FROM pg_roles WHERE rolname LIKE 'app-%'"));
    const receipt = ['--receipt', 'renewed.json'];
    const script = 'psql -X -A -t -c "SELECT 1"; until [ -e go ]; do sleep 0.1; done; psql -X -A -t -c "SELECT 2"';
    const running = start(['db', 'exec', 'read', ...receipt, '--', 'sh', '-c', script]);
    let [out, talk] = ['', ''];
    running.child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    running.child.stderr?.on('data', (chunk: Buffer) => (talk += chunk.toString()));
    await waitUntil('the job runs', () => out.includes('1'));
    const first = await until();
    proxy.down();
    await waitUntil('it could not be renewed', () => talk.includes('could not be renewed'));
    proxy.up();
    await waitUntil('it was renewed', async () => (await until()) !== first);
    await writeFile(join(folder, 'go'), '');
    const ended = await running.ended;
    expect([ended.status, ended.stdout], ended.stderr).toEqual([0, '1\n2\n']);
    expect(JSON.parse(await readText(join(folder, 'renewed.json'))) as Receipt).toMatchObject({ proved: true });
  });
});

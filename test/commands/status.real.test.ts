import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { temporaryFolder } from '../support/cluster.ts';
import { errorCode, quorate } from '../support/quorate.ts';

// Port 9 is one that nothing listens on; no server is needed here. What servers say is tested with the ceremonies.
const AWAY = 'https://127.0.0.1:9';

let cwd: string;
beforeAll(async () => {
  cwd = await temporaryFolder();
});

it('says why a peer gives no answer, and what to do', async () => {
  const table = await quorate(['status', '--address', AWAY], { cwd });
  expect([table.status, table.stdout]).toEqual([3, expect.stringContaining(AWAY)]);
  for (const line of table.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  const json = await quorate(['status', '--address', AWAY, '--format', 'json'], { cwd });
  expect(json.status).toBe(3);
  expect(JSON.parse(json.stdout)).toMatchObject({
    peers: [{ state: 'unreachable', fault: { code: 'server-unreachable', hint: expect.any(String) as string } }],
  });
});

it('takes a certificate file that is not there for a mistake of who asks', async () => {
  const ended = await quorate(['status', '--address', AWAY, '--ca', 'none.pem', '--format', 'json'], { cwd });
  expect([ended.status, errorCode(ended)]).toEqual([1, 'file-missing']);
});

it('names a fault of the document once, and answers in JSON where the environment wants that', async () => {
  await writeFile(join(cwd, 'tab.yaml'), 'clusters:\n\tone: {}\n');
  const ended = await quorate(['status', '--config', 'tab.yaml'], { cwd, env: { BAO_FORMAT: 'json' } });
  expect([ended.status, errorCode(ended)]).toEqual([1, 'document-invalid']);
  expect(ended.stderr.match(/a tab has/g)).toHaveLength(1);
  expect(JSON.parse(ended.stdout)).toMatchObject({ error: { code: 'document-invalid', exit: 1 } });
});

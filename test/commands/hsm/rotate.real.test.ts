import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { baoBinary } from '../../support/bao-binary.ts';
import { temporaryFolder } from '../../support/cluster.ts';
import {
  changeSeal,
  initServer,
  installed,
  oneToken,
  sealedServer,
  sealHcl,
  sealTokens,
  waitUnsealed,
} from '../../support/kms.ts';
import { type Ended, errorCode, quorate, startQuorate } from '../../support/quorate.ts';
import { softHsm } from '../../support/softhsm.ts';

it('the seal of a server goes over to a new key, which its snapshots prove', async () => {
  const plugin = await installed();
  const hsm = await softHsm();
  const [token] = await sealTokens(hsm, 'hsm-a');
  if (token === undefined) throw new Error('there is no token');
  const cluster = await sealedServer(plugin, oneToken(token), hsm.env);
  const { body } = await initServer(cluster);
  const { root_token: rootToken } = body as { root_token: string };
  await waitUnsealed(cluster);
  const folder = await temporaryFolder();
  const save = async (name: string): Promise<void> => {
    await promisify(execFile)(await baoBinary(), ['operator', 'raft', 'snapshot', 'save', join(folder, name)], {
      env: {
        BAO_ADDR: cluster.peers[0]?.address ?? '',
        BAO_CACERT: cluster.caFile,
        BAO_TOKEN: rootToken,
        HOME: folder,
      },
    });
  };
  const rotate = (...args: readonly string[]): Promise<Ended> =>
    quorate(['hsm', 'rotate', ...args, '--format', 'json'], { cwd: folder, env: hsm.env });
  const next = oneToken(token, { key_label: 'seal-2' });
  await writeFile(join(folder, 'old.hcl'), sealHcl(plugin, oneToken(token)));
  await writeFile(join(folder, 'new.hcl'), sealHcl(plugin, next));

  const made = await rotate('old.hcl', '--label', 'seal-2');
  expect([made.status, JSON.parse(made.stdout)]).toMatchObject([
    0,
    [{ next: { label: 'seal-2', type: 'AES-256' }, wasThere: false }],
  ]);
  const again = await rotate('old.hcl', '--label', 'seal-2');
  expect([again.status, JSON.parse(again.stdout)]).toMatchObject([0, [{ wasThere: true }]]);
  expect(errorCode(await rotate('old.hcl', '--label', 'seal'))).toBe('usage');
  // Killed whenever it may be, the next run finds what is there, and makes what is not, once.
  const args = ['hsm', 'rotate', 'old.hcl', '--label', 'seal-3'];
  for (const [round, ms] of [400, 700, 1000].entries()) {
    const started = startQuorate(args, { cwd: folder, env: hsm.env });
    await sleep(ms * (1 + round));
    started.child.kill('SIGKILL');
    await started.ended;
  }
  expect((await rotate('old.hcl', '--label', 'seal-3')).status).toBe(0);
  const objects = await hsm.tool('--token-label', 'hsm-a', '--login', '--pin', token.pin, '--list-objects');
  expect(objects.match(/label: +seal-3/g)).toHaveLength(1);

  await save('before.snap');
  await changeSeal(cluster, plugin, next);
  await cluster.restart(0);
  // While it encrypts anew, perhaps.
  await cluster.kill(0, 'SIGKILL');
  await cluster.start(0);
  await waitUnsealed(cluster);
  await save('after.snap');
  expect((await rotate('old.hcl', '--snapshot', 'before.snap')).status).toBe(0);
  expect((await rotate('new.hcl', '--snapshot', 'after.snap')).status).toBe(0);
  const both = await rotate('new.hcl', '--snapshot', 'after.snap', '--snapshot', 'before.snap');
  expect([both.status, JSON.parse(both.stdout)]).toMatchObject([
    5,
    { snapshots: [{ needs: [{ key: 'seal-2', configured: true }] }, { needs: [{ key: 'seal', configured: false }] }] },
  ]);
  await writeFile(join(folder, 'no.snap'), 'text');
  expect(errorCode(await rotate('new.hcl', '--snapshot', 'no.snap'))).toBe('file-invalid');
});

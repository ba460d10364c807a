import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { examineRunning } from '../../src/hsm/running-plugin.ts';
import type { Installed } from '../../src/kms/install.ts';
import { stateIn } from '../../src/kms/title.ts';
import type { ThrowawayCluster } from '../../src/rehearsal/cluster.ts';
import { callPeer } from '../support/cluster.ts';
import { at } from '../support/http.ts';
import {
  changeSeal,
  initServer,
  installed,
  logOf,
  oneToken,
  sealedServer,
  sealTokens,
  severalTokens,
  slowLibrary,
  type SlowLibrary,
  unsealed,
  waitEncryptedAnew,
  waitForLog,
  waitUnsealed,
} from '../support/kms.ts';
import { quorate } from '../support/quorate.ts';
import { isRunning, processesNaming } from '../support/processes.ts';
import { softHsm, type SoftHsm, type SoftToken } from '../support/softhsm.ts';
import { waitUntil } from '../support/wait.ts';

let plugin: Installed;
let hsm: SoftHsm;
let slow: SlowLibrary;
let tokens: SoftToken[];

beforeAll(async () => {
  plugin = await installed();
  hsm = await softHsm();
  slow = await slowLibrary();
  tokens = await sealTokens(hsm, 'hsm-a', 'hsm-b', 'hsm-c');
});

const token = (index: number): SoftToken => tokens[index]!;
const pluginPid = (): number | undefined => processesNaming(plugin.path)[0];
/** So that a health check is not ten minutes away. */
const HEALTH = { health_check_interval: '1s' };

describe('a server whose seal is one token', () => {
  let cluster: ThrowawayCluster;

  it('is told at its start, and again by sys/init, that the token is away, and stores no key then', async () => {
    await hsm.takeAway(token(0));
    cluster = await sealedServer(plugin, oneToken(token(0), HEALTH), hsm.env);
    const why = 'encryption needs the token (hsm-a/seal: the library sees no token with label "hsm-a")';
    await waitForLog(cluster, `[ERROR] kms.quorate-kms: ${why}. A server that is not initialised yet must not be`);
    const reply = await initServer(cluster);
    expect([reply.status, reply.body]).toEqual([400, { errors: [`error initializing seal: ${why}`] }]);
    await hsm.putBack(token(0));
    // OpenBao has begun its Raft storage before it asked the seal.
    await cluster.kill(0);
    await cluster.wipe(0);
    await cluster.start(0);
    expect((await initServer(cluster)).status).toBe(200);
    await waitUnsealed(cluster);
  });

  it('unseals by itself when it is restarted, and says in its log what the seal is', async () => {
    const from = (await logOf(cluster)).length;
    await cluster.restart(0);
    await waitUnsealed(cluster);
    const status = await callPeer(cluster, 0, 'GET', 'sys/seal-status');
    expect([at(status.body, 'type'), at(status.body, 'recovery_seal')]).toEqual(['quorate-kms', true]);
    const log = await logOf(cluster, from);
    expect(log).toMatch(/\[INFO\] {2}kms\.quorate-kms: configured: 1 of hsm-a\/seal #[0-9a-f]{16}/);
    // The old process ended when it was told to: the server had to kill nothing.
    expect(log).not.toMatch(/plugin failed to exit gracefully|killed/);
  });

  it('has the plugin back at its next health check when that is killed', async () => {
    const from = (await logOf(cluster)).length;
    const pid = await waitUntil('the plugin runs', pluginPid);
    process.kill(pid, 'SIGKILL');
    await waitForLog(cluster, 'configured: 1 of hsm-a/seal', from);
    expect(await waitUntil('another runs', pluginPid)).not.toBe(pid);
    expect(await unsealed(cluster)).toBe(true);
  });

  it('leaves no plugin behind when it is killed itself', async () => {
    const pid = await waitUntil('the plugin runs', pluginPid);
    await cluster.kill(0, 'SIGKILL');
    await waitUntil('the plugin has ended too', () => !isRunning(pid), 3_000);
  });

  it('tries a wrong PIN once, however often the server asks', async () => {
    const flag = async (): Promise<boolean> => {
      const slots = (await hsm.tool('--list-token-slots')).split(/^Slot /m);
      return slots.some((slot) => slot.includes('hsm-a') && slot.includes('PIN count low'));
    };
    await changeSeal(cluster, plugin, oneToken({ ...token(0), pin: 'wrong' }));
    const from = (await logOf(cluster)).length;
    await cluster.start(0);
    await waitForLog(
      cluster,
      '[WARN]  kms.quorate-kms: token hsm-a/seal does not answer: the token refused the PIN (CKR_PIN_INCORRECT from C_Login)',
      from,
    );
    expect(await flag()).toBe(true);
    // A right one takes the flag away; had the plugin tried again, it would be back.
    await hsm.tool('--token-label', 'hsm-a', '--login', '--pin', token(0).pin, '--list-objects');
    const again =
      'the token refused the PIN (CKR_PIN_INCORRECT from C_Login); not tried again until there is another PIN)';
    await waitForLog(cluster, `decryption needs the token (hsm-a/seal: ${again}`, from);
    await waitForLog(cluster, again, (await logOf(cluster)).length);
    expect(await flag()).toBe(false);
    await changeSeal(cluster, plugin, oneToken(token(0)));
    await cluster.restart(0);
    await waitUnsealed(cluster);
  });

  it('says so when another token bears the name', async () => {
    await cluster.kill(0);
    await hsm.takeAway(token(0));
    const impostor = await hsm.addToken('hsm-a', { pin: token(0).pin });
    await hsm.addKey(impostor, 'AES:32', 'seal', '01', '--sensitive');
    const from = (await logOf(cluster)).length;
    await cluster.start(0);
    await waitForLog(
      cluster,
      `decryption needs the token (hsm-a/seal: its key does not decrypt this: this token has the serial number ${impostor.serial}, and the one that encrypted had ${token(0).serial})`,
      from,
    );
    await hsm.takeAway(impostor);
    await hsm.putBack(token(0));
    await waitUnsealed(cluster);
  });

  it('does not start on a plugin of which one byte was changed', async () => {
    await cluster.kill(0);
    await changeSeal(
      cluster,
      { ...plugin, sha256: plugin.sha256.replace(/^./, (one) => (one === '0' ? '1' : '0')) },
      oneToken(token(0)),
    );
    await expect(cluster.start(0)).rejects.toMatchObject({
      hint: expect.stringContaining('checksums did not match') as string,
    });
  });

  it('does not start on a configuration that cannot work, and says everything that is wrong', async () => {
    const fault = async (stanza: Record<string, string>): Promise<string> => {
      await changeSeal(cluster, plugin, stanza);
      const error: unknown = await cluster.start(0).catch((thrown: unknown) => thrown);
      return String((error as { hint?: string }).hint);
    };
    expect(await fault({ lib: 'softhsm.so', token_label: 'hsm-a', key_lable: 'seal' })).toContain(
      'seal configuration: unknown key "key_lable"; lib is not an absolute path; key_label is missing (or key_id): which key; pin_file is missing (or pin_env, or pin): where the PIN is',
    );
    expect(await fault(oneToken(token(0), { lib: '/nowhere/lib.so' }))).toContain(
      '/nowhere/lib.so: there is no such file',
    );
    expect(await fault(oneToken(token(0), { lib: plugin.path }))).toContain('it is no library for this machine');
  });
});

describe('a server whose seal is 2 of 3 tokens', () => {
  let cluster: ThrowawayCluster;
  /** The third token is behind a library of its own, which can be made to hang. */
  const stanza = (more: Record<string, string> = { encrypt_min: '2' }): Record<string, string> => ({
    ...severalTokens(tokens, 2, { ...HEALTH, token3_lib: slow.lib, timeout: '5', ...more }),
  });
  const running = async (): Promise<readonly string[]> =>
    (await examineRunning(plugin.path, stateIn)).map(({ level, text }) => `${level} ${text.replace(/\d+/, 'N')}`);
  const DEGRADED =
    'warning degraded, says the plugin that runs (process N): what the server has stored was encrypted without hsm-c/seal';

  it('is initialised without one of them, and restarts so', async () => {
    await hsm.takeAway(token(2));
    cluster = await sealedServer(plugin, stanza(), { ...hsm.env, ...slow.env });
    expect((await initServer(cluster)).status).toBe(200);
    await waitUnsealed(cluster);
    expect(await running()).toEqual([
      DEGRADED,
      'warning the plugin that runs (process N) gets no answer from hsm-c/seal',
    ]);
    await cluster.kill(0);
    const from = (await logOf(cluster)).length;
    await cluster.start(0);
    await waitUnsealed(cluster);
    await waitForLog(cluster, 'token hsm-c/seal does not answer: the library sees no token with label "hsm-c"', from);
    await waitForLog(cluster, '[WARN]  kms.quorate-kms: degraded: encrypted with 2 of 3 tokens (hsm-c/seal:', from);
    // Where all have to take part it opens too, and what it has stored stays as it is.
    await changeSeal(cluster, plugin, stanza({}));
    await cluster.restart(0);
    await waitUnsealed(cluster);
    await waitForLog(cluster, 'post-unseal upgrade seal keys failed', from);
    await waitForLog(
      cluster,
      'encryption needs 3 of 3 tokens, 2 answered (hsm-c/seal: the library sees no token',
      from,
    );
    await changeSeal(cluster, plugin, stanza());
  });

  it('stays sealed with one of three, and says why', async () => {
    await cluster.kill(0);
    await hsm.takeAway(token(1));
    const from = (await logOf(cluster)).length;
    await cluster.start(0);
    await waitForLog(
      cluster,
      'decryption needs 2 of 3 tokens, 1 answered (hsm-b/seal: the library sees no token with label "hsm-b"; hsm-c/seal: it took no part when this was encrypted)',
      from,
    );
    expect(await unsealed(cluster)).toBe(false);
  });

  it('opens when one comes back under the running server, and notices the other', async () => {
    const before = (await logOf(cluster)).length;
    await hsm.putBack(token(1));
    await waitUnsealed(cluster);
    // Until then it would encrypt anew with all tokens, were they there.
    await waitEncryptedAnew(cluster, before);
    const from = (await logOf(cluster)).length;
    expect((await running())[0]).toBe(DEGRADED);
    await hsm.putBack(token(2));
    await waitForLog(cluster, 'token hsm-c/seal answers again', from);
    await waitForLog(cluster, 'degraded: all tokens answer, but what the server stored was encrypted without', from);
    expect(await running()).toEqual([DEGRADED]);
    const config = join(cluster.peers[0]?.folder ?? '', 'server.hcl');
    const ended = await quorate(['hsm', 'doctor', config], { cwd: hsm.folder, env: { ...hsm.env, ...slow.env } });
    expect([ended.status, ended.stdout]).toEqual([
      0,
      expect.stringContaining('running: degraded, says the') as unknown,
    ]);
  });

  it('goes on without one whose library hangs in the middle, and leaves no plugin then when it is killed', async () => {
    await cluster.restart(0);
    await waitUnsealed(cluster);
    await waitUntil('it is no longer degraded', async () => (await running())[0]?.startsWith('ok') === true);
    const from = (await logOf(cluster)).length;
    slow.hang();
    try {
      const why = 'hsm-c/seal: no answer within 5 s: its library hangs';
      await waitForLog(cluster, `degraded: encrypted with 2 of 3 tokens (${why}`, from);
      expect(await unsealed(cluster)).toBe(true);
      const pid = await waitUntil('the plugin runs', pluginPid);
      await cluster.kill(0, 'SIGKILL');
      await waitUntil('the plugin has ended too', () => !isRunning(pid), 5_000);
    } finally {
      slow.goOn();
    }
  });

  it('goes over to 1 of 2 by its stanza, and can do without the token that left', async () => {
    await changeSeal(cluster, plugin, severalTokens(tokens.slice(0, 2), 1, HEALTH));
    const from = (await logOf(cluster)).length;
    await cluster.start(0);
    await waitUnsealed(cluster);
    await waitForLog(cluster, 'upgrading stored keys', from);
    await waitEncryptedAnew(cluster, from);
    await cluster.kill(0);
    await hsm.takeAway(token(0));
    await hsm.takeAway(token(2));
    await cluster.start(0);
    await waitUnsealed(cluster);
    await hsm.putBack(token(0));
    await hsm.putBack(token(2));
  });
});

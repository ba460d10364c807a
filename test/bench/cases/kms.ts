import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KmsPlugin } from '../../../src/kms/client.ts';
import { installPlugin, pluginStanza } from '../../../src/kms/install.ts';
import { openLibrary } from '../../../src/pkcs11/library.ts';
import { startCluster } from '../../../src/rehearsal/cluster.ts';
import { Secret } from '../../../src/secret.ts';
import { baoBinary } from '../../support/bao-binary.ts';
import { at, call } from '../../support/http.ts';
import { SOFTHSM_MODULE } from '../../support/softhsm.ts';
import { waitUntil } from '../../support/wait.ts';
import type { Benchmark, Sample } from '../case.ts';
import { median } from '../compare.ts';

const PIN = '1234';
const PAIRS = 300;
/** Operations after which nothing may grow any more, and in all. So many at once, as a server does that has much to do. */
const [WARM_UP, MANY, AT_ONCE] = [10_000, 100_000, 8];
/** ms after which the plugin has been resting, and has let go of its garbage. */
const REST = 3_000;

/**
 * The real plugin process with SoftHSM. `start` from its launch until a connection stands; an operation against the
 * token's own, which is the reference, and what of it is not the token's (`overhead`); memory resident while it rests,
 * with one token and with three; memory while it is at work, after 100,000 operations, and how much it has grown since
 * the first 10,000 of these (measured once); and a server from its start until it is unsealed. For `start` and memory
 * the reference is a Node that does nothing.
 */
export const benchmark: Benchmark = {
  name: 'kms',
  measures: [
    { measure: 'start', unit: 'ms', goal: 150, of: 'ours' },
    { measure: 'encrypt', unit: 'ms' },
    { measure: 'encrypt overhead', unit: 'ms', goal: 1, of: 'ours' },
    { measure: 'decrypt', unit: 'ms' },
    { measure: 'decrypt overhead', unit: 'ms', goal: 1, of: 'ours' },
    { measure: 'memory, one token', unit: 'MB', goal: 70, of: 'ours' },
    { measure: 'memory, three', unit: 'MB', goal: 110, of: 'ours' },
    { measure: 'memory after 100,000 operations', unit: 'MB' },
    { measure: 'growth', unit: 'x', goal: 1.1, of: 'ours' },
    { measure: 'server start to unsealed', unit: 'ms' },
  ],
  runs: 3,
  async prepare() {
    const folder = await mkdtemp(join(tmpdir(), 'quorate-bench-'));
    const [tokens, plugins] = [join(folder, 'tokens'), join(folder, 'plugins')];
    await mkdir(tokens);
    await mkdir(plugins, { mode: 0o755 });
    const conf = join(folder, 'softhsm2.conf');
    await writeFile(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
    process.env['SOFTHSM2_CONF'] = conf;
    for (const label of ['a', 'b', 'c']) {
      execFileSync('softhsm2-util', ['--init-token', '--free', '--label', label, '--pin', PIN, '--so-pin', '12345678']);
    }
    const pin = Secret.fromText(PIN);
    const library = openLibrary(SOFTHSM_MODULE);
    for (const label of ['a', 'b', 'c']) {
      library.withSession(library.findToken({ label }), { write: true }, (session) => {
        session.login(pin);
        session.generateAes({ label: 'seal', id: Uint8Array.of(1), bits: 256 });
      });
    }
    const session = library.openSession(library.findToken({ label: 'a' }));
    session.login(pin);
    const [key] = session.findKeys({ label: 'seal' });
    if (key === undefined) throw new Error('the token has no key');
    const installed = await installPlugin({ folder: plugins, node: process.execPath });
    const one = { lib: SOFTHSM_MODULE, token_label: 'a', key_label: 'seal', pin: PIN };
    const three = {
      ...{ lib: SOFTHSM_MODULE, key_label: 'seal', threshold: '2' },
      ...Object.fromEntries(
        ['a', 'b', 'c'].flatMap((label, index) => [
          [`token${(index + 1).toString()}_token_label`, label],
          [`token${(index + 1).toString()}_pin`, PIN],
        ]),
      ),
    };
    const seal = [
      ...pluginStanza(installed),
      'seal "quorate-kms" {',
      ...Object.entries(one).map(([name, value]) => `  ${name} = ${JSON.stringify(value)}`),
      '}\n',
    ].join('\n');
    const cluster = await startCluster({
      ...{ folder: join(folder, 'cluster'), flavour: 'openbao' as const, peers: 1, audit: false, seal },
      binary: await baoBinary(),
      environment: { SOFTHSM2_CONF: conf },
    });
    const ask = (method: string, path: string, body?: unknown): ReturnType<typeof call> =>
      call({ address: cluster.peers[0]?.address ?? '', caFile: cluster.caFile }, method, path, { body });
    const open = (): Promise<boolean> =>
      waitUntil(
        'the server is unsealed',
        async () => at((await ask('GET', 'sys/seal-status')).body, 'sealed') === false,
      );
    await ask('PUT', 'sys/init', { recovery_shares: 1, recovery_threshold: 1 });
    await open();

    const token = (): Promise<Sample> => {
      const encrypt: number[] = [];
      const decrypt: number[] = [];
      for (let round = 0; round < PAIRS; round += 1) {
        const text = timed(encrypt, () => session.encryptGcm(key, PLAINTEXT));
        timed(decrypt, () => session.decryptGcm(key, text));
      }
      const before = performance.now();
      const bare =
        Number(execFileSync(process.execPath, ['-p', 'process.memoryUsage.rss()'], { encoding: 'utf8' })) / 1e6;
      return Promise.resolve({
        ...NOT_MEASURED,
        ...{ start: performance.now() - before, encrypt: median(encrypt), decrypt: median(decrypt) },
        ...{ 'memory, one token': bare, 'memory, three': bare },
      });
    };
    let much: Promise<Sample> | undefined;
    const plugin = async (): Promise<Sample> => {
      const alone = await token();
      const before = performance.now();
      const launched = await KmsPlugin.launch({ command: installed.path, env: process.env });
      const start = performance.now() - before;
      await launched.setConfig(one);
      await rounds(launched, PAIRS);
      const { encrypt, decrypt } = await rounds(launched, PAIRS);
      const memory = await atRest(launched);
      much ??= growth(launched);
      const grown = await much;
      await launched.stop();
      const several = await KmsPlugin.launch({ command: installed.path, env: process.env });
      await several.setConfig(three);
      await rounds(several, PAIRS);
      const memoryOfThree = await atRest(several);
      await several.stop();
      await cluster.kill(0, 'SIGTERM');
      const restart = performance.now();
      await cluster.start(0);
      await open();
      return {
        ...{ start, encrypt, decrypt, ...grown },
        'encrypt overhead': encrypt - (alone['encrypt'] ?? 0),
        'decrypt overhead': decrypt - (alone['decrypt'] ?? 0),
        'memory, one token': memory,
        'memory, three': memoryOfThree,
        'server start to unsealed': performance.now() - restart,
      };
    };
    return {
      ours: plugin,
      reference: token,
      close: async () => {
        library.close();
        await cluster.remove();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

/** What a token alone has no number for. */
const NOT_MEASURED: Sample = Object.fromEntries(
  ['encrypt overhead', 'decrypt overhead', 'memory after 100,000 operations', 'growth', 'server start to unsealed'].map(
    (measure) => [measure, NaN],
  ),
);
const PLAINTEXT = new TextEncoder().encode('a root key has thirty-two bytes.');

function timed<T>(times: number[], work: () => T): T {
  const before = performance.now();
  const result = work();
  times.push(performance.now() - before);
  return result;
}

async function rounds(plugin: KmsPlugin, count: number): Promise<{ encrypt: number; decrypt: number }> {
  const encrypt: number[] = [];
  const decrypt: number[] = [];
  for (let round = 0; round < count; round += 1) {
    const before = performance.now();
    const blob = await plugin.encrypt(PLAINTEXT);
    const between = performance.now();
    await plugin.decrypt(blob);
    encrypt.push(between - before);
    decrypt.push(performance.now() - between);
  }
  return { encrypt: median(encrypt), decrypt: median(decrypt) };
}

/** Very many operations, several at once; tells how far it is. */
async function growth(plugin: KmsPlugin): Promise<Sample> {
  let done = 0;
  let warm = NaN;
  const before = performance.now();
  const work = async (): Promise<void> => {
    while (done < MANY) {
      done += 2;
      const count = done;
      await plugin.decrypt(await plugin.encrypt(PLAINTEXT));
      if (count % WARM_UP !== 0) continue;
      const now = await resident(plugin);
      if (count === WARM_UP) warm = now;
      const seconds = ((performance.now() - before) / 1000).toFixed(0);
      console.error(`  ${count.toLocaleString('en')} operations in ${seconds} s: ${now.toFixed(1)} MB`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const after = await resident(plugin);
  return { 'memory after 100,000 operations': after, 'growth': after / warm };
}

async function atRest(plugin: KmsPlugin): Promise<number> {
  await sleep(REST);
  return resident(plugin);
}

/** MB. */
async function resident(plugin: KmsPlugin): Promise<number> {
  const status = await readFile(`/proc/${String(plugin.pid)}/status`, 'utf8');
  return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
}

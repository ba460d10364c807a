import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, chmod, cp, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS, type Entry } from '../src/cli.ts';
import { runCommandLine } from '../src/command-line.ts';
import type { ThrowawayCluster } from '../src/rehearsal/cluster.ts';
import { renderYaml } from '../src/document.ts';
import { type Row, ROWS } from './canary-rows.ts';
import { type Canaries, findLeak, leakyFiles, makeCanaries, needlesOf, watchArguments } from './support/canaries.ts';
import { freshCluster, initialise, temporaryFolder } from './support/cluster.ts';
import { HOLDERS, layDesk, rosterOf } from './support/desk.ts';
import { LAUNCHER, startQuorate } from './support/quorate.ts';
import { SOFTHSM_MODULE, softHsm } from './support/softhsm.ts';

/**
 * Secrets are planted wherever quorate takes them, and each command is made to fail. No piece of a secret may come
 * out: not in what is printed, not in a file, not in an error, not in the arguments of a program that is run.
 */

let base: string;
let cluster: ThrowawayCluster;
let shares: readonly string[];

beforeAll(async () => {
  base = await temporaryFolder();
  cluster = await freshCluster({ peers: 1 });
  shares = (await initialise(cluster, { shares: 3, threshold: 2 })).shares;
  if (!existsSync(join(LAUNCHER, '../../dist/quorate.cjs'))) throw new Error('build the bundle first: bin/setup');
});

/** A folder with fresh secrets in all its files. */
async function plant(): Promise<{
  folder: string;
  canaries: Canaries;
  needles: ReadonlySet<string>;
  planted: ReadonlySet<string>;
}> {
  const folder = await mkdtemp(join(base, 'row-'));
  const canaries = makeCanaries();
  const { share, token, password, secretId, pin } = canaries;
  const base64 = Buffer.from(share, 'hex').toString('base64');
  const peers = cluster.peers.map(({ name, address }) => ({ name, address }));
  const roster = rosterOf(shares, { cluster: 'prod', threshold: 2 });
  const ca = cluster.caFile;
  await layDesk(folder, {
    prod: { peers, ca, roster },
    bare: { peers, ca },
    dead: { peers: [{ name: 'dead-1', address: 'https://127.0.0.1:1' }] },
  });
  const node = (at: string): object => ({ 'cluster': at, 'signing-key': `ed25519:${'A'.repeat(43)}=` });
  const wallets = { treasury: { threshold: 2, nodes: { north: node('dead'), south: node('prod') } } };
  await appendFile(join(folder, 'quorate.yaml'), renderYaml({ wallets }));
  const record = JSON.stringify({
    seq: 1,
    time: '2027-01-12T10:04:31.120Z',
    prev: 'none',
    event: 'note',
    text: token,
    share,
  });
  const files: Readonly<Record<string, string | Uint8Array>> = {
    share,
    'share64': base64,
    'loose': share,
    'listed': `${share.slice(0, 64)}80`,
    'pgp': Buffer.concat([Buffer.from([0xc1, 0x40]), Buffer.from(share), Buffer.from(share, 'hex')]),
    token,
    password,
    pin,
    'vault.hcl': `seal "pkcs11" {\n  lib = "${SOFTHSM_MODULE}"\n  token_label = "seal"\n  key_label = "none"\n  pin = "${pin}"\n}\n`,
    'seal.hcl': `seal "quorate-kms" {\n  pin = "${pin}"\n  x = ["${share}"]\n}\n`,
    'secret-id': secretId,
    'script.yaml': `ceremony: unseal\ntitle: ${password}: ${share}\ncluster: "${token}\n`,
    'init.yaml': renderYaml({
      ceremony: 'init',
      title: 'x',
      cluster: 'prod',
      secret: share,
      [token]: secretId,
      shares: password,
    }),
    'unseal.yaml': renderYaml({ ceremony: 'unseal', title: 'Unseal', cluster: 'prod' }),
    'record/record.jsonl': `${record}\n`,
  };
  await mkdir(join(folder, 'record'));
  for (const [name, data] of Object.entries(files)) {
    await writeFile(join(folder, name), data);
    await chmod(join(folder, name), name === 'loose' ? 0o644 : 0o600);
  }
  await cp(join(folder, 'unseal.yaml'), join(folder, 'record', 'script.yaml'));
  return { folder, canaries, needles: needlesOf(canaries), planted: new Set(Object.keys(files)) };
}

/** SHARE and TOKEN on a command line are what a person gives in the wrong place; quorate must not repeat them. */
function argumentsOf({ command, args }: Row, { share, token }: Canaries): string[] {
  return [...command.split(' '), ...args.map((arg) => arg.replace('SHARE', share).replace('TOKEN', token))];
}

/** For a row about HSMs: a token `seal` whose PIN is in the file `pin`. @returns what finds it. */
async function plantToken({ command }: Row, { pin, password }: Canaries): Promise<Readonly<Record<string, string>>> {
  if (!command.startsWith('hsm')) return {};
  const hsm = await softHsm();
  await hsm.addToken('seal', { pin, soPin: password });
  return hsm.env;
}

const takesArgv = ({ args }: Row): boolean => args.some((arg) => /SHARE|TOKEN/.test(arg));
const title = ({ command, args, input }: Row): string =>
  `${command} ${args.join(' ')}${input === undefined ? '' : ` < ${input}`}`;

const environment = ({ token, password, secretId }: Canaries): Record<string, string> => ({
  BAO_TOKEN: token,
  VAULT_TOKEN: token,
  UNRELATED_PASSWORD: password,
  BAO_SECRET_ID: secretId,
  DEBUG: '*',
  NODE_DEBUG: 'http,https,net,tls,child_process,fs',
});

describe('no secret comes out of the program', () => {
  it.each(ROWS.map((one) => [title(one), one] as const))('%s', async (_title, one) => {
    const { folder, canaries, needles, planted } = await plant();
    const token = await plantToken(one, canaries);
    const watch = takesArgv(one) ? undefined : watchArguments(needles);
    const ended = await startQuorate(argumentsOf(one, canaries), {
      cwd: folder,
      env: { ...environment(canaries), ...token, GNUPGHOME: join(folder, 'no-gnupg') },
      launcher: true,
      ...(one.input === undefined ? {} : { input: canaries[one.input] }),
    }).ended;
    const found = watch?.stop();
    expect(ended.status).not.toBe(0);
    expect(ended.status, ended.stderr).not.toBe(70);
    expect(findLeak(ended.stdout, needles), 'stdout').toBeUndefined();
    expect(findLeak(ended.stderr, needles), 'stderr').toBeUndefined();
    expect(leakyFiles(folder, needles, planted), 'files').toEqual([]);
    expect(found, 'arguments').toBeUndefined();
  });
});

describe('no secret is in an error', () => {
  // Descriptor 0 is the test's own in this process.
  it.each(ROWS.filter(({ input }) => input === undefined).map((one) => [title(one), one] as const))(
    '%s',
    async (_title, one) => {
      const { folder, canaries, needles } = await plant();
      const token = await plantToken(one, canaries);
      const sink = Object.assign(new PassThrough(), { isTTY: false }) as unknown as NodeJS.WriteStream & PassThrough;
      const printed: Buffer[] = [];
      sink.on('data', (chunk: Buffer) => printed.push(chunk));
      const { PATH = '', HOME = '' } = process.env;
      const error: unknown = await runCommandLine(COMMANDS, argumentsOf(one, canaries), {
        env: { PATH, HOME, GNUPGHOME: join(folder, 'no-gnupg'), ...environment(canaries), ...token },
        cwd: folder,
        stdin: Object.assign(new PassThrough(), { isTTY: false }) as unknown as NodeJS.ReadStream,
        stdout: sink,
        stderr: sink,
        signal: new AbortController().signal,
      }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      const seen = [
        inspect(error, { depth: 12, showHidden: true, maxStringLength: null, maxArrayLength: null }),
        JSON.stringify({ error }),
        error instanceof Error ? `${error.message}${error.stack ?? ''}` : '',
        Buffer.concat(printed).toString(),
      ];
      for (const text of seen) expect(findLeak(text, needles)).toBeUndefined();
    },
  );
});

it('every command has a row', () => {
  const leaves = (table: Readonly<Record<string, Entry>>, before: string): string[] =>
    Object.entries(table).flatMap(([name, { commands }]) =>
      commands === undefined ? [`${before}${name}`] : leaves(commands, `${before}${name} `),
    );
  expect([...new Set(ROWS.map(({ command }) => command))].sort()).toEqual(leaves(COMMANDS, '').sort());
});

it('would notice a secret in any form', () => {
  const canaries = makeCanaries();
  const needles = needlesOf(canaries);
  const { share, token, password } = canaries;
  const bytes = Buffer.from(share, 'hex');
  for (const text of [
    share,
    share.slice(20, 40),
    bytes.toString('base64'),
    token.slice(4, 20),
    Buffer.from(password).toString('hex'),
  ]) {
    expect(findLeak(`x ${text} y`, needles)).toBeDefined();
  }
  expect(findLeak('error  share-unknown: that is not a share of prod', needles)).toBeUndefined();
  const watch = watchArguments(needles);
  spawnSync('sh', ['-c', 'sleep 0.001', token]);
  watch.stop();
  expect(HOLDERS).toHaveLength(5);
});

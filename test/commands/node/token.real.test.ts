import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { startCuttingProxy } from '../../support/cutting-proxy.ts';
import { type Ended, errorCode, startQuorate } from '../../support/quorate.ts';
import { type SoftHsm, softHsm, type SoftToken } from '../../support/softhsm.ts';
import { asNode, NODES, sharedWallet } from '../../support/wallet.ts';

const shared = sharedWallet();
let hsm: SoftHsm;
let token: SoftToken;
let home: string;

/** North's keys are in its token; south's are in files. */
function run(args: readonly string[], input = '', env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const options = { cwd: shared().folder, launcher: true, input };
  const pin = { QUORATE_PIN_FILE: join(shared().folder, 'pin') };
  return startQuorate(args, { ...options, env: { ...hsm.env, ...pin, ...env } }).ended;
}
const onNorth = ['--node', 'north', '--home'];
const enroll = (...more: readonly string[]): Promise<Ended> =>
  run(['shares', 'enroll', 'treasury', '--home', home, ...more, '--format', 'json']);
const boot = (env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  run(
    ['node', 'boot', 'treasury', ...onNorth, home, '--wait', '0', '--exec', '--', '/bin/sh', '-c', 'cat <&3'],
    '',
    env,
  );
const epochsOf = ({ stdout }: Ended): string[] =>
  (JSON.parse(stdout) as { shares: { share: string }[] }).shares.map(({ share }) =>
    Buffer.from(share, 'base64').toString(),
  );
const keysOnToken = async (): Promise<string[]> => {
  const listed = await hsm.tool('--token-label', token.label, '--login', '--pin', token.pin, '--list-objects');
  return [...listed.matchAll(/Private Key Object[\s\S]*?label: +(\S+)/g)].map(([, label]) => label ?? '').sort();
};

async function move(epoch: number): Promise<void> {
  const steps = [[...onNorth, home], asNode(shared().folder, 'south')] as const;
  for (const [at, node] of steps.entries()) {
    const what = ['--epoch', epoch.toString(), '--scheme', 'x', '--index', (at + 1).toString(), '--share-fd', '0'];
    const put = await run(['shares', 'put', 'treasury', ...node, ...what], `${NODES[at] ?? ''} ${epoch.toString()}`);
    expect(put.status, put.stderr).toBe(0);
  }
  for (let round = 0; round < 4; round += 1) {
    const { status } = await run(['shares', 'refresh', 'treasury']);
    if (status === 0 && round > 0) return;
    for (const node of steps) await run(['shares', 'refresh', 'treasury', ...node]);
  }
  throw new Error('not settled');
}

beforeAll(async () => {
  hsm = await softHsm();
  token = await hsm.addToken('node');
  home = join(shared().folder, 'north-token');
  await writeFile(join(shared().folder, 'pin'), token.pin, { mode: 0o600 });
});

describe('a node whose keys are in a PKCS#11 token', () => {
  it('enrolls there, once, and is found again without being named', async () => {
    const made = await enroll('--module', hsm.module, '--token', 'node');
    expect(made.status, made.stderr).toBe(0);
    const { signingKey } = JSON.parse(made.stdout) as { signingKey: string };
    expect(signingKey).toMatch(/^p256:/);
    expect(JSON.parse((await enroll()).stdout)).toMatchObject({ signingKey, made: false });
    expect((await readdir(home)).sort()).toEqual(['token.json', 'treasury.state.json']);
    await hsm.addToken('other');
    expect(errorCode(await enroll('--module', hsm.module, '--token', 'other'))).toBe('file-exists');
    const north = { 'signing-key': signingKey };
    await shared().describe({ nodes: { north } });
    await shared().run(['shares', 'setup', 'treasury', '--yes']);
    for (const node of NODES) await shared().giveSecretId(node);
  });

  it('puts, moves and boots, and destroys the key of the epoch before in the token', async () => {
    await move(1);
    expect(epochsOf(await boot())).toEqual(['north 1']);
    expect(await keysOnToken()).toEqual(['quorate-node-signing', 'quorate-treasury-epoch-1']);
    await move(2);
    expect(epochsOf(await boot())).toEqual(['north 2']);
    expect(await keysOnToken()).toEqual(['quorate-node-signing', 'quorate-treasury-epoch-2']);
    expect((await run(['shares', 'verify', 'treasury'])).status).toBe(0);
    expect((await readdir(home)).sort()).toEqual(['token.json', 'treasury.state.json']);
  });

  it('boots by a PIN from a systemd credential, and tries a wrong one once', async () => {
    const credentials = { CREDENTIALS_DIRECTORY: join(shared().folder, 'credentials'), QUORATE_PIN_FILE: '' };
    const { mkdir } = await import('node:fs/promises');
    await mkdir(credentials.CREDENTIALS_DIRECTORY);
    await writeFile(join(credentials.CREDENTIALS_DIRECTORY, 'quorate-pin'), token.pin, { mode: 0o600 });
    expect(epochsOf(await boot(credentials))).toEqual(['north 2']);
    await writeFile(join(shared().folder, 'wrong'), '9999', { mode: 0o600 });
    const wrong = await boot({ QUORATE_PIN_FILE: join(shared().folder, 'wrong') });
    expect([errorCode(wrong), wrong.status], wrong.stderr).toEqual(['pin-wrong', 4]);
    expect(epochsOf(await boot())).toEqual(['north 2']);
  });

  it('refuses keys that were brought from outside, or twice', async () => {
    await hsm.addKey(token, 'EC:prime256v1', 'quorate-treasury-epoch-2', 'ff');
    expect(errorCode(await boot())).toBe('hsm-key-ambiguous');
    const login = ['--token-label', 'node', '--login', '--pin', token.pin];
    for (const type of ['privkey', 'pubkey']) await hsm.tool(...login, '--delete-object', '--type', type, '--id', 'ff');
    expect(epochsOf(await boot())).toEqual(['north 2']);
  });

  it('sends nothing to its server before the token has opened', async () => {
    const proxy = await startCuttingProxy(shared().clusters.north.cluster);
    const signingKey = (JSON.parse((await enroll()).stdout) as { signingKey: string }).signingKey;
    const clusters = { north: { peers: [{ name: 'north', address: proxy.address }] } };
    await shared().describe({ nodes: { north: { 'signing-key': signingKey } }, clusters });
    await hsm.takeAway(token);
    expect(errorCode(await boot())).toBe('hsm-token-missing');
    expect(proxy.requests).toEqual([]);
    await hsm.putBack(token);
    expect(epochsOf(await boot())).toEqual(['north 2']);
    const kept = await readFile(join(home, 'token.json'), 'utf8');
    await writeFile(join(home, 'token.json'), '{"module":"x"}');
    expect(errorCode(await boot())).toBe('file-invalid');
    await rm(join(home, 'token.json'));
    expect(errorCode(await boot())).toBe('file-missing');
    await writeFile(join(home, 'token.json'), kept);
  });
});

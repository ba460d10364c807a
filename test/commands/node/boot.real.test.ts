import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { callPeer, freshCluster, reseal, unsealAll } from '../../support/cluster.ts';
import { at } from '../../support/http.ts';
import { type Ended, errorCode, type Running, startQuorate } from '../../support/quorate.ts';
import { waitUntil } from '../../support/wait.ts';
import { moveTo, NODES, sharedWallet } from '../../support/wallet.ts';

const shared = sharedWallet();
const north = () => shared().clusters.north.cluster;

/** What `shares put` gave, from the program's descriptor 3. */
const SHOW = ['--exec', '--', '/bin/sh', '-c', 'cat <&3'];

/** Everything that boot needs, as options; there is no quorate.yaml in the folder that it runs in. */
function options(change: Readonly<Record<string, string | undefined>> = {}): string[] {
  const { folder, keys } = shared();
  const all: Record<string, string | undefined> = {
    node: 'north',
    home: join(folder, 'north'),
    threshold: '2',
    address: north().peers[0]?.address ?? '',
    ca: north().caFile,
    login: `approle,role-id=north-role-id,secret-id-file=${join(folder, 'north.secret-id')}`,
    wait: '0',
    ...change,
  };
  return [
    ...Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value])),
    ...NODES.flatMap((node) => ['--signing-key', `${node}=${keys[node]}`]),
  ];
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const cwd = join(shared().folder, 'bare');
  return startQuorate(['node', 'boot', 'treasury', ...args], { cwd, env, launcher: true });
}

const boot = (...args: Parameters<typeof start>): Promise<Ended> => start(...args).ended;
const sharesOf = ({ stdout }: Ended): string[] =>
  (JSON.parse(stdout) as { shares: { share: string }[] }).shares.map(({ share }) =>
    Buffer.from(share, 'base64').toString(),
  );

beforeAll(async () => {
  const { folder, run, giveSecretId } = shared();
  await mkdir(join(folder, 'bare'));
  await run(['shares', 'setup', 'treasury', '--yes']);
  for (const node of NODES) await giveSecretId(node);
  await moveTo(shared(), 1);
});

describe('node boot without a quorate.yaml', () => {
  it('takes what it needs from options', async () => {
    const ended = await boot([...options(), ...SHOW]);
    expect(ended.status, ended.stderr).toBe(0);
    expect(sharesOf(ended)).toEqual(['north 1']);
  });

  it('or from the environment', async () => {
    const { folder, keys } = shared();
    const env = {
      QUORATE_NODE_NAME: 'north',
      QUORATE_NODE_HOME: join(folder, 'north'),
      QUORATE_THRESHOLD: '2',
      QUORATE_MOUNT: 'mpc',
      QUORATE_SIGNING_KEYS: NODES.map((node) => `${node}=${keys[node]}`).join('\n'),
      QUORATE_LOGIN: `approle,role-id=north-role-id,secret-id-file=${join(folder, 'north.secret-id')}`,
      BAO_ADDR: north().peers[0]?.address ?? '',
      BAO_CACERT: north().caFile,
    };
    const ended = await boot(SHOW, env);
    expect(ended.status, ended.stderr).toBe(0);
    expect(sharesOf(ended)).toEqual(['north 1']);
    const elsewhere = await boot(SHOW, { ...env, QUORATE_CLUSTER_ID: '00000000-0000-4000-8000-000000000000' });
    expect(errorCode(elsewhere)).toBe('cluster-mismatch');
  });

  it('refuses what is not enough, or wrong, without repeating it', async () => {
    const { keys } = shared();
    const other = { ...keys, north: keys.south };
    const pinned = (of: Readonly<Record<string, string>>): string[] =>
      NODES.flatMap((node) => ['--signing-key', `${node}=${of[node] ?? ''}`]);
    const bare = options().slice(0, -4);
    for (const [args, code] of [
      [options({ threshold: undefined }), 'usage'],
      [options({ threshold: '3x' }), 'usage'],
      [options({ address: undefined }), 'usage'],
      [options({ node: undefined }), 'usage'],
      [options({ node: 'west' }), 'usage'],
      [bare, 'usage'],
      [[...bare, '--signing-key', `north=${keys.north}`], 'usage'],
      [[...bare, '--signing-key', 'north=hvs.CAESIJ0123456789012345'], 'usage'],
      [[...bare, ...pinned(other)], 'key-unusable'],
      [options({ mount: 'elsewhere' }), 'denied'],
    ] as const) {
      const ended = await boot([...args, '--exec', '--', '/bin/true']);
      expect(errorCode(ended), `${args.join(' ')}: ${ended.stderr}`).toBe(code);
      expect(ended.stderr).not.toContain('hvs.');
    }
  });

  it('refuses an epoch that the pinned nodes did not commit', async () => {
    const { keys } = shared();
    const stranger = options().map((word) => (word.startsWith('south=') ? `south=${keys.north}` : word));
    const ended = await boot([...stranger, '--exec', '--', '/bin/true']);
    expect(errorCode(ended), ended.stderr).toBe('epoch-stale');
  });
});

describe('node boot under systemd', () => {
  it('says that the unit is ready right before it becomes the program, and fails when it cannot', async () => {
    const { folder } = shared();
    const tools = join(folder, 'tools');
    await mkdir(tools);
    const notify = join(tools, 'systemd-notify');
    await writeFile(notify, `#!/bin/sh\necho "$@ to $NOTIFY_SOCKET" >> ${folder}/notified\n`, { mode: 0o755 });
    const PATH = `${tools}:${process.env['PATH'] ?? ''}`;
    const args = [...options(), '--ready', '--exec', '--', '/bin/cat', join(folder, 'notified')];
    const ended = await boot(args, { PATH, NOTIFY_SOCKET: '/run/systemd/notify' });
    expect(ended.stdout, ended.stderr).toBe('--ready --status=the shares are handed over to /run/systemd/notify\n');
    await writeFile(notify, '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    expect(errorCode(await boot(args, { PATH, NOTIFY_SOCKET: '/run/systemd/notify' }))).toBe('program-failed');
    expect((await boot(args, { PATH })).status).toBe(0);
  });

  it("takes a secret id from the unit's credentials, whose mode shows an access list as the group's rights", async () => {
    const { folder } = shared();
    const credentials = join(folder, 'credentials');
    await mkdir(credentials);
    const file = join(credentials, 'secret-id');
    await writeFile(file, await readFile(join(folder, 'north.secret-id')), { mode: 0o440 });
    const args = [
      ...options({ login: `approle,role-id=north-role-id,secret-id-file=${file}` }),
      '--exec',
      '--',
      'true',
    ];
    expect(errorCode(await boot(args))).toBe('file-mode');
    expect((await boot(args, { CREDENTIALS_DIRECTORY: credentials })).status).toBe(0);
  });
});

describe('node boot and its server', () => {
  it('tells one that is not there from one that is not initialised', async () => {
    const away = await boot([...options({ address: 'https://127.0.0.1:1' }), '--exec', '--', '/bin/true']);
    expect([errorCode(away), away.status]).toEqual(['server-unreachable', 2]);
    const fresh = await freshCluster({ peers: 1 });
    const place = { address: fresh.peers[0]?.address ?? '', ca: fresh.caFile };
    const empty = await boot([...options(place), '--exec', '--', '/bin/true']);
    expect([errorCode(empty), empty.status], empty.stderr).toEqual(['not-initialised', 3]);
    await fresh.stop();
  });

  it('says that one is sealed, or waits until it is unsealed, and logs in once', async () => {
    const { clusters, folder, asRoot } = shared();
    const wrapped = join(folder, 'one-use');
    await asRoot('north', 'POST', 'auth/approle/role/treasury-north', { secret_id_num_uses: 1 });
    const issued = await asRoot('north', 'POST', 'auth/approle/role/treasury-north/secret-id', {});
    await writeFile(wrapped, String(at(issued.body, 'data', 'secret_id')), { mode: 0o600 });
    await reseal(clusters.north);
    const sealed = await boot([...options(), '--exec', '--', '/bin/true']);
    expect([errorCode(sealed), sealed.status]).toEqual(['sealed', 3]);
    const login = `approle,role-id=north-role-id,secret-id-file=${wrapped}`;
    const waiting = start([...options({ wait: '60', login }), ...SHOW]);
    let said = '';
    waiting.child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await waitUntil('it waits', () => Promise.resolve(said.includes('waiting')));
    await unsealAll(clusters.north);
    const ended = await waiting.ended;
    expect(ended.status, ended.stderr).toBe(0);
    expect(sharesOf(ended)).toEqual(['north 1']);
    const again = await boot([...options({ login }), '--exec', '--', '/bin/true']);
    expect([errorCode(again), again.status]).toEqual(['denied', 4]);
    await asRoot('north', 'POST', 'auth/approle/role/treasury-north', { secret_id_num_uses: 0 });
  });

  it('ends at a signal while it waits', async () => {
    const waiting = start([...options({ wait: '60', address: 'https://127.0.0.1:1' }), ...SHOW]);
    let said = '';
    waiting.child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await waitUntil('it waits', () => Promise.resolve(said.includes('waiting')));
    waiting.child.kill('SIGTERM');
    expect((await waiting.ended).status).toBe(130);
  });
});

describe("a node's state", () => {
  const state = () => join(shared().folder, 'north', 'treasury.state.json');
  const run = (...more: readonly string[]): Promise<Ended> =>
    boot([...options(), ...more, '--exec', '--', '/bin/true']);

  it('is wanted at every boot but the first, or the word of all other nodes', async () => {
    const kept = await readFile(state(), 'utf8');
    await rm(state());
    expect(errorCode(await run())).toBe('state-missing');
    expect((await run('--first-boot')).status).toBe(0);
    expect(await readFile(state(), 'utf8')).toBe(kept);
    await rm(state());
    await shared().run(['shares', 'status', 'treasury', '--export', join(shared().folder, 'all.json')]);
    const all = JSON.parse(await readFile(join(shared().folder, 'all.json'), 'utf8')) as {
      statements: { kind: string; node: string }[];
    };
    const some = all.statements.filter(({ kind, node }) => !(kind === 'acknowledged' && node === 'south'));
    await writeFile(join(shared().folder, 'some.json'), JSON.stringify({ statements: some }));
    expect(errorCode(await run('--acknowledgements', join(shared().folder, 'some.json')))).toBe('state-missing');
    expect((await run('--acknowledgements', join(shared().folder, 'all.json'))).status).toBe(0);
    expect(await readFile(state(), 'utf8')).toBe(kept);
  });

  it('refuses a lower epoch than it has seen, and is never repaired by itself', async () => {
    const kept = await readFile(state(), 'utf8');
    await writeFile(state(), '{"committed":2}\n', { mode: 0o600 });
    expect(errorCode(await run())).toBe('epoch-stale');
    expect(errorCode(await run('--first-boot'))).toBe('epoch-stale');
    for (const broken of ['', '{', '{"committed":-1}', '{"committed":1,"more":0}']) {
      await writeFile(state(), broken, { mode: 0o600 });
      expect(errorCode(await run('--first-boot')), broken).toBe('file-invalid');
      expect(await readFile(state(), 'utf8')).toBe(broken);
    }
    await writeFile(state(), kept, { mode: 0o600 });
    expect((await run()).status).toBe(0);
  });

  it('lets nobody in without the login of the node', async () => {
    const { clusters, asRoot } = shared();
    await asRoot('north', 'POST', 'auth/approle/role/treasury-north', { token_bound_cidrs: ['10.0.0.0/8'] });
    const outside = await run();
    expect([errorCode(outside), outside.status], outside.stderr).toEqual(['denied', 4]);
    await asRoot('north', 'POST', 'auth/approle/role/treasury-north', { token_bound_cidrs: ['127.0.0.0/8'] });
    expect((await run()).status).toBe(0);
    const status = await callPeer(clusters.north.cluster, 0, 'GET', 'sys/seal-status');
    expect(status.status).toBe(200);
  });
});

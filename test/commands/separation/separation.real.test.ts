import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { renderRoster } from '../../../src/ceremony/roster/roster.ts';
import { baoBinary } from '../../support/bao-binary.ts';
import { callPeer, type LiveCluster, sharedCluster, temporaryFolder } from '../../support/cluster.ts';
import { rosterOf } from '../../support/desk.ts';
import { at } from '../../support/http.ts';
import { startQuorate } from '../../support/quorate.ts';

const NODES = ['north', 'south'] as const;
type Name = (typeof NODES)[number];

const clusters = { north: sharedCluster({ peers: 1 }), south: sharedCluster({ peers: 1 }) };
const ENTRY = 'mpc/data/treasury/envelopes';
const SHARE = 'ciphertext-that-nobody-exports';
const PASSWORD = 'correct-horse-battery';
let folder: string;

const run = (args: readonly string[], env?: Readonly<Record<string, string>>) =>
  startQuorate(args, { cwd: folder, launcher: true, ...(env === undefined ? {} : { env }) }).ended;

/** A request straight to a server; by default as root. */
async function ask(name: Name, method: string, path: string, body?: unknown, token?: string) {
  const { cluster, rootToken } = clusters[name]();
  return callPeer(cluster, 0, method, path, { token: token ?? rootToken, ...(body === undefined ? {} : { body }) });
}

async function must(name: Name, path: string, body: unknown): Promise<unknown> {
  const reply = await ask(name, 'POST', path, body);
  if (reply.status >= 300) throw new Error(`${path}: ${JSON.stringify(reply.body)}`);
  return reply.body;
}

const rule = (path: string, ...words: readonly string[]): string =>
  `path "${path}" { capabilities = ${JSON.stringify(words)} }\n`;
const policy = (name: Name, called: string, ...rules: readonly string[]) =>
  must(name, `sys/policies/acl/${called}`, { policy: rules.join('') });
const user = (name: Name, called: string, ...policies: readonly string[]) =>
  must(name, `auth/userpass/users/${called}`, { password: PASSWORD, token_policies: policies });
const logIn = async (name: Name, called: string): Promise<string> =>
  String(at(await must(name, `auth/userpass/login/${called}`, { password: PASSWORD }), 'auth', 'client_token'));

/** A node's home as it should be, with people who are on both clusters and reach no share. */
async function furnish(name: Name, exporting: string): Promise<void> {
  await must(name, 'sys/mounts/mpc', { type: 'kv', options: { version: '2' } });
  await policy(name, `treasury-${name}`, rule(ENTRY, 'create', 'read', 'update'));
  for (const type of ['approle', 'userpass', 'cert', 'kubernetes', 'jwt'])
    await must(name, `sys/auth/${type}`, { type });
  await must(name, `auth/approle/role/treasury-${name}`, {
    token_policies: [`treasury-${name}`],
    token_no_default_policy: true,
  });
  await policy(name, 'web', rule('secret/*', 'read'));
  for (const who of ['alice', 'bob', 'carol']) await user(name, who, 'web');
  await policy(name, 'separation-export', exporting);
  const token = await must(name, 'auth/token/create', { policies: ['separation-export'], no_default_policy: true });
  await writeFile(join(folder, `${name}.token`), String(at(token, 'auth', 'client_token')), { mode: 0o600 });
  // The mount answers for some time with its upgrade.
  for (let tries = 0; ; tries += 1) {
    const { status } = await ask(name, 'POST', ENTRY, { data: { share: `${SHARE}-${name}` } });
    if (status === 200) return;
    if (tries > 100) throw new Error('the store takes nothing');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function exportBoth(): Promise<void> {
  for (const name of NODES) {
    await rm(join(folder, `${name}.separation.json`), { force: true });
    await rm(join(folder, `${name}.separation.json.sig`), { force: true });
  }
  const ended = await Promise.all(
    NODES.map((name) => run(['separation', 'export', '--cluster', name, '--key', 'signer'])),
  );
  expect(ended.map(({ status }) => status)).toEqual([0, 0]);
}

const FILES = ['north.separation.json', 'south.separation.json'];
const prove = async (...more: readonly string[]) =>
  run(['separation', 'prove', ...FILES, '--allowed-signers', 'signers', ...more], { QUORATE_BAO: await baoBinary() });
interface Told {
  readonly verdict: string;
  readonly error?: { readonly code: string };
  readonly exports: readonly { readonly signedBy: string | null }[];
  readonly breaches: readonly {
    readonly code: string;
    readonly who: string;
    readonly mend: string;
    readonly ways: readonly { readonly node: string; readonly steps: readonly { readonly text: string }[] }[];
  }[];
  readonly doubts: readonly { readonly code: string; readonly what: string }[];
  readonly notes: readonly { readonly code: string; readonly what: string }[];
  readonly secondEngine?: object;
}
async function told(...more: readonly string[]): Promise<{ readonly status: number | null; readonly value: Told }> {
  const { status, stdout } = await prove('--format', 'json', ...more);
  return { status, value: JSON.parse(stdout) as Told };
}

async function writeConfig(rosters: Readonly<Record<Name, LiveCluster>>): Promise<void> {
  const described = await Promise.all(
    NODES.map(async (name, index) => {
      const { cluster } = clusters[name]();
      const roster = rosterOf(rosters[name].shares, { cluster: name, threshold: 2 });
      const shares = roster.shares.map((share) => ({ ...share, holder: `${share.holder} ${index.toString()}` }));
      await writeFile(join(folder, `${name}.roster.yaml`), renderRoster({ ...roster, shares }));
      return `  ${name}:
    ca: ${cluster.caFile}
    roster: ${name}.roster.yaml
    auth: { method: token-file, file: ${name}.token }
    peers: [{ name: ${name}, address: "${cluster.peers[0]?.address ?? ''}" }]\n`;
    }),
  );
  const key = `ed25519:${'A'.repeat(43)}=`;
  const nodes = NODES.map((name) => `      ${name}: { cluster: ${name}, signing-key: "${key}" }\n`).join('');
  const wallets = `wallets:\n  treasury:\n    threshold: 2\n    nodes:\n${nodes}`;
  await writeFile(join(folder, 'quorate.yaml'), `clusters:\n${described.join('')}${wallets}`);
}

beforeAll(async () => {
  folder = await temporaryFolder();
  await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'signer')]);
  await writeFile(join(folder, 'signers'), `auditor ${await readFile(join(folder, 'signer.pub'), 'utf8')}`);
  const { stdout } = await run(['separation', 'export', '--print-policy']);
  await Promise.all(NODES.map((name) => furnish(name, stdout)));
  await writeConfig({ north: clusters.north(), south: clusters.south() });
  await exportBoth();
});

describe('an export', () => {
  it('is whole with the shipped policy alone, which reads no share and changes nothing', async () => {
    for (const name of NODES) {
      const token = await readFile(join(folder, `${name}.token`), 'utf8');
      const tries = [
        ask(name, 'GET', ENTRY, undefined, token),
        ask(name, 'POST', ENTRY, { data: {} }, token),
        ask(name, 'POST', 'sys/policies/acl/separation-export', { policy: rule('*', 'sudo') }, token),
        ask(name, 'POST', `auth/approle/role/treasury-${name}/secret-id`, {}, token),
        ask(name, 'POST', 'auth/token/create', {}, token),
        ask(name, 'GET', 'secret/data/x', undefined, token),
      ];
      expect((await Promise.all(tries)).map(({ status }) => status)).toEqual(tries.map(() => 403));
    }
  });

  it('holds no secret', async () => {
    for (const name of NODES) {
      const text = await readFile(join(folder, `${name}.separation.json`), 'utf8');
      const token = await readFile(join(folder, `${name}.token`), 'utf8');
      expect(text).toContain(`treasury-${name}`);
      for (const secret of [SHARE, PASSWORD, token, clusters[name]().rootToken]) expect(text).not.toContain(secret);
    }
  });

  it('is checked with stock tools', async () => {
    const args = [
      '-Y',
      'verify',
      '-f',
      'signers',
      '-I',
      'auditor',
      '-n',
      'quorate-separation',
      '-s',
      'north.separation.json.sig',
    ];
    const command = `ssh-keygen ${args.join(' ')} < north.separation.json`;
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { cwd: folder });
    expect(stdout).toContain('Good');
  });

  it('overwrites nothing, and says what it could not read', async () => {
    const { status } = await run(['separation', 'export', '--cluster', 'north', '--unsigned']);
    expect(status).toBe(1);
    const blind = String(at(await must('north', 'auth/token/create', { policies: ['web'] }), 'auth', 'client_token'));
    await writeFile(
      join(folder, 'blind.yaml'),
      `clusters:\n  north:\n    ca: ${clusters.north().cluster.caFile}\n    peers: [{ name: n, address: "${clusters.north().cluster.peers[0]?.address ?? ''}" }]\n`,
    );
    const args = ['--config', 'blind.yaml', 'separation', 'export', '--unsigned', '--output', 'blind.json'];
    const ended = await run(args, { BAO_TOKEN: blind });
    expect([ended.status, ended.stdout]).toEqual([5, expect.stringContaining('unread  sys/policies/acl: denied')]);
  });
});

describe('a proof', () => {
  it('stands for clusters that are apart', async () => {
    const { status, value } = await told();
    expect(value).toMatchObject({ verdict: 'apart', breaches: [], doubts: [] });
    expect(value.exports.map(({ signedBy }) => signedBy)).toEqual(['auditor', 'auditor']);
    expect(value.notes.filter(({ code }) => code === 'root-token')).toHaveLength(2);
    // The login of the export itself needs it for the accessors of tokens.
    expect(value.notes.filter(({ code }) => code === 'sudo').map(({ what }) => what)).toContainEqual(
      expect.stringContaining('auth/token/accessors'),
    );
    expect(status).toBe(0);
  });

  it('fails where an export is missing, changed, or of somebody who is not known', async () => {
    const one = await run(['separation', 'prove', FILES[0] ?? '', '--allowed-signers', 'signers', '--format', 'json']);
    expect([one.status, (JSON.parse(one.stdout) as Told).doubts.map(({ code }) => code)]).toEqual([
      5,
      ['export-missing'],
    ]);
    const file = join(folder, 'south.separation.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('"web"', '"wEb"'));
    const { value } = await told();
    expect(value.doubts.map(({ code }) => code)).toEqual(['export-unsigned']);
    expect(value).toMatchObject({ verdict: 'unproved', error: { code: 'separation-unproved' } });
    await writeFile(file, text);
  });

  it('finds a custodian of both seals', async () => {
    const roster = await readFile(join(folder, 'south.roster.yaml'), 'utf8');
    await writeFile(join(folder, 'south.roster.yaml'), roster.replace(/holder: (.*) 1$/m, 'holder: $1 0'));
    const { value } = await told();
    expect(value.breaches.map(({ code }) => code)).toEqual(['custodians-overlap']);
    await writeFile(join(folder, 'south.roster.yaml'), roster);
  });

  it('finds planted breaches, each of which is real', async () => {
    const accessor = at((await ask('south', 'GET', 'sys/auth')).body, 'data', 'userpass/', 'accessor');
    // Alice: a glob in the north; in the south a group in a group, and a token role.
    await policy('north', 'glob', rule('mpc*', 'read'));
    await user('north', 'alice', 'web', 'glob');
    await policy('south', 'lend', rule('auth/token/create/lender', 'update'));
    await policy('south', 'lent', rule('+/data/+/envelopes', 'read'));
    await must('south', 'auth/token/roles/lender', { allowed_policies: ['lent'] });
    const entity = String(at(await must('south', 'identity/entity', { name: 'alice' }), 'data', 'id'));
    await must('south', 'identity/entity-alias', {
      name: 'alice',
      canonical_id: entity,
      mount_accessor: accessor,
    });
    const inner = at(
      await must('south', 'identity/group', { name: 'inner', member_entity_ids: [entity] }),
      'data',
      'id',
    );
    await must('south', 'identity/group', { name: 'outer', member_group_ids: [inner], policies: ['lend'] });
    // Bob: a deny that does not hold in the north; a node's secret id in the south.
    await policy('north', 'walled', rule('mpc/*', 'deny'), rule(ENTRY, 'read'));
    await user('north', 'bob', 'web', 'walled');
    await policy(
      'south',
      'helpdesk',
      rule('auth/approle/role/+/secret-id', 'update'),
      rule('auth/approle/role/+/role-id', 'read'),
    );
    await user('south', 'bob', 'web', 'helpdesk');
    await exportBoth();

    const { status, value } = await told('--check-with-server');
    expect([status, value.verdict, value.error?.code]).toEqual([5, 'broken', 'separation-broken']);
    expect(value.doubts).toEqual([]);
    expect(value.secondEngine).toMatchObject({ agreed: true });
    const ways = (who: string) =>
      value.breaches
        .filter((one) => one.code === 'read-threshold' && one.who.includes(who))
        .flatMap((one) => one.ways.map(({ node, steps }) => [node, steps.map(({ text }) => text).join(', ')]));
    expect(ways('alice')).toEqual([
      ['north', `reads ${ENTRY}`],
      ['south', expect.stringMatching(/^makes a token by auth\/token\/create\/lender, reads mpc/)],
    ]);
    expect(ways('bob')).toEqual([
      ['north', `reads ${ENTRY}`],
      ['south', expect.stringMatching(/^logs in as treasury-south by .*secret-id, reads mpc/)],
    ]);
    expect(value.breaches.filter(({ who }) => who.includes('carol'))).toEqual([]);

    const read = async (name: Name, token: string) =>
      at((await ask(name, 'GET', ENTRY, undefined, token)).body, 'data', 'data', 'share');
    for (const who of ['alice', 'bob']) expect(await read('north', await logIn('north', who))).toBe(`${SHARE}-north`);
    const alice = await logIn('south', 'alice');
    const lent = await ask('south', 'POST', 'auth/token/create/lender', {}, alice);
    expect(await read('south', String(at(lent.body, 'auth', 'client_token')))).toBe(`${SHARE}-south`);
    const bob = await logIn('south', 'bob');
    const role = 'auth/approle/role/treasury-south';
    const secret = at((await ask('south', 'POST', `${role}/secret-id`, {}, bob)).body, 'data', 'secret_id');
    const id = at((await ask('south', 'GET', `${role}/role-id`, undefined, bob)).body, 'data', 'role_id');
    const made = await ask('south', 'POST', 'auth/approle/login', { role_id: id, secret_id: secret });
    expect(await read('south', String(at(made.body, 'auth', 'client_token')))).toBe(`${SHARE}-south`);
    for (const name of NODES)
      expect((await ask(name, 'GET', ENTRY, undefined, await logIn(name, 'carol'))).status).toBe(403);
  });

  it('is a table for people, with every way and its mend', async () => {
    const { status, stdout, stderr } = await prove();
    expect(status).toBe(5);
    expect(stderr).toContain('separation-broken');
    expect(stdout).toMatch(/userpass alice.* +read +via read +BREACH/);
    expect(stdout).toMatch(/hint: take `.*` out of policy/);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

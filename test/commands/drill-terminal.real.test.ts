import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { callPeer, sharedCluster, temporaryFolder } from '../support/cluster.ts';
import { lastRecord, layDesk, rosterOf } from '../support/desk.ts';
import { at } from '../support/http.ts';
import { MAIN } from '../support/quorate.ts';
import { ceremonyToken } from '../support/quorum.ts';
import { openTerminal, type TestTerminal } from '../support/terminal.ts';

const PASSWORD = 'Qm7-typed-only-once';
const shared = sharedCluster({ peers: 1 });
let folder: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  const { cluster, shares, rootToken: token } = shared();
  await ceremonyToken(shared());
  const post = (path: string, body: unknown): Promise<unknown> =>
    callPeer(cluster, 0, 'POST', path, { token, body: body as Record<string, unknown> });
  await post('sys/auth/userpass', { type: 'userpass' });
  await post('auth/userpass/users/erin', { password: PASSWORD, token_policies: ['ceremony'] });
  const { body } = await callPeer(cluster, 0, 'GET', 'sys/seal-status');
  await layDesk(folder, {
    prod: {
      peers: cluster.peers.map(({ name, address }) => ({ name, address })),
      ca: cluster.caFile,
      roster: rosterOf(shares, { cluster: 'prod', clusterId: String(at(body, 'cluster_id')), threshold: 2 }),
    },
  });
  const config = await readFile(join(folder, 'quorate.yaml'), 'utf8');
  const login = '$1auth: { method: userpass, username: erin }\n$1peers:';
  await writeFile(join(folder, 'quorate.yaml'), config.replace(/^( +)peers:/m, login));
});

const open = (...args: readonly string[]): TestTerminal =>
  openTerminal(process.execPath, [MAIN, ...args], { cwd: folder, columns: 80, rows: 200 });

const asks = (question: string): RegExp => new RegExp(`^\\? ${question}`, 'm');

async function give(terminal: TestTerminal, number: number, share: string): Promise<void> {
  await terminal.waitFor(asks(`Share ${number.toString()} of 2: who gives it\\?`));
  terminal.press('enter');
  await terminal.waitFor(asks('.*\\(hidden'));
  terminal.enter(share);
}

/** No rotation, a free lock, and no token of the login: as if nobody had been there. */
async function expectNothingLeft(): Promise<void> {
  const { cluster, rootToken: token } = shared();
  const rotation = await callPeer(cluster, 0, 'GET', 'sys/rotate/root/init', { token });
  expect(at(rotation.body, 'data', 'started')).toBe(false);
  const lock = await callPeer(cluster, 0, 'GET', 'quorate/data/ceremony-lock', { token });
  expect(at(lock.body, 'data', 'data', 'ceremony')).toBe('');
  const list = await callPeer(cluster, 0, 'LIST', 'auth/token/accessors', { token });
  for (const accessor of at(list.body, 'data', 'keys') as string[]) {
    const found = await callPeer(cluster, 0, 'POST', 'auth/token/lookup-accessor', { token, body: { accessor } });
    expect(at(found.body, 'data', 'path')).not.toBe('auth/userpass/login/erin');
  }
}

describe('quorate drill at a terminal, with a password that is typed', () => {
  it('asks for it once, and revokes the login at the end', async () => {
    const [one = '', two = ''] = shared().shares;
    const terminal = open('drill');
    await terminal.waitFor(asks('Password'));
    terminal.enter(PASSWORD);
    await give(terminal, 1, one);
    await give(terminal, 2, two);
    const { code } = await terminal.exit;
    expect(code, terminal.screen()).toBe(0);
    expect(terminal.screen().match(/Password/g)).toHaveLength(1);
    await expectNothingLeft();
  });

  it('gives up when people leave: all is cancelled, and the record says who gave', async () => {
    const [one = ''] = shared().shares;
    const terminal = open('drill', '--longest-wait', '0.08');
    await terminal.waitFor(asks('Password'));
    terminal.enter(PASSWORD);
    await give(terminal, 1, one);
    const { code } = await terminal.exit;
    expect(code, terminal.screen()).toBe(2);
    expect(terminal.screen()).toContain('deadline-passed');
    const { lines } = await lastRecord(folder);
    expect(lines.find(({ event }) => event === 'exception')).toMatchObject({
      happened: 'none came; given by Alice Example',
    });
    await expectNothingLeft();
  });

  it('revokes the login when it is interrupted', async () => {
    const terminal = open('drill');
    await terminal.waitFor(asks('Password'));
    terminal.enter(PASSWORD);
    await terminal.waitFor(asks('Share 1 of 2'));
    terminal.press('ctrl-c');
    const { code } = await terminal.exit;
    expect(code, terminal.screen()).toBe(130);
    await expectNothingLeft();
  });
});

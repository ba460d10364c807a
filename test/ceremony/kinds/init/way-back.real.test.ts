import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { CeremonySetting } from '../../../../src/ceremony/engine.ts';
import type { People } from '../../../../src/ceremony/people.ts';
import type { ThrowawayCluster } from '../../../../src/rehearsal/cluster.ts';
import { CEREMONY_POLICY, type Crew, initScriptText, peersOf, prepareCeremony } from '../../../support/ceremony.ts';
import { eventsOf, expectComplete, rootTokenOf } from '../../../support/completion.ts';
import type { TestCeremony } from '../../../support/ceremony.ts';
import { callPeer, freshCluster, temporaryFolder } from '../../../support/cluster.ts';
import { madeUpCustodians } from '../../../support/custodians.ts';
import { startCuttingProxy } from '../../../support/cutting-proxy.ts';
import { codeOf } from '../../../support/errors.ts';
import { at } from '../../../support/http.ts';

let crew: Crew;

beforeAll(async () => {
  crew = await madeUpCustodians('Alice', 'Bo', 'Erin');
});

interface Options {
  readonly changes?: Readonly<Record<string, unknown>>;
  readonly people?: Partial<People>;
  readonly folder?: string;
  readonly first?: { readonly address: string };
  readonly setting?: Partial<CeremonySetting>;
}

async function prepare(cluster: ThrowawayCluster, options: Options = {}): Promise<TestCeremony> {
  return prepareCeremony({
    folder: options.folder ?? (await temporaryFolder()),
    peers: peersOf(cluster, options.first),
    crew,
    script: initScriptText(crew, options.changes),
    people: options.people ?? {},
    setting: options.setting ?? {},
  });
}

/** The root token, which must be alive. */
async function aliveRoot(cluster: ThrowawayCluster, ceremony: TestCeremony): Promise<string> {
  const token = await rootTokenOf(ceremony.folder ?? '', crew);
  expect((await callPeer(cluster, 0, 'GET', 'auth/token/lookup-self', { token })).status).toBe(200);
  return token;
}

async function putPolicy(cluster: ThrowawayCluster, token: string, policy: string): Promise<void> {
  const reply = await callPeer(cluster, 0, 'PUT', 'sys/policies/acl/ceremony', { token, body: { policy } });
  expect(reply.status).toBe(204);
}

function writes(policy: string): Readonly<Record<string, unknown>> {
  return {
    'first-writes': [
      { path: 'sys/auth/approle', data: { type: 'approle' } },
      { path: 'sys/policies/acl/ceremony', data: { policy } },
    ],
  };
}

const without = (path: string): string =>
  CEREMONY_POLICY.split('\n')
    .filter((line) => !line.includes(path))
    .join('\n');

describe('an init that would leave no way back in', () => {
  it('says beforehand that the script names no login, and keeps the root token where that was accepted', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const changes = { 'ceremony-login': undefined };
    expect(await codeOf((await prepare(cluster, { changes })).start())).toBe('preflight-failed');
    const accepted = new Map([['way-back', 'a lab']]);
    const ceremony = await prepare(cluster, { changes, setting: { accepted } });
    expect(await codeOf(ceremony.start())).toBe('no-way-back');
    await aliveRoot(cluster, ceremony);
    expect(await codeOf(ceremony.resume())).toBe('no-way-back');
    await aliveRoot(cluster, ceremony);
  });

  it.each(['sys/rotate/root', 'sys/generate-root-token'])(
    'keeps the root token when the login may not use %s, and goes on when that was mended on the server',
    async (path) => {
      const cluster = await freshCluster({ peers: 1 });
      const folder = await temporaryFolder();
      const changes = writes(without(path));
      const ceremony = await prepare(cluster, { changes, folder });
      expect(await codeOf(ceremony.start())).toBe('no-way-back');
      await putPolicy(cluster, await aliveRoot(cluster, ceremony), CEREMONY_POLICY);
      // Without a confirmation the script's own policy is written again.
      expect(await codeOf(ceremony.resume())).toBe('no-way-back');
      await putPolicy(cluster, await aliveRoot(cluster, ceremony), CEREMONY_POLICY);

      const asked: string[] = [];
      const people: Partial<People> = {
        acceptException: (_, typed) => {
          asked.push(typed);
          return Promise.resolve(true);
        },
      };
      const other = await prepare(cluster, { changes, folder, people });
      await other.resume(ceremony.folder);
      expect(asked).toEqual(['mended']);
      const events = await expectComplete(cluster, crew, ceremony.folder ?? '');
      expect(events.find(({ event }) => event === 'exception')).toMatchObject({
        happened: expect.stringContaining('sys/policies/acl/ceremony') as string,
      });
    },
  );

  it('keeps the root token when the login may start a rotation and not read it', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const blind = CEREMONY_POLICY.replace('"create", "read", "update", "delete"', '"create", "update"');
    const ceremony = await prepare(cluster, { changes: writes(blind) });
    expect(await codeOf(ceremony.start())).toBe('no-way-back');
    await aliveRoot(cluster, ceremony);
  });

  it('says which trial it could not cancel when the login may start and not cancel', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const stuck = CEREMONY_POLICY.replace('"create", "read", "update", "delete"', '"create", "read", "update"');
    const ceremony = await prepare(cluster, { changes: writes(stuck) });
    expect(await codeOf(ceremony.start())).toBe('server-error');
    const token = await aliveRoot(cluster, ceremony);
    const running = await callPeer(cluster, 0, 'GET', 'sys/rotate/root/init', { token });
    expect(at(running.body, 'data', 'started')).toBe(true);

    await callPeer(cluster, 0, 'DELETE', 'sys/rotate/root/init', { token });
    expect(await codeOf(ceremony.resume())).toBe('server-error');
  });

  it('keeps the root token when the login asks to be root itself', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const login = {
      'method': 'approle',
      'role': 'ceremony',
      'policies': ['root'],
      'secret-id-file': 'login.secret-id',
    };
    const ceremony = await prepare(cluster, { changes: { 'ceremony-login': login } });
    expect(await codeOf(ceremony.start())).toBe('no-way-back');
    await aliveRoot(cluster, ceremony);
  });

  it('keeps the root token when the auth method is missing', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const ceremony = await prepare(cluster, { changes: { 'first-writes': [] } });
    expect(await codeOf(ceremony.start())).toBe('no-way-back');
    const token = await aliveRoot(cluster, ceremony);
    await callPeer(cluster, 0, 'POST', 'sys/auth/approle', { token, body: { type: 'approle' } });
    await putPolicy(cluster, token, CEREMONY_POLICY);
    await ceremony.resume();
    await expectComplete(cluster, crew, ceremony.folder ?? '');
  });

  it('is never closed when somebody revokes the root token before', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const ceremony = await prepare(cluster, { changes: writes(without('sys/rotate/root')) });
    expect(await codeOf(ceremony.start())).toBe('no-way-back');
    const token = await aliveRoot(cluster, ceremony);
    await callPeer(cluster, 0, 'POST', 'auth/token/revoke-self', { token });
    expect(await codeOf(ceremony.resume())).toBe('no-way-back');
    const events = await eventsOf(ceremony.folder ?? '');
    expect(events.some(({ event }) => event === 'ceremony.closed' || event === 'token.revoked')).toBe(false);
  });
});

describe('the end of the root token', () => {
  it('is not the end while somebody has another one', async () => {
    const cluster = await freshCluster({ peers: 1 });
    let other: unknown;
    const ceremony = await prepare(cluster, {
      changes: { people: [{ before: 'way-back', say: 'All look away.' }] },
      people: {
        act: async () => {
          const token = await rootTokenOf(ceremony.folder ?? '', crew);
          const made = await callPeer(cluster, 0, 'POST', 'auth/token/create', { token, body: { no_parent: true } });
          other = at(made.body, 'auth', 'client_token');
          return {};
        },
      },
    });
    expect(await codeOf(ceremony.start())).toBe('server-error');
    // Gone is gone, and one is left: a resume must see it again.
    expect(await codeOf(ceremony.resume())).toBe('server-error');
    await callPeer(cluster, 0, 'POST', 'auth/token/revoke-self', { token: String(other) });
    await ceremony.resume();
    await expectComplete(cluster, crew, ceremony.folder ?? '');
  });

  it('is proved also when the reply to the revocation is lost', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const proxy = await startCuttingProxy(cluster);
    // HTTP in the proxy knows no LIST: the accessors are not counted, and the secret id is there before.
    void proxy.cut({ path: 'auth/token/revoke-self', fault: { kind: 'before-reply' }, skip: 1 });
    const changes = {
      ...writes(CEREMONY_POLICY),
      'ceremony-login': { method: 'userpass', username: 'erin', policies: ['ceremony'] },
      'first-writes': [
        { path: 'sys/auth/userpass', data: { type: 'userpass' } },
        { path: 'sys/policies/acl/ceremony', data: { policy: without('accessors') } },
      ],
    };
    const ceremony = await prepare(cluster, { changes, first: proxy });
    await ceremony.start().catch(() => undefined);
    const revoked = (await eventsOf(ceremony.folder ?? '')).find(({ event }) => event === 'token.revoked');
    expect(revoked).toMatchObject({ proof: expect.stringContaining('was lost') as string });
    const direct = await prepare(cluster, { changes });
    await direct.resume(ceremony.folder).catch(() => undefined);
    await expectComplete(cluster, crew, ceremony.folder ?? '');
  });
});

describe('a trial of the way back', () => {
  it('that was cut is cancelled by the resumed ceremony', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const proxy = await startCuttingProxy(cluster);
    const trial = 'sys/rotate/root/init';
    void proxy.cut({ path: trial, method: 'PUT', fault: { kind: 'before-reply' } });
    void proxy.cut({ path: trial, method: 'DELETE', fault: { kind: 'before-request' }, times: 9 });
    const login = { method: 'userpass', username: 'erin', policies: ['ceremony'] };
    const changes = {
      'ceremony-login': login,
      'first-writes': [
        { path: 'sys/auth/userpass', data: { type: 'userpass' } },
        { path: 'sys/policies/acl/ceremony', data: { policy: CEREMONY_POLICY } },
      ],
    };
    const ceremony = await prepare(cluster, { changes, first: proxy });
    expect(await codeOf(ceremony.start())).toBe('server-unreachable');
    const token = await aliveRoot(cluster, ceremony);
    const left = await callPeer(cluster, 0, 'GET', trial, { token });
    expect(at(left.body, 'data', 'started')).toBe(true);

    const direct = await prepare(cluster, { changes });
    await direct.resume(ceremony.folder);
    await expectComplete(cluster, crew, ceremony.folder ?? '');
  });

  it('does not touch a rotation that somebody else has started', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const start = { secret_shares: 3, secret_threshold: 2, require_verification: true };
    const ceremony = await prepare(cluster, {
      changes: { people: [{ before: 'way-back', say: 'All look away.' }] },
      people: {
        act: async () => {
          const token = await rootTokenOf(ceremony.folder ?? '', crew);
          await callPeer(cluster, 0, 'PUT', 'sys/rotate/root/init', { token, body: start });
          return {};
        },
      },
    });
    expect(await codeOf(ceremony.start())).toBe('no-way-back');
    const token = await aliveRoot(cluster, ceremony);
    const left = await callPeer(cluster, 0, 'GET', 'sys/rotate/root/init', { token });
    expect(at(left.body, 'data', 'started')).toBe(true);
  });
});

describe('the file with the secret id', () => {
  it('of another cluster is refused, and the ceremony resumed when it was moved away', async () => {
    const cluster = await freshCluster({ peers: 1 });
    const folder = await temporaryFolder();
    const file = join(folder, 'login.secret-id');
    await writeFile(file, '00000000-0000-0000-0000-000000000000', { mode: 0o600 });
    const ceremony = await prepare(cluster, { folder });
    expect(await codeOf(ceremony.start())).toBe('file-exists');
    await aliveRoot(cluster, ceremony);
    await writeFile(`${file}.old`, await readFile(file));
    await rm(file);
    await ceremony.resume();
    await expectComplete(cluster, crew, ceremony.folder ?? '');
    expect(await readFile(join(ceremony.folder ?? '', 'record.jsonl'), 'utf8')).not.toContain(
      (await readFile(file, 'utf8')).trim(),
    );
  });
});

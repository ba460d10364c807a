import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll } from 'vitest';
import { parseDocument, renderYaml } from '../../src/document.ts';
import { setupSchema } from '../../src/broker/setup/schema.ts';
import { accountSql } from '../../src/broker/setup/templates.ts';
import { callPeer, initialisedCluster, type LiveCluster, temporaryFolder } from './cluster.ts';
import { type DatabaseProxy, startDatabaseProxy } from './database-proxy.ts';
import type { TestDatabase } from './database-server.ts';
import { at } from './http.ts';
import { startMariadb } from './mariadb.ts';
import { startPostgres } from './postgres.ts';
import { type Ended, quorate, quorateHere, startQuorate, type Running } from './quorate.ts';

/** A real cluster and a real database behind a proxy, with the setup of `quorate db setup` applied to both. */
export interface TestBroker {
  readonly live: LiveCluster;
  readonly database: TestDatabase;
  /** Between the Vault server and the database. */
  readonly proxy: DatabaseProxy;
  /** The folder in which `quorate` runs; it has `setup.yaml`, `admin.password` and `ca.pem`. */
  readonly folder: string;
  /** Variables with a token of the CI login, which may use every role. */
  readonly ci: Readonly<Record<string, string>>;
  readonly root: Readonly<Record<string, string>>;
  readonly run: (args: readonly string[], env?: Readonly<Record<string, string>>) => Promise<Ended>;
  /** The same in this process: see `quorateHere`. */
  readonly runHere: (args: readonly string[], env?: Readonly<Record<string, string>>) => Promise<Ended>;
  readonly start: (args: readonly string[], env?: Readonly<Record<string, string>>, pipes?: number) => Running;
  /** A new token of the CI login: the same identity each time. */
  readonly ciToken: () => Promise<string>;
  /** Variables with a token that has these policies and no other. */
  readonly withPolicies: (...policies: readonly string[]) => Promise<Readonly<Record<string, string>>>;
}

export interface BrokerOptions {
  readonly engine: 'postgresql' | 'mariadb';
  readonly peers?: number;
  /** Times of each role, by default 1m and 5m. */
  readonly ttl?: string;
  readonly maxTtl?: string;
  readonly tls?: 'disable' | 'verify-full';
  /** Whether the setup is applied. Default true. */
  readonly apply?: boolean;
}

/** The three roles of each test, named after their templates. */
export const ROLES = ['read', 'write', 'migrate'] as const;

export function setupOf(options: BrokerOptions, port: number, folder?: string): Readonly<Record<string, unknown>> {
  const { engine, ttl = '1m', maxTtl = '5m', tls = 'disable' } = options;
  const templates = { read: 'read-only', write: 'read-write', migrate: 'migration' };
  return {
    connection: {
      'name': 'app',
      engine,
      'host': '127.0.0.1',
      port,
      'database': 'app',
      tls,
      ...(tls === 'disable' ? {} : { ca: 'ca.pem' }),
      ...(tls === 'disable' || engine !== 'postgresql' || folder === undefined
        ? {}
        : { 'ca-on-server': join(folder, 'ca.pem') }),
      'admin': 'quorate_admin',
      'admin-password-file': 'admin.password',
    },
    roles: ROLES.map((name) => ({ name, 'template': templates[name], ttl, 'max-ttl': maxTtl })),
    login: [{ name: 'ci', method: 'approle', roles: [...ROLES] }],
  };
}

const ADMIN_PASSWORD = 'admin-password-Ax7';

/** Makes the account and groups that `--account-sql` names, with a password and with tables to work on. */
export async function prepareDatabase(database: TestDatabase, setup: unknown): Promise<void> {
  const sql = accountSql(parseDocument(renderYaml(setup), setupSchema, { file: 'setup.yaml' }));
  const mine = sql
    .replace(/^\\password (.*)$/m, `ALTER ROLE "$1" PASSWORD '${ADMIN_PASSWORD}';`)
    .replace(/BY '\.\.\.'/, `BY '${ADMIN_PASSWORD}'`)
    .replaceAll(/^-- (GRANT)/gm, '$1')
    // The proxy speaks no TLS of its own, but the client's connection passes it.
    .replaceAll(/^--.*$/gm, '');
  await database.sql(mine);
  await database.sql('CREATE TABLE item (id int)');
  if (mine.includes('app_read')) {
    await database.sql('GRANT SELECT ON item TO app_read; GRANT SELECT, INSERT, UPDATE, DELETE ON item TO app_write');
  }
}

export async function startBroker(options: BrokerOptions): Promise<TestBroker> {
  const [database, live, folder] = await Promise.all([
    options.engine === 'postgresql' ? startPostgres() : startMariadb(),
    initialisedCluster({ peers: options.peers ?? 1, shares: 1, threshold: 1 }),
    temporaryFolder(),
  ]);
  const proxy = await startDatabaseProxy(database);
  const setup = setupOf(options, proxy.port, folder);
  await prepareDatabase(database, setup);
  await writeFile(join(folder, 'setup.yaml'), renderYaml(setup));
  await writeFile(join(folder, 'admin.password'), `${ADMIN_PASSWORD}\n`, { mode: 0o600 });
  await copyFile(database.caFile, join(folder, 'ca.pem'));
  const { cluster, rootToken } = live;
  const [peer] = cluster.peers;
  if (peer === undefined) throw new Error('the cluster has no peer');
  const server = { BAO_ADDR: peer.address, BAO_CACERT: cluster.caFile };
  const root = { ...server, BAO_TOKEN: rootToken };
  const post = (path: string, body: unknown = {}): ReturnType<typeof callPeer> =>
    callPeer(cluster, 0, 'POST', path, { token: rootToken, body });
  const ciToken = async (): Promise<string> => {
    const roleId = at(
      (await callPeer(cluster, 0, 'GET', 'auth/approle/role/ci/role-id', { token: rootToken })).body,
      'data',
      'role_id',
    );
    const secretId = at((await post('auth/approle/role/ci/secret-id')).body, 'data', 'secret_id');
    const login = await post('auth/approle/login', { role_id: roleId, secret_id: secretId });
    return String(at(login.body, 'auth', 'client_token'));
  };
  const ci = { ...server, BAO_TOKEN: '' };
  const broker: TestBroker = {
    live,
    database,
    proxy,
    folder,
    ci,
    root,
    run: (args, env = ci) => quorate(args, { cwd: folder, env }),
    runHere: (args, env = ci) => quorateHere(args, { cwd: folder, env }),
    start: (args, env = ci, pipes = 0) => startQuorate(args, { cwd: folder, env, pipes }),
    ciToken,
    async withPolicies(...policies) {
      const { body } = await post('auth/token/create', { policies, no_default_policy: true, ttl: '1h' });
      return { ...server, BAO_TOKEN: String(at(body, 'auth', 'client_token')) };
    },
  };
  if (options.apply ?? true) {
    const ended = await broker.runHere(['db', 'setup', 'setup.yaml', '--yes'], root);
    if (ended.status !== 0) throw new Error(`db setup failed: ${ended.stderr}`);
    ci.BAO_TOKEN = await ciToken();
  }
  return broker;
}

/** One for all tests of a file or `describe`: call it there, and the function that it returns inside tests. */
export function sharedBroker(options: BrokerOptions): () => TestBroker {
  let broker: TestBroker | undefined;
  beforeAll(async () => {
    broker = await startBroker(options);
  });
  return () => {
    if (broker === undefined) throw new Error('the shared broker exists only while tests run');
    return broker;
  };
}

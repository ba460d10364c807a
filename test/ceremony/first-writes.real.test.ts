import { describe, expect, it } from 'vitest';
import { applyWrites, type Write } from '../../src/ceremony/first-writes.ts';
import type { Run } from '../../src/ceremony/kind.ts';
import type { RecordEvent, RecordLine } from '../../src/ceremony/record/events.ts';
import { Secret } from '../../src/secret.ts';
import type { Session } from '../../src/vault/peer.ts';
import { peersOf } from '../support/ceremony.ts';
import { callPeer, sharedCluster } from '../support/cluster.ts';
import { codeOf } from '../support/errors.ts';
import { vaultBinary } from '../support/vault-binary.ts';

const POLICY = 'path "secret/*" {\n  capabilities = ["read"]\n}\n\n';

/** Each is given back by the server in another form than it was written in. */
const WRITES: readonly Write[] = [
  { path: 'sys/auth/approle', data: { type: 'approle', config: { default_lease_ttl: '1h', max_lease_ttl: '2h30m' } } },
  { path: 'sys/auth/userpass', data: { type: 'userpass' } },
  { path: 'sys/mounts/secret', data: { type: 'kv', options: { version: 2 }, config: { max_lease_ttl: '48h' } } },
  { path: 'sys/policies/acl/reader', data: { policy: POLICY } },
  {
    path: 'auth/approle/role/app',
    data: {
      token_policies: 'writer,reader',
      token_ttl: '15m',
      token_max_ttl: '1d',
      token_num_uses: 3,
      token_bound_cidrs: ['10.0.0.0/8', '127.0.0.1'],
      bind_secret_id: true,
    },
  },
  { path: 'auth/approle/role/list', data: { token_policies: ['writer', 'reader'], token_ttl: '900' } },
  { path: 'auth/userpass/users/erin', data: { password: 'correct horse battery', token_policies: ['reader'] } },
  { path: 'sys/quotas/rate-limit/all', data: { rate: 100, interval: '1m' } },
];

interface Room {
  readonly run: Run;
  readonly events: RecordLine[];
  readonly asked: string[];
}

/** As much of a run as writes use; `agree` is what the administrator says. */
function room(agree = false): Room {
  const events: RecordLine[] = [];
  const asked: string[] = [];
  const run = {
    events,
    signal: new AbortController().signal,
    record: (event: RecordEvent) => {
      events.push(event as RecordLine);
      return Promise.resolve();
    },
    people: {
      say: () => undefined,
      acceptException: (question: string) => {
        asked.push(question);
        return Promise.resolve(agree);
      },
    },
  };
  return { run: run as unknown as Run, events, asked };
}

const names = (events: readonly RecordLine[]): readonly string[] => events.map(({ event }) => event);

describe('first writes', () => {
  const live = sharedCluster({ peers: 1 });

  function session(): Session {
    const [peer] = peersOf(live().cluster);
    if (peer === undefined) throw new Error('no peer');
    return peer.session(Secret.fromText(live().rootToken));
  }

  it('are made once, and found as they were written when they are made again', async () => {
    const first = room();
    await applyWrites(first.run, session(), WRITES);
    expect(names(first.events)).toEqual(WRITES.map(() => 'write'));
    const fields = first.events.map((one) => (one.event === 'write' ? one.fields : []));
    expect(fields[4]).toEqual(Object.keys(WRITES[4]?.data ?? {}).sort());

    const again = room();
    await applyWrites(again.run, session(), WRITES);
    expect(names(again.events)).toEqual(WRITES.map(() => 'note'));

    const written = JSON.stringify([...first.events, ...again.events]);
    expect(written).not.toContain('correct horse');
    expect(written).not.toContain('capabilities');
  });

  it('are written again where the server has something else', async () => {
    const [write] = WRITES.filter(({ path }) => path === 'auth/approle/role/app');
    if (write === undefined) throw new Error('no such write');
    const changes: Readonly<Record<string, unknown>>[] = [
      { token_policies: ['reader'] },
      { token_ttl: '16m' },
      { token_num_uses: 4 },
      { bind_secret_id: false },
      { token_bound_cidrs: ['10.0.0.0/8'] },
    ];
    for (const body of changes) {
      const token = live().rootToken;
      await callPeer(live().cluster, 0, 'POST', write.path, { token, body });
      const { run, events } = room();
      await applyWrites(run, session(), [write]);
      expect(names(events), JSON.stringify(body)).toEqual(['write']);
    }
  });

  it('that somebody changed since are asked about, and only those that this ceremony made', async () => {
    const write = { path: 'sys/policies/acl/mended', data: { policy: POLICY } };
    const body = { policy: 'path "secret/*" { capabilities = ["list"] }' };
    for (const agree of [true, false]) {
      const { run, events, asked } = room(agree);
      await applyWrites(run, session(), [write]);
      await callPeer(live().cluster, 0, 'PUT', write.path, { token: live().rootToken, body });
      await applyWrites(run, session(), [write]);
      expect(asked).toHaveLength(1);
      expect(names(events).at(-1)).toBe(agree ? 'exception' : 'write');
      await callPeer(live().cluster, 0, 'DELETE', write.path, { token: live().rootToken });
    }
  });

  it('fail when the mount is of another type, and when the server says no', async () => {
    const { run } = room();
    expect(await codeOf(applyWrites(run, session(), [{ path: 'sys/auth/approle', data: { type: 'cert' } }]))).toBe(
      'server-error',
    );
    expect(await codeOf(applyWrites(run, session(), [{ path: 'nowhere/at/all', data: { a: 1 } }]))).toBe(
      'server-error',
    );
    const [peer] = peersOf(live().cluster);
    const stranger = peer?.session(Secret.fromText('s.AAAAAAAAAAAAAAAAAAAAAAAA'));
    if (stranger === undefined) throw new Error('no peer');
    expect(await codeOf(applyWrites(run, stranger, WRITES.slice(3, 4)))).toBe('denied');
  });

  it('fail when the server does not keep what was written', async () => {
    const { run } = room();
    const lost = { path: 'sys/policies/acl/MiXeD', data: { name: 'other', policy: POLICY } };
    expect(await codeOf(applyWrites(run, session(), [lost]))).toBe('server-response');
  });
});

describe.skipIf(vaultBinary() === undefined)('first writes on HashiCorp Vault', () => {
  const live = sharedCluster({ peers: 1, flavour: 'vault' });

  it('are made once, the audit device too, and found again', async () => {
    const [peer] = peersOf(live().cluster);
    const session = peer?.session(Secret.fromText(live().rootToken));
    if (session === undefined) throw new Error('no peer');
    const writes: readonly Write[] = [
      { path: 'sys/audit/file', data: { type: 'file', options: { file_path: 'audit.log', log_raw: 'false' } } },
      ...WRITES,
    ];
    const first = room();
    await applyWrites(first.run, session, writes);
    expect(names(first.events)).toEqual(writes.map(() => 'write'));
    const again = room();
    await applyWrites(again.run, session, writes);
    expect(names(again.events)).toEqual(writes.map(() => 'note'));
    expect(
      await codeOf(
        applyWrites(again.run, session, [
          { path: 'sys/audit/file', data: { type: 'file', options: { file_path: 'other.log' } } },
        ]),
      ),
    ).toBe('server-error');
  });
});

import { Fields, isRecord } from './fields.ts';
import { flavourOf } from './flavour.ts';
import type { Health, Leader, SealStatus } from './peer.ts';

/**
 * The payload of an answer: `.data` where there is an envelope, the body itself where it is bare. Some endpoints
 * (`sys/key-status`) answer both ways at once; then `.data` is taken.
 */
export function payload(body: unknown): unknown {
  return isRecord(body) && isRecord(body['data']) ? body['data'] : body;
}

/** `.data`, or the body of an answer without an envelope, for reads and writes of any path; null for none. */
export function dataOf(body: unknown): unknown {
  if (isRecord(body) && ('data' in body || 'request_id' in body)) return body['data'] ?? null;
  return body;
}

/** @throws QuorateError `server-response`. */
export function readSealStatus(name: string, body: unknown): SealStatus {
  const raw = payload(body);
  const it = new Fields(raw);
  const clusterName = it.textIfAny('cluster_name');
  const clusterId = it.textIfAny('cluster_id');
  const status = {
    version: it.text('version'),
    type: it.text('type'),
    initialised: it.flag('initialized'),
    sealed: it.flag('sealed'),
    shares: it.count('n'),
    threshold: it.count('t'),
    progress: it.count('progress'),
    nonce: it.text('nonce'),
    migration: it.flagIfAny('migration'),
    recoverySeal: it.flagIfAny('recovery_seal'),
    storageType: it.textIfAny('storage_type') ?? '',
    ...(clusterName === undefined ? {} : { clusterName }),
    ...(clusterId === undefined ? {} : { clusterId }),
  };
  it.settle(name, 'sys/seal-status');
  return { flavour: flavourOf(raw as Record<string, unknown>), ...status };
}

/** `localTime` in milliseconds. @throws QuorateError `server-response`. */
export function readHealth(name: string, status: number, body: unknown, localTime: number): Health {
  const it = new Fields(payload(body));
  const health = {
    status,
    initialised: it.flag('initialized'),
    sealed: it.flag('sealed'),
    standby: it.flag('standby'),
    serverTime: it.count('server_time_utc') * 1000,
    localTime,
  };
  it.settle(name, 'sys/health');
  return health;
}

/** @throws QuorateError `server-response`. */
export function readLeader(name: string, body: unknown): Leader {
  const it = new Fields(payload(body));
  const leaderAddress = it.textIfAny('leader_address');
  const activeTime = it.textIfAny('active_time');
  const haEnabled = it.flag('ha_enabled');
  const elected = it.flagIfAny('is_self');
  // Between its election and the moment from which it serves, a leader tells the zero time (both servers).
  const serves = activeTime?.startsWith('0001-') !== true;
  const appliedIndex = it.countIfAny('raft_applied_index');
  const committedIndex = it.countIfAny('raft_committed_index');
  const leader = {
    haEnabled,
    isSelf: elected && serves,
    ...(elected && serves && activeTime !== undefined ? { activeTime } : {}),
    ...(leaderAddress === undefined ? {} : { leaderAddress }),
    ...(appliedIndex === undefined ? {} : { appliedIndex }),
    ...(committedIndex === undefined ? {} : { committedIndex }),
  };
  it.settle(name, 'sys/leader');
  return leader;
}

/** Base64 texts of the shares (recovery shares under an auto-unseal seal) and the root token. Undefined when it is no such answer. */
export function readInit(
  body: unknown,
): { readonly shares: readonly string[]; readonly rootToken: string } | undefined {
  const it = new Fields(payload(body));
  const unseal = it.textsIfAny('keys_base64');
  const recovery = it.textsIfAny('recovery_keys_base64');
  const rootToken = it.text('root_token');
  return it.sound ? { shares: recovery.length > 0 ? recovery : unseal, rootToken } : undefined;
}

/** @throws QuorateError `server-response`. */
export function readKeys(name: string, path: string, body: unknown): readonly string[] {
  const it = new Fields(payload(body));
  const keys = it.texts('keys');
  it.settle(name, path);
  return keys;
}

/** A login's answer; undefined where it has no token (the server wants a second factor). */
export function readAuth(
  body: unknown,
): { readonly token: string; readonly accessor: string; readonly policies: readonly string[] } | undefined {
  const it = new Fields(isRecord(body) ? body['auth'] : undefined);
  const token = it.text('client_token');
  const [accessor, policies] = [it.textIfAny('accessor') ?? '', it.textsIfAny('policies')];
  return it.sound && token !== '' ? { token, accessor, policies } : undefined;
}

/** `auth/token/lookup-self`. @throws QuorateError `server-response`. */
export function readLookup(
  name: string,
  data: unknown,
): { readonly accessor: string; readonly policies: readonly string[] } {
  const it = new Fields(data);
  const accessor = it.textIfAny('accessor') ?? '';
  const policies = [...it.textsIfAny('policies'), ...it.textsIfAny('identity_policies')];
  it.settle(name, 'auth/token/lookup-self');
  return { accessor, policies: [...new Set(policies)] };
}

import * as v from 'valibot';
import { QuorateError } from '../errors.ts';
import { flavourOf } from './flavour.ts';
import type { Health, Leader, SealStatus } from './peer.ts';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const digits = v.optional(v.nullable(v.string()));

const sealStatus = v.object({
  type: v.string(),
  initialized: v.boolean(),
  sealed: v.boolean(),
  t: count,
  n: count,
  progress: count,
  nonce: v.string(),
  version: v.string(),
  migration: v.optional(v.boolean(), false),
  recovery_seal: v.optional(v.boolean(), false),
  storage_type: v.optional(v.string(), ''),
  cluster_name: digits,
  cluster_id: digits,
});

const health = v.object({
  initialized: v.boolean(),
  sealed: v.boolean(),
  standby: v.boolean(),
  server_time_utc: count,
});

const leader = v.object({
  ha_enabled: v.boolean(),
  is_self: v.optional(v.boolean(), false),
  active_time: v.optional(v.nullable(v.string())),
  leader_address: digits,
  raft_committed_index: v.optional(count),
  raft_applied_index: v.optional(count),
});

const init = v.object({
  keys_base64: v.optional(v.nullable(v.array(v.string()))),
  recovery_keys_base64: v.optional(v.nullable(v.array(v.string()))),
  root_token: v.string(),
});

const keys = v.object({ keys: v.array(v.string()) });

const auth = v.object({
  client_token: v.pipe(v.string(), v.minLength(1)),
  accessor: v.optional(v.string(), ''),
  policies: v.optional(v.nullable(v.array(v.string()))),
});

const lookup = v.object({
  accessor: v.optional(v.string(), ''),
  policies: v.optional(v.nullable(v.array(v.string()))),
  identity_policies: v.optional(v.nullable(v.array(v.string()))),
});

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
  const it = narrow(name, 'sys/seal-status', sealStatus, raw);
  return {
    flavour: flavourOf(raw as Record<string, unknown>),
    version: it.version,
    type: it.type,
    initialised: it.initialized,
    sealed: it.sealed,
    shares: it.n,
    threshold: it.t,
    progress: it.progress,
    nonce: it.nonce,
    migration: it.migration,
    recoverySeal: it.recovery_seal,
    storageType: it.storage_type,
    ...(nonEmpty(it.cluster_name) ? { clusterName: it.cluster_name } : {}),
    ...(nonEmpty(it.cluster_id) ? { clusterId: it.cluster_id } : {}),
  };
}

/** `localTime` in milliseconds. @throws QuorateError `server-response`. */
export function readHealth(name: string, status: number, body: unknown, localTime: number): Health {
  const it = narrow(name, 'sys/health', health, payload(body));
  return {
    status,
    initialised: it.initialized,
    sealed: it.sealed,
    standby: it.standby,
    serverTime: it.server_time_utc * 1000,
    localTime,
  };
}

/** @throws QuorateError `server-response`. */
export function readLeader(name: string, body: unknown): Leader {
  const it = narrow(name, 'sys/leader', leader, payload(body));
  return {
    haEnabled: it.ha_enabled,
    isSelf: it.is_self,
    ...(nonEmpty(it.leader_address) ? { leaderAddress: it.leader_address } : {}),
    ...(it.is_self && nonEmpty(it.active_time) ? { activeTime: it.active_time } : {}),
    ...(it.raft_applied_index === undefined ? {} : { appliedIndex: it.raft_applied_index }),
    ...(it.raft_committed_index === undefined ? {} : { committedIndex: it.raft_committed_index }),
  };
}

/** Base64 texts of the shares (recovery shares under an auto-unseal seal) and the root token. Undefined when it is no such answer. */
export function readInit(
  body: unknown,
): { readonly shares: readonly string[]; readonly rootToken: string } | undefined {
  const result = v.safeParse(init, payload(body));
  if (!result.success) return undefined;
  const { keys_base64: unseal, recovery_keys_base64: recovery, root_token: rootToken } = result.output;
  return { shares: recovery != null && recovery.length > 0 ? recovery : (unseal ?? []), rootToken };
}

/** @throws QuorateError `server-response`. */
export function readKeys(name: string, path: string, body: unknown): readonly string[] {
  return narrow(name, path, keys, payload(body)).keys;
}

/** A login's answer; undefined where it has no token (the server wants a second factor). */
export function readAuth(
  body: unknown,
): { readonly token: string; readonly accessor: string; readonly policies: readonly string[] } | undefined {
  const result = v.safeParse(auth, isRecord(body) ? body['auth'] : undefined);
  if (!result.success) return undefined;
  const { client_token: token, accessor, policies } = result.output;
  return { token, accessor, policies: policies ?? [] };
}

/** `auth/token/lookup-self`. @throws QuorateError `server-response`. */
export function readLookup(
  name: string,
  data: unknown,
): { readonly accessor: string; readonly policies: readonly string[] } {
  const it = narrow(name, 'auth/token/lookup-self', lookup, data);
  return { accessor: it.accessor, policies: [...new Set([...(it.policies ?? []), ...(it.identity_policies ?? [])])] };
}

// The schema's own complaint is not passed on: it quotes what it received.
function narrow<S extends v.GenericSchema>(name: string, path: string, schema: S, value: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const fields = result.issues.map((issue) => v.getDotPath(issue)).filter((field) => field !== null);
  throw new QuorateError(
    'server-response',
    `${name} answered ${path} in an unknown shape${fields.length === 0 ? '' : ` (${fields.join(', ')})`}`,
    { hint: 'Is the address that of an OpenBao or HashiCorp Vault server?' },
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nonEmpty(text: string | null | undefined): text is string {
  return text !== undefined && text !== null && text !== '';
}

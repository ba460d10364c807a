import { type Call, type ServerReply, VaultClient } from './client.ts';
import { endpointFor, type Flavour } from './flavour.ts';
import { isQuorateError, QuorateError } from '../errors.ts';
import type { CallOptions, InitReply, InitRequest, Peer, SealStatus } from './peer.ts';
import { readHealth, readInit, readLeader, readSealStatus } from './responses.ts';
import { Secret } from '../secret.ts';
import { failure, openSession, success } from './session.ts';
import type { PeerSettings } from './settings.ts';

const UNSEAL = 'sys/unseal';

/**
 * A peer to speak to. Nothing is sent and no file is read before the first call; the files' faults (`file-missing`,
 * `file-mode`, `file-invalid`) come from there. Calls on the peer itself carry no token and no namespace.
 * @throws QuorateError `usage` for a bad address.
 */
export function connectPeer(settings: PeerSettings): Peer {
  const { name } = settings;
  const client = new VaultClient(settings);
  let known: SealStatus | undefined;

  const sealStatus = async (options?: CallOptions): Promise<SealStatus> => {
    const reply = await client.call({ ...options, method: 'GET', path: 'sys/seal-status' });
    return readSealStatus(name, success(name, 'GET', 'sys/seal-status', reply).body);
  };

  /** Flavour and version do not change while a peer runs: asked once. */
  const server = async (options?: CallOptions): Promise<SealStatus> => {
    known ??= await sealStatus(options?.signal === undefined ? {} : { signal: options.signal });
    return known;
  };

  const unsealCall = async (body: Readonly<Record<string, unknown>>, options?: CallOptions): Promise<SealStatus> => {
    const call: Call = { ...options, method: 'POST', path: UNSEAL, body, repeatable: false };
    const reply = await client.call(call);
    if (reply.status !== 200) throw unsealError(name, reply);
    return readSealStatus(name, reply.body);
  };

  const peer: Peer = {
    name,
    address: settings.address,
    namespace: '',
    initPath: 'sys/init',
    sealPath: 'sys/seal',
    unsealPath: UNSEAL,
    get certificate() {
      return client.transport.certificate;
    },
    sealStatus,
    async health(options) {
      const reply = await client.call({ ...options, method: 'GET', path: 'sys/health' });
      return readHealth(name, reply.status, reply.body, (reply.sentAt + reply.receivedAt) / 2);
    },
    async leader(options) {
      const reply = await client.call({ ...options, method: 'GET', path: 'sys/leader' });
      if (reply.status === 503) {
        throw new QuorateError('sealed', `${name} is sealed and knows no leader`, { hint: 'Unseal it first.' });
      }
      return readLeader(name, success(name, 'GET', 'sys/leader', reply).body);
    },
    initialise: (request, options) => initialise(name, client, request, options),
    unseal(share, options = {}) {
      const { migrate, ...rest } = options;
      return unsealCall({ key: share, ...(migrate === true ? { migrate } : {}) }, rest);
    },
    resetUnseal: (options) => unsealCall({ reset: true }, options),
    async endpoint(purpose) {
      return endpointFor((await server()).flavour, purpose);
    },
    session: (token) => openSession({ peer, client, proveNamespaces }, token?.clone(), settings.namespace),
    close() {
      client.transport.close();
    },
  };

  const proveNamespaces = async (options?: CallOptions): Promise<void> => {
    const { flavour, version } = await server(options);
    if (!hasNamespaces(flavour, version)) throw noNamespaces(name);
  };
  return peer;
}

/** Vault's free edition ignores the namespace header and acts in the root namespace (observed on 1.14.0). */
function hasNamespaces(flavour: Flavour, version: string): boolean {
  return flavour === 'openbao' || version.includes('+ent') || version.includes('+prem');
}

function noNamespaces(name: string): QuorateError {
  return new QuorateError('server-unsupported', `${name} has no namespaces, and would act in the root namespace`, {
    hint: 'Namespaces need OpenBao or HashiCorp Vault Enterprise. Leave the namespace out.',
  });
}

async function initialise(
  name: string,
  client: VaultClient,
  request: InitRequest,
  options?: CallOptions,
): Promise<InitReply> {
  const seen: { sent: boolean; raw?: Secret } = { sent: false };
  let reply: ServerReply | undefined;
  try {
    reply = await client.call({
      ...options,
      method: 'POST',
      path: 'sys/init',
      body: initBody(request),
      repeatable: false,
      onSent: () => {
        seen.sent = true;
      },
      onRaw: (bytes) => {
        seen.raw = new Secret(bytes);
      },
    });
  } catch (error) {
    // A whole answer in an unknown shape is kept all the same: it may be the only copy of the shares.
    const kept = seen.raw !== undefined && isQuorateError(error, 'server-response');
    // A redirect is a whole answer, and no init happened.
    if (!kept) throw seen.sent && !isQuorateError(error, 'server-redirect') ? replyLost(name) : error;
  }
  const { raw } = seen;
  if (reply !== undefined && reply.status !== 200) {
    raw?.wipe();
    throw initError(name, reply);
  }
  if (raw === undefined) throw replyLost(name);
  const parts = reply === undefined ? undefined : readInit(reply.body);
  return {
    raw,
    shares: (parts?.shares ?? []).map((share) => Secret.fromText(share)),
    rootToken: Secret.fromText(parts?.rootToken ?? ''),
  };
}

function initBody(request: InitRequest): Readonly<Record<string, unknown>> {
  const { shares, threshold, pgpKeys, rootTokenPgpKey, recovery } = request;
  const common = { root_token_pgp_key: rootTokenPgpKey };
  return recovery
    ? { ...common, recovery_shares: shares, recovery_threshold: threshold, recovery_pgp_keys: pgpKeys }
    : { ...common, secret_shares: shares, secret_threshold: threshold, pgp_keys: pgpKeys };
}

function initError(name: string, reply: ServerReply): QuorateError {
  if (reply.errors.some((line) => line.includes('already initialized'))) {
    return new QuorateError('already-initialised', `${name} is initialised already`, {
      hint: 'Its shares were given out then. quorate status shows its state.',
    });
  }
  const said = reply.errors.length === 0 ? '' : `: ${reply.errors.join('; ')}`;
  const message = `${name} answered init with status ${reply.status.toString()}${said}`;
  return new QuorateError('server-error', message, {
    hint: 'Look at quorate status: if it now counts as initialised, its storage holds keys that nobody has: wipe it.',
  });
}

function replyLost(name: string): QuorateError {
  return new QuorateError('init-reply-lost', `init was sent to ${name}, and no whole answer came back`, {
    hint: 'If quorate status shows it initialised, nobody has its shares: stop it, wipe its storage and start over.',
  });
}

// Texts observed on OpenBao 2.7.2 and Vault 1.14.0; both put the cause of a failed unsealing into an error line.
const NOT_A_SHARE = ['shorter than minimum', 'longer than maximum', 'must be a valid hex or base64 string'];
const WRONG_SET = ['message authentication failed', 'failed to compute combined key', 'invalid key', 'unseal failed'];

/** What a refused share means: `not-initialised`, `share-invalid`, `shares-wrong`, or as `failure`. */
export function unsealError(name: string, reply: Pick<ServerReply, 'status' | 'errors'>): QuorateError {
  const says = (texts: readonly string[]): boolean =>
    reply.errors.some((line) => texts.some((text) => line.toLowerCase().includes(text)));
  if (says(['is not initialized'])) {
    return new QuorateError('not-initialised', `${name} is not initialised`, { hint: 'Initialise the cluster first.' });
  }
  if (says(NOT_A_SHARE)) {
    return new QuorateError('share-invalid', `${name} says that what was given is no share`, {
      hint: 'A share is 33 bytes, as 66 hexadecimal digits or 44 characters of base64. Nothing was counted.',
    });
  }
  if (says(WRONG_SET)) {
    return new QuorateError('shares-wrong', `the shares given to ${name} do not open it together`, {
      hint: 'At least one is wrong, given twice, or of another cluster or generation. All must be given again.',
    });
  }
  return failure(name, 'POST', UNSEAL, reply);
}

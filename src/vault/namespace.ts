import { unsealError } from './connect.ts';
import { isQuorateError, QuorateError } from '../errors.ts';
import { Fields, isRecord } from './fields.ts';
import { HomeToken } from './home-token.ts';
import type { Login } from './login/outcome.ts';
import type { CallOptions, InitReply, InitRequest, Method, Peer, Reply, SealStatus } from './peer.ts';
import { payload } from './responses.ts';
import { Secret } from '../secret.ts';
import { failure } from './session.ts';

/** Logs in on a server; the caller closes the session. */
export type LogIn = (server: Peer) => Promise<Login>;

/** A cluster's peers as seen from one namespace. */
export interface Entered {
  readonly peers: readonly Peer[];
  /** A login on one of these peers, whose requests go to the namespace. */
  login(peer: Peer): Promise<Login>;
}

/**
 * The peers of a cluster in a namespace with a seal of its own: what they say of the seal, and what is given to it, is
 * the namespace's; clocks, leadership and storage are the server's. Sessions of `login` work in the namespace. With an
 * empty `namespace` the peers are the servers themselves, and sessions work in the root.
 *
 * Status and unsealing of a namespace need a token in its parent (OpenBao 2.7.2: 403 without one), and nobody can log in
 * inside one that is sealed: logins are made in the namespace `home`, and kept for as long as the peer is open.
 */
export function enterNamespace(
  servers: readonly Peer[],
  namespace: string,
  { home, logIn }: { readonly home: string; readonly logIn: LogIn },
): Entered {
  const inner = trimSlashes(namespace);
  const atHome: LogIn = (server) => logIn(startingIn(server, home));
  const entries = servers.map((server) => {
    const peer = inner === '' ? server : namespacePeer(server, inner, () => atHome(server));
    return { server, peer };
  });
  return {
    peers: entries.map(({ peer }) => peer),
    async login(peer) {
      const entry = entries.find((one) => one.peer === peer);
      if (entry === undefined) throw new QuorateError('bug', `${peer.name} is not a peer of this cluster`);
      const { session, ...login } = await atHome(entry.server);
      // One token: closing either closes both.
      const close = (): void => {
        session.close();
      };
      return { ...login, session: { ...session.inNamespace(inner), peer, close } };
    },
  };
}

/** `/team/a/` as `team/a`. */
function trimSlashes(namespace: string): string {
  return namespace.replace(/^\/+|\/+$/g, '');
}

/** The same server, whose sessions start in this namespace, whatever its settings say. */
function startingIn(server: Peer, namespace: string): Peer {
  return {
    ...server,
    get certificate() {
      return server.certificate;
    },
    session: (token) => server.session(token).inNamespace(namespace),
  };
}

function namespacePeer(server: Peer, namespace: string, logIn: () => Promise<Login>): Peer {
  const { name } = server;
  const segments = namespace.split('/');
  const child = segments.pop() ?? '';
  const parent = segments.join('/');
  const own = `sys/namespaces/${child}`;
  const fromRoot = parent === '' ? own : `${parent}/${own}`;
  const token = new HomeToken(logIn);
  let uuid: string | undefined;
  let known: SealStatus | undefined;

  /** A request in the parent. */
  const ask = async (method: Method, path: string, body?: unknown, options?: CallOptions): Promise<Reply> => {
    // Where there are none, nothing is sent: the free edition of Vault would act in the root namespace.
    await server.endpoint('namespaces');
    return token.use((session) => session.inNamespace(parent).request(method, path, body, options), options?.signal);
  };

  /** The namespace's id, which a sealed one tells too; another one of the same name has another. */
  const identity = async (options?: CallOptions): Promise<string> => {
    if (uuid !== undefined) return uuid;
    const reply = await ask('GET', own, undefined, options);
    if (reply.status !== 200) throw refusal(name, 'GET', fromRoot, namespace, reply);
    const it = new Fields(payload(reply.body));
    const found = it.text('uuid');
    it.settle(name, fromRoot);
    uuid = found;
    return found;
  };

  const read = async (status: SealStatus, body: unknown, options?: CallOptions): Promise<SealStatus> => {
    const it = new Fields(payload(body));
    const seal = {
      type: it.text('type'),
      initialised: it.flag('initialized'),
      sealed: it.flag('sealed'),
      shares: it.count('n'),
      threshold: it.count('t'),
      progress: it.count('progress'),
      nonce: it.text('nonce'),
    };
    it.settle(name, `${fromRoot}/seal-status`);
    known = { ...status, ...seal, migration: false, recoverySeal: false, clusterId: await identity(options) };
    return known;
  };

  const sealStatus = async (options?: CallOptions): Promise<SealStatus> => {
    const status = await server.sealStatus(options);
    if (status.sealed || !status.initialised) {
      throw new QuorateError('not-ready', `${name} is ${status.initialised ? 'sealed' : 'not initialised'} itself`, {
        hint: 'The cluster is unsealed first, then its namespaces: quorate unseal.',
      });
    }
    const reply = await ask('GET', `${own}/seal-status`, undefined, options);
    if (isMissing(reply)) return { ...status, ...NOT_THERE };
    if (reply.status !== 200) throw refusal(name, 'GET', `${fromRoot}/seal-status`, namespace, reply);
    return read(status, reply.body, options);
  };

  const unsealCall = async (body: Readonly<Record<string, unknown>>, options?: CallOptions): Promise<SealStatus> => {
    const status = known ?? (await sealStatus(options));
    const reply = await ask('PUT', `${own}/unseal`, body, options);
    if (says(reply, 'post-unseal')) throw notLoaded(name, namespace);
    if (reply.status === 400) throw unsealError(name, reply);
    if (reply.status !== 200) throw refusal(name, 'PUT', `${fromRoot}/unseal`, namespace, reply);
    return read(status, reply.body, options);
  };

  const peer: Peer = {
    ...server,
    namespace,
    initPath: fromRoot,
    sealPath: `${fromRoot}/seal`,
    unsealPath: `${fromRoot}/unseal`,
    get certificate() {
      return server.certificate;
    },
    sealStatus,
    initialise: (request, options) => create({ name, namespace, own, fromRoot, ask }, request, options),
    unseal: (share, options = {}) => unsealCall({ key: share }, options),
    resetUnseal: (options) => unsealCall({ reset: true }, options),
    session: (inside) => ({ ...server.session(inside).inNamespace(namespace), peer }),
    close: () => {
      token.close();
    },
  };
  return peer;
}

/** A namespace that does not exist, as an uninitialised peer. */
const NOT_THERE = {
  type: 'shamir',
  initialised: false,
  sealed: true,
  shares: 0,
  threshold: 0,
  progress: 0,
  nonce: '',
  migration: false,
  recoverySeal: false,
} as const;

interface Creation {
  readonly name: string;
  readonly namespace: string;
  readonly own: string;
  readonly fromRoot: string;
  readonly ask: (method: Method, path: string, body?: unknown, options?: CallOptions) => Promise<Reply>;
}

/** Creates the namespace, which is sealed then. Its shares are told once: hexadecimal, with keys of OpenPGP messages. */
async function create(
  { name, namespace, own, fromRoot, ask }: Creation,
  { shares, threshold, pgpKeys }: InitRequest,
  options?: CallOptions,
): Promise<InitReply> {
  const seal = `seal "shamir" {\n  shares = ${shares.toString()}\n  threshold = ${threshold.toString()}\n}`;
  const body = { seal, ...(pgpKeys === undefined ? {} : { pgp_keys: pgpKeys }) };
  const seen = { sent: false };
  let reply: Reply;
  try {
    reply = await ask('POST', own, body, {
      ...options,
      onSent: () => {
        seen.sent = true;
      },
    });
  } catch (error) {
    if (!isQuorateError(error) || !seen.sent) throw error;
    throw new QuorateError('init-reply-lost', `${namespace} was to be created on ${name}, and no answer came back`, {
      hint: 'If it is there now, nobody has its shares.',
    });
  }
  if (says(reply, 'cannot modify existing namespace')) {
    throw new QuorateError('already-initialised', `the namespace ${namespace} exists already`, {
      hint: 'Its shares were given out then. A namespace that was made without a seal cannot be given one.',
    });
  }
  if (reply.status !== 200) throw refusal(name, 'POST', fromRoot, namespace, reply);
  const list = payload(reply.body);
  const keys = isRecord(list) && Array.isArray(list['key_shares']) ? list['key_shares'].map(String) : [];
  return {
    raw: Secret.fromText(JSON.stringify(reply.body)),
    shares: keys.map((hex) => Secret.fromText(Buffer.from(hex, 'hex').toString('base64'))),
    rootToken: Secret.fromText(''),
  };
}

/** `namespace "x/" doesn't exist` comes with 500, `namespace not found` (its parent) with 404 (OpenBao 2.7.2). */
function isMissing(reply: Reply): boolean {
  return reply.status !== 200 && (says(reply, "doesn't exist") || says(reply, 'namespace not found'));
}

function refusal(name: string, method: Method, path: string, namespace: string, reply: Reply): QuorateError {
  if (says(reply, 'not sealable')) {
    return new QuorateError('server-unsupported', `the namespace ${namespace} has no seal of its own`, {
      hint: 'It is sealed and unsealed with the cluster. Only a namespace that was created with a seal has shares.',
    });
  }
  if (isMissing(reply)) {
    return new QuorateError('server-error', `${name} knows no namespace ${namespace}`, {
      hint: 'Is its name right, from the root on? quorate init creates one with a seal of its own; its parent comes first.',
    });
  }
  if (reply.status === 503) {
    return new QuorateError('not-ready', `${name}: a namespace that ${namespace} lies in is sealed`, {
      hint: 'Parents are unsealed first: quorate unseal --namespace PARENT.',
    });
  }
  const error = failure(name, method, path, reply);
  if (reply.status !== 403) return error;
  return new QuorateError('denied', error.message, {
    hint: `The seal of a namespace wants a token in its parent, whose policy allows this on ${path}.`,
  });
}

/**
 * The shares were right, and what is inside could not be loaded: so ends the unsealing of a namespace with a sealed one in
 * it after a restart, whose mounts the server then tries to read with the wrong key (OpenBao 2.7.2).
 */
function notLoaded(name: string, namespace: string): QuorateError {
  return new QuorateError('server-error', `the shares open ${namespace}, and ${name} cannot load what is in it`, {
    hint: "OpenBao 2.7.2 cannot, where a namespace in it has a seal of its own too. Keep the data; the server's log says more.",
  });
}

function says(reply: Reply, text: string): boolean {
  return reply.errors.some((line) => line.includes(text));
}

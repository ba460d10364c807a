import nodeVault from 'node-vault';
import { encodeJson, secretsIn } from './body.ts';
import { QuorateError } from '../errors.ts';
import { encodePath, encodeQuery, encodeSegment } from './paths.ts';
import type { CallOptions, Method, Reply, UploadSource } from './peer.ts';
import type { Secret } from '../secret.ts';
import type { PeerSettings } from './settings.ts';
import { Transport, type TransportReply, type TransportRequest } from './transport.ts';
import { cleanLines, strikeBytes } from './wording.ts';

export interface Call extends CallOptions {
  readonly method: Method;
  /** An API path without `/v1/`, not encoded. */
  readonly path: string;
  /** JSON with `Secret` values anywhere. */
  readonly body?: unknown;
  readonly token?: Secret | undefined;
  readonly namespace?: string | undefined;
  /** Given the reply's bytes before they are parsed and wiped. */
  readonly onRaw?: (bytes: Uint8Array) => void;
  /** As `TransportRequest` has it. */
  readonly sink?: (chunk: Uint8Array) => Promise<void>;
  readonly source?: UploadSource;
}

export interface ServerReply extends Reply {
  /** Local clock, milliseconds. */
  readonly sentAt: number;
  readonly receivedAt: number;
}

/** What travels through node-vault's options to our transport. */
interface Options {
  readonly path: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly call: Call;
  /** Set by node-vault. */
  readonly uri?: string;
}

/**
 * Calls to one peer through node-vault 0.12.0, of which only the composing of the request is left: whatever it
 * would do with sockets, redirects, environment, tokens, logging, schemas or statuses is taken from it here.
 * The contract tests name each point. Nothing else imports node-vault.
 */
export class VaultClient {
  readonly transport: Transport;
  readonly #name: string;
  readonly #node: nodeVault.client;

  /** @throws QuorateError `usage` for a bad address. */
  constructor(settings: PeerSettings) {
    this.#name = settings.name;
    this.transport = new Transport(settings);
    const { origin, base } = this.transport.address;
    const options = {
      'endpoint': `${origin}${base}`,
      // None of its helpers: they drop fields, keep tokens and put arguments into paths as they are.
      'commands': {},
      'mustache': { render: renderPath },
      'debug': () => undefined,
      // Its validator would walk bodies and keep what it found wrong; answers are checked by our own schemas.
      'tv4': { validate: () => true },
      'rpDefaults': { strictSSL: true },
      'request-promise': { defaults: () => (sent: Options) => this.#send(sent) },
    };
    this.#node = nodeVault(options as unknown as nodeVault.VaultOptions);
    // An empty setting makes node-vault look into VAULT_TOKEN, VAULT_NAMESPACE and VAULT_PREFIX: undo that.
    Object.assign(this.#node, { token: undefined, namespace: undefined, pathPrefix: '' });
  }

  /**
   * One request. Resolves for every HTTP status.
   * @throws QuorateError as `Transport`; `server-response` for a success that is no JSON; `usage` for a bad path.
   */
  async call(call: Call): Promise<ServerReply> {
    const options: Options = {
      path: `/${encodePath(call.path)}${encodeQuery(call.query)}`,
      method: call.method,
      headers: headersOf(call),
      call,
    };
    let reply: TransportReply;
    try {
      reply = (await this.#node.request({ ...options })) as TransportReply;
    } catch (error) {
      if (error instanceof QuorateError) throw error;
      throw new QuorateError('bug', 'the client library failed');
    }
    try {
      call.onRaw?.(reply.body);
      return this.#understand(call, reply);
    } finally {
      reply.body.fill(0);
    }
  }

  /** Node-vault's view of the reply is always a success without a path, so that it judges nothing. */
  async #send(options: Options): Promise<unknown> {
    const { origin, base } = this.transport.address;
    const { call, uri } = options;
    if (uri?.startsWith(`${origin}${base}/v1/`) !== true) {
      throw new QuorateError('bug', 'the client library composed another address');
    }
    const body = call.body === undefined ? undefined : encodeJson(call.body);
    try {
      const request: TransportRequest = {
        method: call.method,
        target: uri.slice(origin.length),
        headers: options.headers,
        repeatable: call.repeatable ?? (call.method === 'GET' || call.method === 'LIST'),
        ...(body === undefined ? {} : { body }),
        ...(call.timeout === undefined ? {} : { timeout: call.timeout }),
        ...(call.signal === undefined ? {} : { signal: call.signal }),
        ...(call.onSent === undefined ? {} : { onSent: call.onSent }),
        ...(call.sink === undefined ? {} : { sink: call.sink }),
        ...(call.source === undefined ? {} : { source: call.source }),
      };
      const reply = await this.transport.request(request);
      return { statusCode: 200, body: reply, request: { path: '' } };
    } finally {
      body?.fill(0);
    }
  }

  #understand(call: Call, reply: TransportReply): ServerReply {
    const { status, body: bytes, sentAt, receivedAt } = reply;
    const failed = status >= 400;
    if (failed) {
      for (const secret of [...secretsIn(call.body), ...(call.token === undefined ? [] : [call.token])]) {
        secret.expose((value) => {
          strikeBytes(bytes, value);
        });
      }
    }
    const body = parseJson(bytes);
    if (body === undefined && !failed) {
      throw new QuorateError('server-response', `${this.#name} answered with something that is not JSON`, {
        hint: 'Is the address that of an OpenBao or HashiCorp Vault server?',
      });
    }
    const lines = (body ?? {}) as { errors?: unknown; warnings?: unknown };
    return {
      status,
      body: body ?? null,
      errors: cleanLines(lines.errors),
      warnings: cleanLines(lines.warnings),
      sentAt,
      receivedAt,
    };
  }
}

function headersOf(call: Call): Record<string, string> {
  const headers: Record<string, string> = { 'X-Vault-Request': 'true', 'User-Agent': 'quorate' };
  if (call.token !== undefined) headers['X-Vault-Token'] = call.token.exposeText();
  if (call.namespace !== undefined && call.namespace !== '') headers['X-Vault-Namespace'] = call.namespace;
  if (call.wrapTtl !== undefined) headers['X-Vault-Wrap-TTL'] = `${call.wrapTtl.toString()}s`;
  if (call.body !== undefined) {
    headers['Content-Type'] = call.method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  }
  if (call.source !== undefined) headers['Content-Type'] = 'application/octet-stream';
  return headers;
}

/** What node-vault would use mustache for: `{{name}}` in a path becomes one encoded segment. */
function renderPath(template: string, values: Readonly<Record<string, unknown>>): string {
  return template.replace(/\{\{\s*(\w+)\s*\}\}/g, (_all, key: string) => {
    const value = values[key];
    if (typeof value !== 'string') throw new QuorateError('bug', 'a path lacks a value');
    return encodeSegment(value);
  });
}

/**
 * Parsed JSON; null for no bytes; undefined for what is no JSON (the parser's error quotes its input: it is dropped).
 * Whole numbers beyond 2^53 become strings of their digits, for a double would change them.
 */
function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return null;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return /[0-9]{16}/.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function keepDigits(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const exact = typeof value !== 'number' || Number.isSafeInteger(value) || !/^-?[0-9]+$/.test(context?.source ?? '');
  return exact ? value : context?.source;
}

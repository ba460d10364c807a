import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { QuorateError } from '../errors.ts';
import { makeCertificate } from './certificate.ts';
import { CONTENT_TYPE, failureIn, framed, type GrpcError, unframed } from './grpc.ts';
import { COOKIE, type Handshake, readHandshake } from './handshake.ts';
import { type BlobInfo, readBlob, writeBlob, writeConfiguration } from './messages.ts';
import { bytesOf, fieldsOf, joined, message, textOf } from './protobuf.ts';

/** A line of the plugin's log. */
export interface LogEntry {
  readonly level: string;
  readonly message: string;
}

export interface PluginLaunch {
  readonly command: string;
  readonly args?: readonly string[];
  /** The whole environment, as the server's is the plugin's. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Hexadecimal; what the stanza says. */
  readonly sha256?: string;
  /** ms for the start, and for each call. Default 60 s, as the server's. */
  readonly timeout?: number;
}

const TIMEOUT = 60_000;
/** What the server gives a plugin after Shutdown. */
const STOP_LIMIT = 2_000;
const GONE_WITHIN = 500;

/**
 * A KMS plugin, launched and called as OpenBao 2.7.2 does it, for whoever wants to know beforehand how the server will
 * fare. Not for secrets that matter: it wipes nothing.
 */
export class KmsPlugin {
  /** Everything that it has logged so far. */
  readonly log: LogEntry[] = [];
  readonly #child: ChildProcess;
  readonly #timeout: number;
  #session: ClientHttp2Session | undefined;
  #wrapper = '';

  private constructor(child: ChildProcess, timeout: number) {
    this.#child = child;
    this.#timeout = timeout;
  }

  /**
   * Starts the plugin and connects to it. The caller stops it.
   * @throws QuorateError `file-missing`, `file-invalid` (its SHA-256), `program-failed` with the last it logged.
   */
  static async launch({ command, args = [], env, sha256, timeout = TIMEOUT }: PluginLaunch): Promise<KmsPlugin> {
    await checkDigest(command, sha256);
    const own = makeCertificate({ client: true });
    const child = spawn(command, args, {
      env: {
        ...env,
        [COOKIE.name]: COOKIE.value,
        PLUGIN_PROTOCOL_VERSIONS: '1',
        PLUGIN_MIN_PORT: '10000',
        PLUGIN_MAX_PORT: '25000',
        PLUGIN_CLIENT_CERT: own.certificate,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const plugin = new KmsPlugin(child, timeout);
    try {
      plugin.#readLog();
      const handshake = await plugin.#handshake();
      await plugin.#connect(handshake, own);
      return plugin;
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Calls SetConfig with the keys of a stanza. @throws QuorateError `program-failed` with what the plugin said, as all calls. */
  async setConfig(config: Readonly<Record<string, string>>): Promise<void> {
    const answer = fieldsOf(await this.call('/pb.Wrapper/SetConfig', writeConfiguration(config)));
    this.#wrapper = textOf(answer, 1);
    // The server holds these two streams open from the start.
    for (const path of ['/plugin.GRPCStdio/StreamStdio', '/plugin.GRPCBroker/StartStream']) this.#open(path);
  }

  async type(): Promise<string> {
    return textOf(fieldsOf(await this.#wrapped('Type')), 10);
  }

  async keyId(): Promise<string> {
    return textOf(fieldsOf(await this.#wrapped('KeyId')), 10);
  }

  async init(): Promise<void> {
    await this.#wrapped('Init');
  }

  async encrypt(plaintext: Uint8Array): Promise<BlobInfo> {
    return readBlob(bytesOf(fieldsOf(await this.#wrapped('Encrypt', plaintext)), 10));
  }

  async decrypt(blob: BlobInfo): Promise<Uint8Array> {
    return bytesOf(fieldsOf(await this.#wrapped('Decrypt', writeBlob(blob))), 10);
  }

  async finalize(): Promise<void> {
    await this.#wrapped('Finalize');
  }

  /**
   * Ends it as the server does: Finalize, Shutdown, and SIGKILL after 2 s.
   * @returns whether it ended by itself in time.
   */
  async stop(): Promise<boolean> {
    if (this.#ended) return true;
    const exited = once(this.#child, 'exit');
    if (this.#wrapper !== '') await this.finalize().catch(() => undefined);
    await this.call('/plugin.GRPCController/Shutdown', message()).catch(() => undefined);
    let killed = false;
    const timer = setTimeout(() => {
      killed = true;
      this.#child.kill('SIGKILL');
    }, STOP_LIMIT);
    await exited;
    clearTimeout(timer);
    this.#session?.destroy();
    return !killed;
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    if (this.#ended) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
    this.#session?.destroy();
  }

  /** One call of any method: message in, message out. */
  async call(path: string, request: Uint8Array): Promise<Uint8Array> {
    const session = this.#session;
    if (session === undefined || session.destroyed) throw this.#failure('the plugin is gone');
    return new Promise((resolve, reject) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': CONTENT_TYPE,
        'te': 'trailers',
      });
      const chunks: Uint8Array[] = [];
      let failure: GrpcError | undefined;
      stream.setTimeout(this.#timeout, () => {
        stream.close();
      });
      stream.on('response', (headers) => {
        // A call that failed at once has its status among the headers.
        if (headers['grpc-status'] !== undefined) failure = failureIn(headers);
      });
      stream.on('trailers', (trailers: IncomingHttpHeaders) => {
        failure = failureIn(trailers);
      });
      stream.on('data', (chunk: Uint8Array) => chunks.push(chunk));
      stream.on('error', () => undefined);
      stream.on('close', () => {
        const body = joined(chunks);
        if (failure === undefined && body.length > 0) resolve(unframed(body));
        else if (failure !== undefined) reject(this.#failure(failure.message));
        else
          void this.#whyGone().then((why) => {
            reject(this.#failure(`no answer to ${path}: ${why}`));
          });
      });
      stream.end(framed(request));
    });
  }

  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Its end is seen a moment after that of the connection. */
  async #whyGone(): Promise<string> {
    if (!this.#ended) await Promise.race([once(this.#child, 'exit'), sleep(GONE_WITHIN)]);
    const { exitCode, signalCode } = this.#child;
    return this.#ended
      ? `the plugin has ended (${signalCode ?? `status ${String(exitCode)}`})`
      : 'the plugin is silent';
  }

  #wrapped(method: string, field10: Uint8Array = new Uint8Array()): Promise<Uint8Array> {
    return this.call(`/pb.Wrapper/${method}`, message([1, this.#wrapper], [10, field10]));
  }

  #open(path: string): void {
    const stream = this.#session?.request({ ':method': 'POST', ':path': path, 'content-type': CONTENT_TYPE });
    stream?.on('error', () => undefined);
  }

  #failure(text: string): QuorateError {
    return new QuorateError('program-failed', text);
  }

  #readLog(): void {
    let rest = '';
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      this.log.push(...lines.filter((line) => line !== '').map(entryOf));
    });
  }

  async #handshake(): Promise<Handshake> {
    const { stdout } = this.#child;
    let text = '';
    const line = new Promise<string>((resolve) => {
      stdout?.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.includes('\n')) resolve(text);
      });
      this.#child.once('error', () => {
        resolve('');
      });
      this.#child.once('close', () => {
        resolve('');
      });
      setTimeout(() => {
        resolve('');
      }, this.#timeout).unref();
    });
    const handshake = readHandshake(await line);
    if (handshake !== undefined) return handshake;
    const said = this.log.at(-1)?.message;
    throw this.#failure(said ?? 'the plugin ended, or was silent, when it should have told where to connect');
  }

  async #connect({ socket, certificate }: Handshake, own: ReturnType<typeof makeCertificate>): Promise<void> {
    const pem = `-----BEGIN CERTIFICATE-----\n${Buffer.from(certificate).toString('base64')}\n-----END CERTIFICATE-----\n`;
    const session = connectHttp2('https://localhost', {
      createConnection: () =>
        connectTls({
          path: socket,
          ca: pem,
          cert: own.certificate,
          key: own.key,
          servername: 'localhost',
          ALPNProtocols: ['h2'],
          minVersion: 'TLSv1.2',
        }),
    });
    const connected = once(session, 'connect');
    session.on('error', () => undefined);
    this.#session = session;
    await connected.catch(() => {
      throw this.#failure('the connection to the plugin failed');
    });
  }
}

async function checkDigest(command: string, sha256: string | undefined): Promise<void> {
  const bytes = await readFile(command).catch(() => {
    throw new QuorateError('file-missing', `${command} cannot be read`);
  });
  if (sha256 === undefined) return;
  const digest = createHash('sha256').update(bytes).digest('hex');
  if (digest === sha256.toLowerCase()) return;
  throw new QuorateError('file-invalid', `${command} has the SHA-256 ${digest}, not ${sha256}`);
}

/** A line as the server reads it: JSON, or text with a level in brackets; else debug, which nobody sees. */
function entryOf(line: string): LogEntry {
  try {
    const { '@level': level, '@message': text } = JSON.parse(line) as Record<string, unknown>;
    if (typeof level === 'string' && typeof text === 'string') return { level, message: text };
  } catch {
    // Not JSON.
  }
  const [, level = 'debug', text = line] = /^\[(ERROR|WARN|INFO|DEBUG)\] ?(.*)$/.exec(line) ?? [];
  return { level: level.toLowerCase(), message: text };
}

import { createSecureServer, type Http2SecureServer, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import { isQuorateError } from '../errors.ts';
import type { OwnCertificate } from './certificate.ts';
import {
  CONTENT_TYPE,
  framed,
  GrpcError,
  INVALID_ARGUMENT,
  MESSAGE_LIMIT,
  OK,
  RESOURCE_EXHAUSTED,
  trailersOf,
  unframed,
  UNIMPLEMENTED,
  UNKNOWN,
} from './grpc.ts';
import { joined, MalformedMessage } from './protobuf.ts';

/** Answers one call: message in, message out. The request is wiped when this settles, the answer once it is sent. */
export type Unary = (request: Uint8Array) => Promise<Uint8Array>;

export interface Methods {
  /** By path, such as `/pb.Wrapper/Encrypt`. */
  readonly unary: Readonly<Record<string, Unary>>;
  /** Streams that stay open for as long as the connection, on which nothing is ever said. */
  readonly silent: ReadonlySet<string>;
}

/**
 * The plugin's end of the connection: gRPC on node:http2, for one client that shows exactly `clientCertificate`.
 * Not listening yet.
 */
export function createServer(own: OwnCertificate, clientCertificate: string, methods: Methods): Http2SecureServer {
  const server = createSecureServer({
    key: own.key,
    cert: own.certificate,
    ca: clientCertificate,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    settings: { enablePush: false },
    maxSessionMemory: 16,
  });
  const sessions = new Set<Http2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => undefined);
  });
  server.on('stream', (stream, headers) => {
    // The other end may have gone.
    stream.on('error', () => undefined);
    const path = headers[':path'] ?? '';
    if (methods.silent.has(path)) {
      stream.respond({ ':status': 200, 'content-type': CONTENT_TYPE });
      stream.resume();
    } else {
      void answer(stream, methods.unary[path]);
    }
  });
  const close = server.close.bind(server);
  server.close = (done) => {
    for (const session of sessions) session.destroy();
    return close(done);
  };
  return server;
}

async function answer(stream: ServerHttp2Stream, unary: Unary | undefined): Promise<void> {
  try {
    const body = await bodyOf(stream);
    try {
      if (unary === undefined) throw new GrpcError(UNIMPLEMENTED, 'function not implemented');
      send(stream, await unary(unframed(body)));
    } finally {
      body.fill(0);
    }
  } catch (error) {
    const { status, message } = asGrpc(error);
    if (stream.closed || stream.destroyed) return;
    stream.respond(
      { ':status': 200, 'content-type': CONTENT_TYPE, ...trailersOf(status, message) },
      { endStream: true },
    );
  }
}

function send(stream: ServerHttp2Stream, message: Uint8Array): void {
  const frame = framed(message);
  message.fill(0);
  if (stream.closed || stream.destroyed) {
    frame.fill(0);
    return;
  }
  stream.respond({ ':status': 200, 'content-type': CONTENT_TYPE }, { waitForTrailers: true });
  stream.on('wantTrailers', () => {
    stream.sendTrailers(trailersOf(OK));
  });
  stream.on('close', () => {
    frame.fill(0);
  });
  stream.end(frame);
}

function bodyOf(stream: ServerHttp2Stream): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    const settle = (): void => {
      for (const chunk of chunks) chunk.fill(0);
    };
    stream.on('data', (chunk: Uint8Array) => {
      length += chunk.length;
      if (length <= MESSAGE_LIMIT) chunks.push(chunk);
    });
    stream.on('end', () => {
      if (length > MESSAGE_LIMIT) reject(new GrpcError(RESOURCE_EXHAUSTED, 'the message is too large'));
      else resolve(joined(chunks));
      settle();
    });
    stream.on('close', () => {
      reject(new GrpcError(INVALID_ARGUMENT, 'the call was given up'));
      settle();
    });
  });
}

/** What the server is told. Only messages that this program made itself go out; a surprise is named, not quoted. */
function asGrpc(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  if (error instanceof MalformedMessage) return new GrpcError(INVALID_ARGUMENT, error.message);
  if (isQuorateError(error)) return new GrpcError(UNKNOWN, error.message);
  const kind = error instanceof Error ? error.name : typeof error;
  return new GrpcError(UNKNOWN, `quorate-kms met something unexpected (${kind}); this is a bug`);
}
